"""Words of two bfloat16 straight from the caller's rows: rounded along the row, then transposed.

Two neighbours of a row are a word already, so 32 columns take one transpose of 16 by 16 where
float32 takes two.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from instjit.kernels.simd import (
    FLOAT,
    Builder,
    IRValue,
    VectorArithmetic,
    declare,
    i64,
    load_part,
    loop,
    transpose,
)
from instjit.kernels.specs import WordsSpec
from instjit.kernels.split import WIDTH, PairWriter, one_after_other
from instjit.kernels.target import Level

COLUMNS = 2 * WIDTH
"""Columns of a block."""


def write_words(
    builder: Builder, level: Level, spec: WordsSpec, rows: IRValue, place: IRValue
) -> None:
    """The code of a ``WordsSpec`` for all rows of a tile from ``rows``."""
    first = builder.gep(rows, [i64(spec.column)])
    whole, rest = divmod(spec.count, COLUMNS)

    def block(column: IRValue, columns: int) -> None:
        write = _block_function(builder.module, level, spec, columns)
        pair = builder.udiv(column, i64(2))
        for v in range(level.vectors):
            corner = builder.add(column, i64(v * WIDTH * spec.width))
            slot = builder.add(builder.mul(pair, i64(level.lanes)), i64(v * WIDTH))
            builder.call(write, [builder.gep(first, [corner]), builder.gep(place, [slot])])

    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        block(builder.mul(number, i64(COLUMNS)), COLUMNS)
        return state

    if whole:
        loop(builder, i64(whole), body)
    if rest:
        block(i64(whole * COLUMNS), rest)
    PairWriter(builder, level, spec.multiplier, spec.count).clear(place, spec.count)


def _block_function(module: Any, level: Level, spec: WordsSpec, columns: int) -> Any:
    """The LLVM function of 16 rows of some columns."""
    floats = FLOAT.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [floats, floats])
    shape = f"{level.lanes}_{spec.width}_{spec.multiplier.slots(spec.count)}_{columns}"
    function = declare(module, kind, f"instjit_words_{spec.multiplier.parts}_{shape}")
    if function.is_declaration:
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        _write_block(builder, level, spec, columns, *function.args)
        builder.ret_void()
    return function


def _write_block(
    builder: Builder, level: Level, spec: WordsSpec, columns: int, rows: IRValue, place: IRValue
) -> None:
    writer = PairWriter(builder, level, spec.multiplier, spec.count)
    vector = VectorArithmetic(builder, WIDTH)
    held = [
        _loaded(builder, vector, builder.gep(rows, [i64(r * spec.width)]), columns)
        for r in range(WIDTH)
    ]
    for part in range(spec.multiplier.parts):
        words = [one_after_other(builder, low, high) for low, high in held]
        turned = transpose(builder, [builder.bitcast(word, vector.float) for word in words])
        for pair in range(-(-columns // 2)):
            writer.store_word(place, i64(pair), part, 0, turned[pair])
        if part + 1 < spec.multiplier.parts:
            held = [
                tuple(
                    vector.sub(value, _widened(builder, vector, word, half))
                    for half, value in enumerate(both)
                )
                for both, word in zip(held, words, strict=True)
            ]


def _loaded(
    builder: Builder, vector: VectorArithmetic, row: IRValue, columns: int
) -> tuple[IRValue, ...]:
    """The first ``columns`` of a row as two vectors, zeros after them."""
    low = load_part(builder, row, min(columns, WIDTH), WIDTH)
    if columns <= WIDTH:
        return low, vector.const(0.0)
    high = load_part(builder, builder.gep(row, [i64(WIDTH)]), columns - WIDTH, WIDTH)
    return low, high


def _widened(builder: Builder, vector: VectorArithmetic, word: IRValue, half: int) -> IRValue:
    """16 of 32 bfloat16 as float32."""
    shorts = ir.VectorType(ir.IntType(16), 2 * WIDTH)
    held = builder.bitcast(word, shorts)
    lanes = ir.Constant(vector.int, list(range(half * WIDTH, (half + 1) * WIDTH)))
    chosen = builder.shuffle_vector(held, ir.Constant(shorts, ir.Undefined), lanes)
    return vector.from_bits(vector.shl(builder.zext(chosen, vector.int), 16))
