"""Programs that compile with a store, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

PROGRAM = """
import sys
import numpy as np
import instjit
from nets import dense
rows = np.random.default_rng(1).normal(size=(333, 8)).astype(np.float32)
model = dense(8, 16, 3)
kernel = instjit.compile(model, warm=["slots", "buffer"])
buffers = np.zeros((len(rows), kernel.required_memory), np.float32)
buffers[:, :8] = rows
found = [kernel.predict(rows), kernel.row(rows[5]), kernel.predict(rows[:40], slots=(3, 20)),
         kernel.run_buffer(buffers), kernel.predict(np.tile(rows, (40, 1)), threads=2)[::97]]
print("numba" in sys.modules, *(each.tobytes().hex() for each in found))
"""
"""Prints whether Numba was loaded, and all that a kernel gives."""


def run(folder: Path | str, program: str = PROGRAM, **variables: str) -> tuple[bool, list[str]]:
    """Whether a process with the store in ``folder`` loaded Numba, and what it printed after."""
    words = output(folder, program, **variables).split()
    return words[0] == "True", words[1:]


def output(folder: Path | str, program: str, *, seconds: float = 300, **variables: str) -> str:
    """Standard output of a program; it and its standard error must be fine."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(folder: Path | str, **variables: str) -> dict[str, str]:
    """That of a process with the store in ``folder``."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": paths, "INSTJIT_STORE": str(folder), **variables}
