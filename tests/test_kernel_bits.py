"""Compiled kernels give the bits of the reference on random models, at every level."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_check import disagreements
from nets import dense, rows_for
from plain_run import same_bits

from instjit import launch, reference
from instjit.kernel import Kernel
from instjit.kernels.target import LEVELS, detect
from instjit.passes import PASSES

HERE = Path(__file__).parent
BEST = detect()
NARROWER = tuple(level for level in LEVELS.values() if level.width <= BEST.width)
"""Blockings whose vectors this CPU has in one register."""

CPUS = {"avx512": None, "avx2": "haswell", "generic": "x86-64-v2"}
"""What NUMBA_CPU_NAME must be for a level on x86; None: the CPU itself. x86-64-v2 has no fma."""


@pytest.fixture
def always_parallel(monkeypatch):
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)


@pytest.mark.parametrize("first", range(0, 60, 4))
def test_random_models_give_the_bits_of_the_reference(first, always_parallel) -> None:
    wrong = {}
    for seed in range(first, first + 4):
        level = NARROWER[seed % len(NARROWER)]
        passes = () if seed % 3 == 0 else PASSES
        if found := disagreements(seed, level, passes):
            wrong[seed] = (level.name, found)
    assert not wrong


UNLIKE = (
    3,
    9,
    17,
    18,
    5,
    1,
    40,
    66,
    49,
    67,
    16,
    68,
    3,
    65,
    2,
    77,
    50,
    7,
    70,
    12,
    71,
    13,
    72,
    14,
    80,
)
"""Widths of layers no two of which are alike, with every number of chains and of k left over."""


@pytest.mark.parametrize("layers", [24, 48])  # their steps are called one by one, and together
@pytest.mark.parametrize("level", NARROWER, ids=lambda level: level.name)
def test_layers_that_share_code_give_the_bits_of_the_reference(level, layers) -> None:
    model = dense(*UNLIKE, *(UNLIKE[1:] if layers == 48 else ()), activation="TANH")
    assert len(model.instructions) == layers
    rows = rows_for(model, 70)
    kernel = Kernel(model, level, 1, PASSES)
    wanted = reference.run(model, rows)
    assert same_bits(kernel.predict(rows), wanted)
    assert same_bits(kernel.row(rows[7]), wanted[7])


def at_level(level: str, first: int, count: int) -> dict:
    """What kernel_check finds in a process that compiles for the level."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    if level not in (BEST.name, "generic") and (not x86 or LEVELS[level].width > BEST.width):
        pytest.skip(f"this CPU has no {level}")
    if level != BEST.name and not x86:
        pytest.skip("only x86 levels can be lowered by name")
    environment = dict(os.environ)
    environment.pop("NUMBA_CPU_NAME", None)
    environment.pop("NUMBA_CPU_FEATURES", None)
    if level != BEST.name:
        environment |= {"NUMBA_CPU_NAME": CPUS[level], "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, str(HERE / "kernel_check.py"), str(first), str(count)]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("level", CPUS)
def test_instruction_sets_give_the_same_bits(level) -> None:
    report = at_level(level, 2000, 6)
    assert (report["level"], report["wrong"]) == (level, {})


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(3000, 3500, 100))
@pytest.mark.parametrize("level", CPUS)
def test_500_models_give_the_same_bits_on_every_instruction_set(level, first) -> None:
    report = at_level(level, first, 100)
    assert (report["level"], report["seeds"], report["wrong"]) == (level, 100, {})
