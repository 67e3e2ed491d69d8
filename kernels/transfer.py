"""Between the caller's rows and scratch: transposes of ``width`` rows by ``width`` columns."""

from __future__ import annotations

from typing import Any
from typing import Literal as OneOf

from llvmlite import ir

from instjit.kernels.simd import (
    FLOAT,
    I32,
    I64,
    Builder,
    IRValue,
    declare,
    i64,
    load,
    load_part,
    loop,
    store,
    store_part,
    transpose,
    vector_type,
)
from instjit.kernels.target import Level


def move_columns(
    builder: Builder,
    level: Level,
    direction: OneOf["load", "store"],
    rows: IRValue,
    stride: IRValue,
    place: IRValue,
    count: int,
) -> None:
    """Let ``place[c][lane]`` be ``rows[lane * stride + c]``, or the other way for "store".

    For c < count and every lane of a tile, in blocks of ``width`` rows by ``width`` columns, the
    last columns in a narrower block.
    """
    whole, rest = divmod(count, level.width)

    def blocks(column: IRValue, columns: int) -> None:
        move = _block_function(builder.module, level, direction, columns)

        def body(v: IRValue, state: list[IRValue]) -> list[IRValue]:
            lane = builder.mul(v, i64(level.width))
            corner = builder.add(builder.mul(lane, stride), column)
            slot = builder.add(builder.mul(column, i64(level.lanes)), lane)
            builder.call(move, [builder.gep(rows, [corner]), stride, builder.gep(place, [slot])])
            return state

        loop(builder, i64(level.vectors), body)

    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        blocks(builder.mul(number, i64(level.width)), level.width)
        return state

    if whole:
        loop(builder, i64(whole), body)
    if rest:
        blocks(i64(whole * level.width), rest)


def take_rows(
    builder: Builder, level: Level, k: IRValue, places: IRValue, slots: IRValue, size: int
) -> None:
    """Let ``slots[c][lane]`` be ``k[places[lane] + c]`` for c < size and a vector of lanes."""
    bases = [
        builder.gep(k, [builder.zext(builder.extract_element(places, ir.Constant(I32, r)), I64)])
        for r in range(level.width)
    ]
    whole, rest = divmod(size, level.width)

    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        column = builder.mul(number, i64(level.width))
        move(column, level.width)
        return state

    def move(column: IRValue, columns: int) -> None:
        rows = [
            load_part(builder, builder.gep(base, [column]), columns, level.width) for base in bases
        ]
        slot = builder.gep(slots, [builder.mul(column, i64(level.lanes))])
        _store_slots(builder, level, rows, slot, columns)

    if whole:
        loop(builder, i64(whole), body)
    if rest:
        move(i64(whole * level.width), rest)


def _block_function(module: Any, level: Level, direction: str, columns: int) -> Any:
    """The LLVM function of one block, shared by all buffers: a flat buffer may hold hundreds."""
    floats = FLOAT.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [floats, I64, floats])
    function = declare(module, kind, f"instjit_{direction}_{level.lanes}_{level.width}_{columns}")
    if function.is_declaration:
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        rows, stride, slots = function.args
        write = _load_block if direction == "load" else _store_block
        write(builder, level, rows, stride, slots, columns)
        builder.ret_void()
    return function


def _load_block(
    builder: Builder, level: Level, base: IRValue, stride: IRValue, slots: IRValue, columns: int
) -> None:
    rows = [
        load_part(builder, builder.gep(base, [builder.mul(stride, i64(r))]), columns, level.width)
        for r in range(level.width)
    ]
    _store_slots(builder, level, rows, slots, columns)


def _store_slots(
    builder: Builder, level: Level, rows: list[IRValue], slots: IRValue, columns: int
) -> None:
    for c, value in enumerate(transpose(builder, rows)[:columns]):
        store(builder, value, builder.gep(slots, [i64(c * level.lanes)]), 4 * level.width)


def _store_block(
    builder: Builder, level: Level, base: IRValue, stride: IRValue, slots: IRValue, columns: int
) -> None:
    undefined = ir.Constant(vector_type(level.width), ir.Undefined)
    held = [
        load(builder, builder.gep(slots, [i64(c * level.lanes)]), level.width, 4 * level.width)
        for c in range(columns)
    ]
    rows = transpose(builder, held + [undefined] * (level.width - columns))
    for r, value in enumerate(rows):
        store_part(
            builder, value, builder.gep(base, [builder.mul(stride, i64(r))]), columns, level.width
        )
