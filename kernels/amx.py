"""AMX's tiles as LLVM intrinsics: eight registers of 16 rows of 64 bytes, named by number.

Numbers are chosen by the caller: LLVM allocates nothing and so spills nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from instjit.kernels.simd import Builder, IRValue, declare

I8 = ir.IntType(8)
ANYWHERE = I8.as_pointer()
ROWS, ROW_BYTES, REGISTERS = 16, 64, 8


class Tiles:
    """Emits the operations on tiles."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def configure(self) -> None:
        """Give every tile its full size: once before the others, on each thread."""
        self._call(
            "ldtilecfg", [self.builder.bitcast(_configuration(self.builder.module), ANYWHERE)]
        )

    def release(self) -> None:
        """Give the registers back: a thread that holds them takes longer to switch."""
        self._call("tilerelease", [])

    def zero(self, tile: int) -> None:
        """Let a tile be zeros."""
        self._call("tilezero", [_number(tile)])

    def load(self, tile: int, place: IRValue, stride: IRValue) -> None:
        """Read 16 rows that lie ``stride`` bytes apart."""
        self._call("tileloadd64", [_number(tile), self.builder.bitcast(place, ANYWHERE), stride])

    def store(self, tile: int, place: IRValue, stride: IRValue) -> None:
        """Write 16 rows that lie ``stride`` bytes apart."""
        self._call("tilestored64", [_number(tile), self.builder.bitcast(place, ANYWHERE), stride])

    def multiply(self, sums: int, weights: int, words: int) -> None:
        """Add to ``sums[m][n]`` the sum over r of weights[m][r] times words[r][n], pair by pair."""
        self._call("tdpbf16ps", [_number(sums), _number(weights), _number(words)])

    def _call(self, name: str, arguments: Sequence[IRValue]) -> None:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        self.builder.call(declare(self.builder.module, kind, f"llvm.x86.{name}"), arguments)


def _number(tile: int) -> IRValue:
    return ir.Constant(I8, tile)


def _configuration(module: Any) -> Any:
    """The 64 bytes of ldtilecfg: palette 1, bytes of a row from byte 16, rows from byte 48."""
    known = module.globals.get("instjit_tiles")
    if known is not None:
        return known
    held = bytearray(64)
    held[0] = 1
    for tile in range(REGISTERS):
        held[16 + 2 * tile] = ROW_BYTES
        held[48 + tile] = ROWS
    kind = ir.ArrayType(I8, 64)
    made = ir.GlobalVariable(module, kind, "instjit_tiles")
    made.linkage = "internal"
    made.global_constant = True
    made.align = 64
    made.initializer = ir.Constant(kind, held)
    return made
