"""Balance 10,000 poles at once: a compiled policy called inside the user's own Numba code.

``kernel.inline`` is an ordinary jitted function ``f(x_row, out_row)``, called here at every step of
every episode, from all threads:

    python examples/simulation/simulate.py [EPISODES]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cartpole import LONGEST_EPISODE, START, physics
from numba import njit, prange

import instjit

POLICY = Path(__file__).parent / "policy.json"
advance, upright = map(njit, physics(np.float32))


@njit
def guess(state: Any, push: Any) -> None:
    """Push at random: what the policy has to beat."""
    push[0] = np.random.uniform(-1.0, 1.0)


def simulation(policy: Callable[..., None]) -> Callable[..., Any]:
    """Compile the episode loop around a policy: ``(episodes, 4)`` starts to steps survived."""

    @njit(parallel=True)
    def survived(starts: Any) -> Any:
        steps = np.zeros(len(starts), np.int64)
        for episode in prange(len(starts)):
            state = starts[episode].copy()
            push = np.empty(1, np.float32)
            for _ in range(LONGEST_EPISODE):
                policy(state, push)
                state[0], state[1], state[2], state[3] = advance(
                    state[0], state[1], state[2], state[3], push[0]
                )
                if not upright(state[0], state[2]):
                    break
                steps[episode] += 1
        return steps

    return survived


def main() -> None:
    """Run both policies over the same starts and print what they reach."""
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    starts = np.random.default_rng(1).uniform(-START, START, (episodes, 4)).astype(np.float32)
    kernel = instjit.compile(instjit.load(POLICY))
    for name, policy in (("random pushes", guess), ("policy.json", kernel.inline)):
        survived = simulation(policy)
        survived(starts[:1])  # compiles
        began = time.perf_counter()
        steps = survived(starts)
        seconds = time.perf_counter() - began
        print(
            f"{name}: {steps.mean():.1f} of {LONGEST_EPISODE} steps survived on average, "
            f"{episodes:,} episodes at {steps.sum() / seconds / 1e6:.1f} million steps a second"
        )


if __name__ == "__main__":
    main()
