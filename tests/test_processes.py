"""Threads, forks and loops of the user beside predicts: the bits of the reference, and an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import process_cells
import pytest

ROOT = Path(__file__).parents[1]
linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, affinity and /proc are Linux's")


def tell(name: str, seconds: int) -> None:
    """A story's process ends with 0, in time, and complains of nothing."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with subprocess.Popen(
        [sys.executable, "tests/process_cells.py", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children too, if it hangs
    assert (process.returncode, errors) == (0, ""), output + errors


@linux
@pytest.mark.parametrize("name", process_cells.FAST)
def test_a_story(name: str) -> None:
    tell(name, 120)


@linux
@pytest.mark.processes
@pytest.mark.parametrize("name", process_cells.LONG)
def test_a_long_story(name: str) -> None:
    tell(name, 600)
