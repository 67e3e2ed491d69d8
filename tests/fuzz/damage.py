"""Every way to cut a file off or to change one byte of it, loaded in a process of its own.

``python -m tests.fuzz.damage CODEC WAY`` prints as JSON what the loads came to and took.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from nets import dense

import instjit as ij
from instjit.formats import FORMATS

from . import rnn0_file, seeds

SAMPLES: dict[str, Callable[[], bytes]] = {
    "instmodel": seeds.complete_json,
    "rmd1": lambda: FORMATS["rmd1"].encode(dense(2, 3, 2, 1)),
    "rnn0": seeds.complete_rnn0,
}
"""By codec: a file with every part that there is, which loads."""

FEW = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x5A)
"""Flips of a byte: every bit, all, some."""


def truncations(content: bytes) -> Iterator[bytes]:
    """The file cut off at every offset."""
    return (content[:stop] for stop in range(len(content)))


def bits(content: bytes) -> Iterator[bytes]:
    """Every byte with some bits flipped, and as 0 and 255."""
    for at, byte in enumerate(content):
        for other in {*(byte ^ flipped for flipped in FEW), 0, 255} - {byte}:
            yield content[:at] + bytes([other]) + content[at + 1 :]


def bytes_(content: bytes) -> Iterator[bytes]:
    """Every byte as each of the 255 others."""
    for at, byte in enumerate(content):
        for flipped in range(1, 256):
            yield content[:at] + bytes([byte ^ flipped]) + content[at + 1 :]


def repaired(content: bytes) -> Iterator[bytes]:
    r"""As ``bits``, the digests of an RNN\0 file made right again."""
    for changed in bits(content):
        again = bytearray(changed)
        rnn0_file.repair(again)
        yield bytes(again)


WAYS = {"truncations": truncations, "bits": bits, "bytes": bytes_, "repaired": repaired}


def load_all(codec: str, way: str) -> dict[str, Any]:
    """Load every damaged file; raises whatever a load raises besides instjit errors.

    Returns
    -------
    dict
        ``files``, how they ended (``kinds``), ``slowest`` in seconds of CPU time, and by how many
        bytes the process grew at its peak (``growth``).
    """
    warnings.simplefilter("error")
    content = SAMPLES[codec]()
    ij.load(content)
    with suppress(ij.InstjitError):
        ij.load(content[:50])
    kinds: Counter[str] = Counter()
    slowest = 0.0
    before = _fresh_peak()
    for damaged in WAYS[way](content):
        began = time.process_time()
        try:
            model = ij.load(damaged, format=codec)
        except ij.InstjitError as error:
            kinds[error.kind] += 1
        else:
            kinds["Model" if not ij.validate(model) else "a model with problems"] += 1
        slowest = max(slowest, time.process_time() - began)
    return {
        "size": len(content),
        "files": kinds.total(),
        "kinds": dict(kinds),
        "slowest": slowest,
        "growth": _peak() - before,
    }


def _fresh_peak() -> int:
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    return _peak()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    print(json.dumps(load_all(*sys.argv[1:])))
