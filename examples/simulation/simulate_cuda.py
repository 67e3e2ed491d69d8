"""Balance 100,000 poles in one launch, each by a net of its own, and the same on the CPU.

The nets are a population around the trained policy, as neuro-evolution draws one in every
generation: arrays of weights, and no model is built of them. A GPU thread runs one episode and
calls ``gpu.predict`` on the words of its net at every step; the net is data, so no generation
compiles anything. On the CPU ``kernel.inline_of_constants`` does the same with a row of constants.
The nets give the same bits on both; the steps of the cart-pole need not, because a GPU's compiler
may fuse a product and a sum, so a pole may fall a step earlier or later::

    python examples/simulation/simulate_cuda.py [EPISODES]
    NUMBA_ENABLE_CUDASIM=1 python examples/simulation/simulate_cuda.py 12    # without a GPU
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from cartpole import LONGEST_EPISODE, START, physics
from numba import cuda, float32, njit, prange
from simulate import POLICY

import instjit
from instjit import gpu

SPREAD = 1.0  # standard deviation of what is added to each weight and bias of the policy
SLOTS = 13  # of a thread's compute buffer: 4 + 8 + 1
THREADS = 128  # of a block

step, upright = physics(np.float32)
cpu_step, cpu_upright = njit(step), njit(upright)
gpu_step, gpu_upright = cuda.jit(device=True)(step), cuda.jit(device=True)(upright)


@cuda.jit
def gpu_episodes(words: Any, offsets: Any, starts: Any, steps: Any) -> None:
    """Steps that each episode survives; episode e has the net at word ``offsets[e]``."""
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
        state[0], state[1], state[2], state[3] = gpu_step(
            state[0], state[1], state[2], state[3], buffer[output]
        )
        if not gpu_upright(state[0], state[2]):
            break
        survived += 1
    steps[episode] = survived


@njit(parallel=True)
def cpu_episodes(policy: Any, k: Any, n: Any, starts: Any) -> Any:
    """The same on all cores; episode e has the net with the constants ``k[e]`` and ``n``."""
    steps = np.zeros(len(starts), np.int32)
    for episode in prange(len(starts)):
        state = starts[episode].copy()
        push = np.empty(1, np.float32)
        for _ in range(LONGEST_EPISODE):
            policy(state, push, k[episode], n)
            state[0], state[1], state[2], state[3] = cpu_step(
                state[0], state[1], state[2], state[3], push[0]
            )
            if not cpu_upright(state[0], state[2]):
                break
            steps[episode] += 1
    return steps


def population(count: int) -> instjit.Population:
    """The trained policy, and nets around it."""
    trained = instjit.load(POLICY)
    random = np.random.default_rng(2)

    def around(array: Any) -> Any:
        drawn = array + SPREAD * random.standard_normal((count, *array.shape), np.float32)
        drawn[0] = array
        return drawn

    return instjit.Population(
        trained, [around(matrix) for matrix in trained.weights], [around(b) for b in trained.bias]
    )


def on_cpu(nets: instjit.Population, starts: Any) -> tuple[Any, float]:
    """Steps survived, an episode for each net, and the seconds of all episodes."""
    kernel = instjit.compile(nets.model)
    k, n = kernel.constants_of(nets)
    cpu_episodes(kernel.inline_of_constants, k[:1], n, starts[:1])  # compiles
    began = time.perf_counter()
    steps = cpu_episodes(kernel.inline_of_constants, k, n, starts)
    return steps, time.perf_counter() - began


def on_gpu(nets: instjit.Population, starts: Any) -> tuple[Any, float]:
    """Steps survived, an episode for each net, and the seconds of the launch."""
    packed = gpu.pack(nets, max_compute_buffer=SLOTS)
    words, held = cuda.to_device(packed.words), cuda.to_device(starts)
    offsets = cuda.to_device(np.array(packed.offsets))
    steps = cuda.to_device(np.zeros(len(starts), np.int32))
    blocks = -(-len(starts) // THREADS)
    gpu_episodes[1, 1](words, offsets, held, steps)  # compiles
    cuda.synchronize()
    began = time.perf_counter()
    gpu_episodes[blocks, min(THREADS, len(starts))](words, offsets, held, steps)
    cuda.synchronize()
    return steps.copy_to_host(), time.perf_counter() - began


def main() -> None:
    """Run the same episodes on both, print what the nets reach and how many episodes agree."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    starts = np.random.default_rng(1).uniform(-START, START, (count, 4)).astype(np.float32)
    nets = population(count)
    runs = {"CPU": on_cpu}
    if cuda.is_available():
        runs["GPU"] = on_gpu
    else:
        print("no CUDA GPU here; NUMBA_ENABLE_CUDASIM=1 simulates one, slowly")
    found = []
    for name, run in runs.items():
        steps, seconds = run(nets, starts)
        best = int(steps.argmax())
        print(
            f"{name}: {count:,} nets survive {steps.mean():.2f} of {LONGEST_EPISODE} steps on "
            f"average, the best is net {best} with {steps[best]}; "
            f"{steps.sum() / seconds / 1e6:.4g} million steps a second"
        )
        found.append(steps)
    if len(found) > 1:
        print(f"{int((found[0] == found[1]).sum()):,} of {count:,} episodes agree exactly")


if __name__ == "__main__":
    main()
