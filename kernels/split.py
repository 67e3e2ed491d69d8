"""Code that turns lanes of float32 into words of two bfloat16, in one or several parts."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from instjit.kernels.multiplier import Multiplier
from instjit.kernels.simd import (
    FLOAT,
    I32,
    Builder,
    IRValue,
    VectorArithmetic,
    declare,
    i64,
    load,
    loop,
    store,
)
from instjit.kernels.target import Level

WIDTH = 16
"""Lanes of a vector: AVX-512's, as the units for bfloat16 demand."""


class BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no type hints
    """LLVM's ``bfloat``."""

    intrinsic_name = "bf16"

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


HALVES = ir.VectorType(BFloat(), 2 * WIDTH)
FLOATS = ir.VectorType(FLOAT, WIDTH)
WORDS = ir.VectorType(I32, WIDTH)


class PairWriter:
    """Writes the words of two slots, all parts of them, to their places."""

    def __init__(self, builder: Builder, level: Level, multiplier: Multiplier, depth: int) -> None:
        self.builder = builder
        self.level = level
        self.parts = multiplier.parts
        self.pairs = multiplier.pairs(depth)
        self.vector = VectorArithmetic(builder, WIDTH)

    def store(self, base: IRValue, pair: IRValue, v: int, low: IRValue, high: IRValue) -> None:
        """Vector v of pair number ``pair`` of the words at ``base``."""
        for part in range(self.parts):
            word = paired(self.builder, low, high)
            self.store_word(base, pair, part, v, word)
            if part + 1 < self.parts:
                left, right = unpaired(self.vector, word)
                low, high = self.vector.sub(low, left), self.vector.sub(high, right)

    def clear(self, base: IRValue, count: int) -> None:
        """Zero the words past those of ``count`` slots."""
        zero = self.vector.const(0.0)
        for pair in range(-(-count // 2), self.pairs):
            for part in range(self.parts):
                for v in range(self.level.vectors):
                    self.store_word(base, i64(pair), part, v, zero)

    def store_word(self, base: IRValue, pair: IRValue, part: int, v: int, word: IRValue) -> None:
        """Vector v of the words of one part."""
        slot = self.builder.add(pair, i64(part * self.pairs))
        at = self.builder.add(
            self.builder.mul(slot, i64(self.level.lanes)), i64(v * self.level.width)
        )
        store(self.builder, word, self.builder.gep(base, [at]), 4 * WIDTH)


def write_split(
    builder: Builder, level: Level, multiplier: Multiplier, count: int, places: list[IRValue]
) -> None:
    """The code of a ``SplitSpec``; places are its operands."""
    source, target = places
    writer = PairWriter(builder, level, multiplier, count)

    def value(slot: IRValue, v: int) -> IRValue:
        at = builder.add(builder.mul(slot, i64(level.lanes)), i64(v * level.width))
        return load(builder, builder.gep(source, [at]), WIDTH, 4 * WIDTH)

    def body(pair: IRValue, state: list[IRValue]) -> list[IRValue]:
        first = builder.mul(pair, i64(2))
        for v in range(level.vectors):
            both = value(first, v), value(builder.add(first, i64(1)), v)
            writer.store(target, pair, v, *both)
        return state

    loop(builder, i64(count // 2), body)
    if count % 2:
        for v in range(level.vectors):
            last = value(i64(count - 1), v)
            writer.store(target, i64(count // 2), v, last, writer.vector.const(0.0))
    writer.clear(target, count)


def paired(builder: Builder, low: IRValue, high: IRValue) -> IRValue:
    """A word for each lane, as float32: both numbers rounded, ``low`` in the lower half."""
    lanes = [lane + half for lane in range(WIDTH) for half in (0, WIDTH)]
    shorts = ir.VectorType(ir.IntType(16), 2 * WIDTH)
    held = builder.bitcast(one_after_other(builder, low, high), shorts)
    order = ir.Constant(ir.VectorType(I32, 2 * WIDTH), lanes)
    mixed = builder.shuffle_vector(held, ir.Constant(shorts, ir.Undefined), order)
    return builder.bitcast(mixed, FLOATS)


def one_after_other(builder: Builder, low: IRValue, high: IRValue) -> IRValue:
    """Both vectors rounded to bfloat16, as ``bf16.rounded``: 16 of ``low``, then 16 of ``high``."""
    kind = ir.FunctionType(HALVES, [FLOATS, FLOATS])
    convert = declare(builder.module, kind, "llvm.x86.avx512bf16.cvtne2ps2bf16.512")
    return builder.call(convert, [high, low])


def unpaired(vector: VectorArithmetic, word: IRValue) -> tuple[IRValue, IRValue]:
    """The two numbers of each word as float32."""
    bits = vector.bits(word)
    return (
        vector.from_bits(vector.shl(bits, 16)),
        vector.from_bits(vector.iand(bits, vector.iconst(-65536))),
    )


def halves(builder: Builder, word: IRValue) -> Any:
    """Words as the operand of ``vdpbf16ps``."""
    return builder.bitcast(word, HALVES)
