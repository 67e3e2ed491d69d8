"""Balance 100,000 poles in one launch, a model per episode, and the same on the CPU.

A GPU thread runs one episode. It calls ``gpu.predict`` on packed words at every step, and each
episode has its own first word, so episodes side by side are steered by different nets. On the CPU
every net is compiled, and its ``inline`` function steers the episodes of that net. The nets give
the same bits on both; sine and cosine need not, so a pole may fall a step earlier or later::

    python examples/simulation/simulate_cuda.py [EPISODES]
    NUMBA_ENABLE_CUDASIM=1 python examples/simulation/simulate_cuda.py 12    # without a GPU
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from cartpole import ANGLE_LIMIT, LONGEST_EPISODE, POSITION_LIMIT, START, step
from numba import cuda, float32
from simulate import POLICY, simulation

import instjit
from instjit import gpu

NETS = 4
SPREAD = 1.5  # standard deviation of what is added to the weights of net 1, 2, ...
SLOTS = 16  # of a thread's compute buffer: 4 + 8 + 1 and some
THREADS = 128

advance = cuda.jit(device=True)(step)


@cuda.jit
def episodes(words: Any, offsets: Any, starts: Any, steps: Any) -> None:
    """Steps that each episode survives; episode e has the model at word ``offsets[e]``."""
    episode = cuda.grid(1)
    if episode >= len(starts):
        return
    offset = offsets[episode]
    output = gpu.get_output_start(words, offset)
    state = cuda.local.array(4, float32)
    buffer = cuda.local.array(SLOTS, float32)
    for k in range(4):
        state[k] = starts[episode, k]
    survived = 0
    for _ in range(LONGEST_EPISODE):
        for k in range(4):
            buffer[k] = state[k]
        gpu.predict(words, offset, buffer)
        state[0], state[1], state[2], state[3] = advance(
            state[0], state[1], state[2], state[3], buffer[output]
        )
        if abs(state[0]) > POSITION_LIMIT or abs(state[2]) > ANGLE_LIMIT:
            break
        survived += 1
    steps[episode] = survived


def nets() -> list[instjit.Model]:
    """The trained policy, and policies with something added to its weights."""
    trained = instjit.load(POLICY)
    random = np.random.default_rng(2)
    found = [trained]
    for _ in range(NETS - 1):
        weights = [w + random.normal(0, SPREAD, w.shape) for w in trained.weights]
        found.append(
            instjit.Model(
                trained.buffers,
                trained.instructions,
                weights,
                trained.bias,
                features=trained.features,
            )
        )
    return found


def on_gpu(models: list[instjit.Model], chosen: Any, starts: Any) -> tuple[Any, float]:
    """Steps survived and the seconds of the launch; episode e has model ``chosen[e]``."""
    packed = gpu.pack(models, max_compute_buffer=SLOTS)
    words = cuda.to_device(packed.words)
    offsets = cuda.to_device(np.array(packed.offsets)[chosen])
    steps = cuda.to_device(np.zeros(len(starts), np.int64))
    held = cuda.to_device(starts)
    blocks = -(-len(starts) // THREADS)
    episodes[1, 1](words, offsets, held, steps)  # compiles
    cuda.synchronize()
    began = time.perf_counter()
    episodes[blocks, min(THREADS, len(starts))](words, offsets, held, steps)
    cuda.synchronize()
    return steps.copy_to_host(), time.perf_counter() - began


def on_cpu(models: list[instjit.Model], chosen: Any, starts: Any) -> tuple[Any, float]:
    """The same on all cores, the episodes of one model after those of another."""
    steps, seconds = np.zeros(len(starts), np.int64), 0.0
    for number, model in enumerate(models):
        survived = simulation(instjit.compile(model).inline)
        survived(starts[:1])  # compiles
        began = time.perf_counter()
        steps[chosen == number] = survived(starts[chosen == number])
        seconds += time.perf_counter() - began
    return steps, seconds


def main() -> None:
    """Run the same episodes on both and print what the nets reach."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    starts = np.random.default_rng(1).uniform(-START, START, (count, 4)).astype(np.float32)
    models = nets()
    chosen = np.arange(count) % len(models)
    runs = {"CPU": on_cpu}
    if cuda.is_available():
        runs["GPU"] = on_gpu
    else:
        print("no CUDA GPU here; NUMBA_ENABLE_CUDASIM=1 simulates one, slowly")
    for name, run in runs.items():
        steps, seconds = run(models, chosen, starts)
        means = ", ".join(f"{steps[chosen == k].mean():.1f}" for k in range(min(NETS, count)))
        print(
            f"{name}: the nets survive {means} of {LONGEST_EPISODE} steps on average, "
            f"{count:,} episodes at {steps.sum() / seconds / 1e6:.4g} million steps a second"
        )


if __name__ == "__main__":
    main()
