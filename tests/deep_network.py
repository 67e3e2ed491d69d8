"""An RMD1 file of as many layers as fit, and how much memory a verb takes for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LAYERS = 65_535

_CHILD = """
import contextlib, gc, os, sys
from instjit.cli import main

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def code(path):
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return main([*sys.argv[3:], path])

code(sys.argv[1])  # imports
gc.collect()
with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # the peak starts anew from here
before = peak()
if code(sys.argv[2]):
    sys.exit("the verb failed")
print(peak() - before)
"""


def deep_network(layers: int = LAYERS) -> bytes:
    """Layers 1 -> 1 that share their one weight and one bias."""
    words = [1, 1, 0, 0, 0]
    header = b"RMD1" + b"\1\0\0\0" + b"".join(n.to_bytes(4, "little") for n in (layers, 1, 1))
    return header + b"".join(n.to_bytes(4, "little") for n in words) * layers + bytes(8)


def verb_growth(folder: Path, content: bytes, *words: str) -> int:
    """Bytes by which a process grows at its peak under a verb, imports and a first use done."""
    small, large = folder / "small", folder / "large"
    small.write_bytes(deep_network(1))
    large.write_bytes(content)
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, str(small), str(large), *words],
        capture_output=True,
        timeout=300,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr.decode(errors="replace"))
    return int(result.stdout)
