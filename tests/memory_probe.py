"""How much memory a load takes at its peak, measured in a process of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MIB = 2**20
SPARE = 32 * MIB
"""What a load may take besides a multiple of the file's size."""

TIMES = {"binary": 4, "json": 24}

_CHILD = """
import contextlib, gc, pickle, sys
import instjit

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

path, arguments = pickle.load(sys.stdin.buffer)
instjit.load(b'{"feature_size": 1, "buffer_sizes": [1, 1], "weights": [[[1]]], "bias": [[0]],'
             b'"instructions": [{"type": "DOT", "input": 0, "output": 1, "weights": 0}],'
             b'"validation_data": {"inputs": [[1]], "expected_outputs": [[1]]}}')
with open(path, "rb") as file, contextlib.suppress(instjit.InstjitError):
    instjit.load(file.read(200), **arguments)
gc.collect()
with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # the peak starts anew from here
before = peak()
try:
    instjit.load(path, **arguments)
except instjit.InstjitError as error:
    outcome = f"{type(error).__name__}: {error.kind}"
except BaseException as error:
    outcome = f"{type(error).__name__}: {error}"
else:
    outcome = "model"
sys.stdout.buffer.write(pickle.dumps((peak() - before, outcome)))
"""


def supported() -> bool:
    """Whether this system tells a process its peak (Linux does)."""
    return Path("/proc/self/status").exists()


def peak_growth(content: bytes, **load_arguments: Any) -> tuple[int, str]:
    """Bytes by which a process grows at its peak while it loads this file, and what came of it.

    The imports and a first small load are done before. The file's bytes, which the load reads,
    count.

    Returns
    -------
    tuple
        Bytes, and "model", or the error as "FormatError: Truncated".
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        result = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=pickle.dumps((str(path), load_arguments)),
            capture_output=True,
            timeout=300,
            check=False,
        )
    if result.returncode:
        message = result.stderr.decode(errors="replace")
        raise RuntimeError(f"the process ended with {result.returncode}: {message}")
    growth, outcome = pickle.loads(result.stdout)  # written by the process above
    return growth, outcome


def allowed(content: bytes, family: str) -> int:
    """The most that a load may take; the family is "json" or "binary"."""
    return TIMES[family] * len(content) + SPARE
