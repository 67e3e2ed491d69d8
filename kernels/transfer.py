"""Between the caller's rows and scratch: register transposes of ``width`` rows by ``width`` columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from llvmlite import ir

from instjit.kernels.simd import (
    Builder,
    IRValue,
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


def load_columns(
    builder: Builder, level: Level, x: IRValue, stride: IRValue, place: IRValue, count: int
) -> None:
    """Slots ``place[c][lane] = x[lane * stride + c]`` for c < count and every lane of a tile."""
    _each_block(builder, level, x, stride, place, count, _load_block)


def store_columns(
    builder: Builder, level: Level, y: IRValue, stride: IRValue, place: IRValue, count: int
) -> None:
    """``y[lane * stride + c] = place[c][lane]`` for c < count and every lane of a tile."""
    _each_block(builder, level, y, stride, place, count, _store_block)


BlockMover: TypeAlias = Callable[[Builder, Level, IRValue, IRValue, IRValue, int], None]


def _each_block(
    builder: Builder,
    level: Level,
    rows: IRValue,
    stride: IRValue,
    place: IRValue,
    count: int,
    move: BlockMover,
) -> None:
    """Move blocks of ``width`` rows by ``width`` columns, the last columns in a narrower block."""
    whole, rest = divmod(count, level.width)

    def vectors(column: IRValue, columns: int) -> None:
        def body(v: IRValue, state: list[IRValue]) -> list[IRValue]:
            lane = builder.mul(v, i64(level.width))
            corner = builder.add(builder.mul(lane, stride), column)
            slot = builder.add(builder.mul(column, i64(level.lanes)), lane)
            move(
                builder,
                level,
                builder.gep(rows, [corner]),
                stride,
                builder.gep(place, [slot]),
                columns,
            )
            return state

        loop(builder, i64(level.vectors), body)

    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        vectors(builder.mul(number, i64(level.width)), level.width)
        return state

    if whole:
        loop(builder, i64(whole), body)
    if rest:
        vectors(i64(whole * level.width), rest)


def _load_block(
    builder: Builder, level: Level, base: IRValue, stride: IRValue, slots: IRValue, columns: int
) -> None:
    rows = [
        load_part(builder, builder.gep(base, [builder.mul(stride, i64(r))]), columns, level.width)
        for r in range(level.width)
    ]
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
