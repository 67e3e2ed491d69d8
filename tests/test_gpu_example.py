"""``examples/simulation``: a net per episode, on the CPU, in the simulator, and as PTX."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offline_ptx import ptx_of
from ptx_check import assembled, operations, require_compiler

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "simulation"


def child(*arguments: str, **environment: str) -> str:
    """What a Python process with the example's modules prints."""
    path = os.pathsep.join([str(ROOT), str(FOLDER)])
    result = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


RUN = """
import json
import numpy as np
import simulate_cuda as example
example.main()
starts = np.random.default_rng(0).uniform(-0.05, 0.05, (1000, 4)).astype(np.float32)
print(json.dumps(example.on_cpu(example.population(1000), starts)[0].tolist()))
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    """The script's lines for four episodes under the simulator, and the steps of 1,000 by CPU."""
    return child("-c", RUN, "4", NUMBA_ENABLE_CUDASIM="1").splitlines()


def test_in_the_simulator_every_episode_is_that_of_the_cpu(said) -> None:
    on_cpu, on_gpu, agreement, _ = said
    reached = re.search(r": 4 nets survive (.*) of 500 steps .* net 0 with 500;", on_gpu)
    assert reached is not None
    assert 125 < float(reached[1]) < 500
    assert f"CPU{reached[0]}" in on_cpu
    assert agreement == "4 of 4 episodes agree exactly"


def test_on_the_cpu_the_trained_net_balances_and_every_other_is_another(said) -> None:
    steps = json.loads(said[-1])
    assert steps[0] == 500
    assert 50 < np.mean(steps) < 450
    assert len(set(steps)) > 100


SERIES = """
import numpy as np
from cartpole import physics
angles = np.linspace(-0.25, 0.25, 10001)
still = np.zeros_like(angles)
step, upright = physics(np.float64)
_, speed, _, spin = step(still, still, angles, still, still)
sine, cosine = np.sin(angles), np.cos(angles)
rate = 9.8 * sine / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
assert np.abs(spin - 0.02 * rate).max() < 1e-16
assert np.abs(speed + 0.02 * 0.05 * rate * cosine / 1.1).max() < 1e-17
step, upright = physics(np.float32)
assert {array.dtype for array in step(*np.float32([[0, 1]] * 5))} == {np.dtype(np.float32)}
assert upright(np.float32([2.4, -2.4, 2.5, np.nan]), np.zeros(4, np.float32)).tolist() == [
    True, True, False, False]
"""


def test_the_physics_is_exact_in_float64_and_stays_in_float32() -> None:
    child("-c", SERIES)


@pytest.mark.ptx
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cc", [(8, 0), (9, 0), (10, 0)])
def test_the_kernel_computes_in_float32_and_spills_nothing(cc, tmp_path, monkeypatch) -> None:
    require_compiler()
    monkeypatch.syspath_prepend(str(FOLDER))
    from numba import float32, int32, int64

    example: Any = __import__("simulate_cuda")
    signature = (float32[::1], int64[::1], float32[:, ::1], int32[::1])
    text = ptx_of(example.gpu_episodes.py_func, signature, cc)
    assert not [name for name in operations(text) if "f64" in name or ".approx" in name]
    used = assembled(text, cc, tmp_path)
    assert used["spilled"] == 0
    assert 0 < used["registers"] <= 168  # three blocks of 128 threads a multiprocessor
