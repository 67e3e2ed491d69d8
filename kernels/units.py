"""Which unit multiplies bfloat16 on this machine, and what it can be asked for."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from functools import cache

from instjit.errors import CompileError, Problem
from instjit.kernels import target
from instjit.kernels.bf16 import PARTS
from instjit.kernels.multiplier import Multiplier
from instjit.kernels.target import Level

PROBE = """
define void @probe(ptr %a, ptr %b) {
  %x = load <16 x float>, ptr %a
  %r = fptrunc <16 x float> %x to <16 x bfloat>
  store <16 x bfloat> %r, ptr %b
  ret void
}
"""

OFFERED = {"amx": tuple(PARTS), "avx512_bf16": ("bf16",)}
"""Precisions of each unit, the fastest first. Three products at half the cost do not pay."""

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18


@cache
def matrix_unit() -> str | None:
    """The best that the CPU has and the kernel grants: "amx", "avx512_bf16" or None.

    AMX is asked for where the CPU has it: Linux wants each process to do so, once.
    """
    if target.detect().name != "avx512" or not _converts():
        return None
    if {"amx-tile", "amx-bf16"} <= target.cpu_features() and _granted():
        return "amx"
    return "avx512_bf16"


def precisions(level: Level) -> tuple[str, ...]:
    """What this machine offers at a level besides float32, the fastest first."""
    unit = matrix_unit()
    return OFFERED[unit] if unit is not None and level.name == "avx512" else ()


def multiplier(precision: str, level: Level) -> Multiplier | None:
    """What multiplies at a precision; None for float32.

    Raises
    ------
    CompileError
        Unsupported: this machine or the level has no unit for it.
    """
    if precision == "float32":
        return None
    if precision in precisions(level):
        return Multiplier(precision, str(matrix_unit()))
    raise CompileError(
        Problem("Unsupported", _refusal(precision, level), fields={"precision": precision})
    )


def _refusal(precision: str, level: Level) -> str:
    unit, asked = matrix_unit(), f'precision "{precision}"'
    if unit is None:
        return f'this CPU has neither AMX nor avx512_bf16 for {asked}: take precision "float32"'
    if level.name != "avx512":
        return f'{asked} is for level avx512, not {level.name}: take precision "float32"'
    return (
        f"{asked} needs AMX, this machine grants {unit}, where it would take longer than float32: "
        'take precision "bf16" or "float32"'
    )


def _granted() -> bool:
    """Whether the kernel lets this process use AMX's tile registers."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        return bool(ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0)
    except (OSError, AttributeError):
        return False


def _converts() -> bool:
    """Whether LLVM rounds 16 floats to bfloat16 by one instruction for this CPU (AVX512-BF16)."""
    assembly = target.assembly_of(PROBE)
    return re.search(r"^\tvcvtneps2bf16\t.*%ymm", assembly, re.MULTILINE) is not None
