"""nvdisasm, NVIDIA's disassembler: what a kernel's hottest loop consists of. No GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*)")
LABEL = re.compile(r"^\.?(\w+):$")
TARGET = re.compile(r"`\(\.?(\w+)\)")


@dataclass(frozen=True)
class Mix:
    """Instructions of a run of code: fma, accesses of shared and global memory, and the rest."""

    fma: int
    shared: int
    wide: int
    far: int
    other: int

    @property
    def share(self) -> float:
        """Part of the issued instructions that are fma."""
        return self.fma / max(1, self.fma + self.shared + self.far + self.other)

    @property
    def bound(self) -> float:
        """Part of the fma rate that issue and accesses of shared memory allow at most.

        A multiprocessor starts four fma of a warp in a clock and serves one access, four lanes'
        worth of addresses or a broadcast.
        """
        return min(self.share, self.fma / max(1, 4 * self.shared))


@cache
def nvdisasm() -> str | None:
    """The disassembler of the NVIDIA packages, on the path or in /usr/local/cuda; or None."""
    installed = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/bin/nvdisasm"))
    places = [*map(str, installed), "nvdisasm", "/usr/local/cuda/bin/nvdisasm"]
    return next((found for place in places if (found := shutil.which(place))), None)


def hottest(cubin: Path) -> Mix:
    """The loop with the most fma that holds no other loop with as large a part of them.

    Straight code, as of a small net in a thread, counts as a loop: that over the rows.
    """
    program = nvdisasm()
    if program is None:
        raise FileNotFoundError("no nvdisasm")
    words = [program, "-c", str(cubin)]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return max((_mix(loop) for loop in _loops(text)), key=lambda mix: mix.fma, default=_mix([]))


def _loops(text: str) -> list[list[str]]:
    """Operations from each target of a backward branch to that branch, innermost ones alone."""
    operations: list[str] = []
    labels: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    for line in text.splitlines():
        if label := LABEL.match(line.strip()):
            labels[label.group(1)] = len(operations)
        elif found := INSTRUCTION.match(line):
            operations.append(found.group(1))
            target = TARGET.search(found.group(2))
            if found.group(1).startswith("BRA") and target and target.group(1) in labels:
                spans.append((labels[target.group(1)], len(operations)))
    inner = [
        one
        for one in spans
        if one[1] - one[0] > 1
        and not any(
            other != one
            and one[0] <= other[0]
            and other[1] <= one[1]
            and 4 * _fma(operations, other) > _fma(operations, one)
            for other in spans
        )
    ]
    return [operations[first:last] for first, last in inner]


def _fma(operations: list[str], span: tuple[int, int]) -> int:
    return operations[span[0] : span[1]].count("FFMA")


def _mix(operations: list[str]) -> Mix:
    kinds = Counter(operation.split(".")[0] for operation in operations)
    wide = sum(operation.startswith("LDS.128") for operation in operations)
    shared = kinds["LDS"] + kinds["STS"]
    far = kinds["LDG"] + kinds["STG"] + kinds["LDL"] + kinds["STL"]
    rest = len(operations) - kinds["FFMA"] - shared - far
    return Mix(kinds["FFMA"], shared, wide, far, rest)
