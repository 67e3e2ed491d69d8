"""Train the 4-8-1 policy of ``policy.json`` by the cross-entropy method, in plain NumPy.

Each generation draws nets around a mean, lets every one steer the same carts, and moves the mean to
the best of them (Rubinstein 1999). Takes a few seconds and needs NumPy alone:

    python examples/simulation/train.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from cartpole import LONGEST_EPISODE, START, physics
from numpy.typing import NDArray

HERE = Path(__file__).parent
HIDDEN = 8
GENERATIONS, NETS, BEST, EPISODES = 20, 64, 12, 16
SIZE = HIDDEN * 4 + HIDDEN + HIDDEN + 1

step, upright = physics(np.float64)
Array = NDArray[np.float64]


def unpack(nets: Array) -> tuple[Array, Array, Array, Array]:
    """Split ``(nets, SIZE)`` into hidden weights and bias, output weights and bias."""
    hidden, bias, output, last = np.split(nets, [HIDDEN * 4, HIDDEN * 5, HIDDEN * 6], axis=1)
    return hidden.reshape(-1, HIDDEN, 4), bias, output, last


def survival(nets: Array, starts: Array) -> Array:
    """Mean steps that each net keeps the poles up; ``starts`` is ``(episodes, 4)``."""
    hidden, bias, output, last = unpack(nets)
    state = np.repeat(starts.T[:, None], len(nets), axis=1)  # 4, nets, episodes
    alive = np.ones(state.shape[1:], dtype=bool)
    steps = np.zeros(state.shape[1:])
    for _ in range(LONGEST_EPISODE):
        inner = np.tanh(np.einsum("nhi,ine->nhe", hidden, state) + bias[:, :, None])
        push = np.tanh(np.einsum("nh,nhe->ne", output, inner) + last)
        state = np.stack(step(state[0], state[1], state[2], state[3], push))
        alive &= upright(state[0], state[2])
        if not alive.any():
            break
        steps += alive
        state *= alive  # a fallen cart is parked, so that its figures stay finite
    return np.asarray(steps.mean(axis=1))


def search(random: np.random.Generator) -> Array:
    """Run the cross-entropy method; the mean of the last generation."""
    mean, spread = np.zeros(SIZE), np.ones(SIZE)
    for generation in range(GENERATIONS):
        nets = mean + spread * random.standard_normal((NETS, SIZE))
        starts = 4 * random.uniform(-START, START, (EPISODES, 4))  # harder than the real ones
        steps = survival(nets, starts)
        best = nets[np.argsort(-steps, kind="stable")[:BEST]]
        mean, spread = best.mean(axis=0), best.std(axis=0) + 0.05
        print(f"generation {generation + 1}: {steps.mean():5.1f} steps, best {steps.max():5.1f}")
    return mean


def decimals(values: Array) -> Any:
    """Nested lists of the shortest decimals that read back as the same float32."""
    if values.ndim > 1:
        return [decimals(row) for row in values]
    return [float(str(value)) for value in values.astype(np.float32)]


def document(net: Array) -> dict[str, Any]:
    """Write one net as an instruction model."""
    hidden, bias, output, last = (part[0] for part in unpack(net[None]))
    return {
        "features": ["position", "speed", "angle", "spin"],
        "buffer_sizes": [4, HIDDEN, 1],
        "instructions": [
            {"type": "DOT", "input": 0, "output": 1, "weights": 0, "activation": "TANH"},
            {"type": "DOT", "input": 1, "output": 2, "weights": 1, "activation": "TANH"},
        ],
        "weights": [decimals(hidden), decimals(output[None])],
        "bias": [decimals(bias), decimals(last)],
    }


def main() -> None:
    """Train, write ``policy.json``, print how long fresh carts survive."""
    random = np.random.default_rng(0)
    net = search(random)
    (HERE / "policy.json").write_text(json.dumps(document(net)) + "\n")
    starts = random.uniform(-START, START, (1000, 4))
    trained = survival(net[None], starts)[0]
    untrained = survival(random.standard_normal((100, SIZE)), starts[:100]).mean()
    print(f"fresh starts: {trained:.1f} of {LONGEST_EPISODE} steps, random nets {untrained:.1f}")


if __name__ == "__main__":
    main()
