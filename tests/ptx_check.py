"""What stands in a PTX text, and what the assembler makes of it; no GPU is needed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import assembler
import pytest

import instjit as ij
from instjit.gpu import build

OPERATIONS = re.compile(r"^\s+(?:@!?%p\d+ )?([a-z][\w.]+)\s", re.MULTILINE)
VECTORS = re.compile(r"\b(?:ld|st)\.[\w.]*v([24])\.[bf]32\s.*\[[^\]+]+(?:\+(-?\d+))?\]")
FORBIDDEN = re.compile(r"\.approx|\.ftz|\.f64")


def operations(text: str) -> Counter[str]:
    """How often each instruction stands in a PTX text."""
    return Counter(OPERATIONS.findall(text))


def contracted(found: Counter[str]) -> list[str]:
    """Instructions that are not IEEE, and sums that the assembler may make an fma of.

    ``mul.f32`` is what newer compilers make of an fma onto -0.0, the start of a chain. It is
    contracted with a sum that names no rounding alone, and such a sum is refused here.
    """
    loose = ("add.f32", "sub.f32", "mad.f32", "div.full.f32")
    return [name for name in found if FORBIDDEN.search(name) or name in loose]


def misaligned(text: str) -> list[str]:
    """Loads and stores of several numbers at a distance that is no multiple of their size.

    The registers that the distances count from are multiples of 16, or of the loops' steps.
    """
    return [
        found[0] for found in VECTORS.finditer(text) if int(found[2] or 0) % (4 * int(found[1]))
    ]


def require_compiler() -> None:
    """Skip the test where instjit[cuda] is not installed."""
    try:
        build.require_compiler()
    except ij.CompileError as error:
        pytest.skip(str(error))
    from numba import cuda

    if cuda.implementation != "NVIDIA":
        pytest.skip("instjit[cuda] is not installed, this is Numba's own CUDA target")


def assembled(text: str, cc: tuple[int, int], tmp_path: Path) -> dict[str, int]:
    """Registers, stack, spills and static shared memory by ptxas; skips the test without one."""
    if not assembler.ptxas():
        pytest.skip("no ptxas")
    return assembler.assembled(text, cc, tmp_path)
