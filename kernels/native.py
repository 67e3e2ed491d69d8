"""The names of the generated text for Numba: each one an ``@intrinsic`` over LLVM functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from instjit.kernels import amx
from instjit.kernels.located import CONSTRUCTORS
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import FLOAT, I64, Builder, IRValue, declare, i64, larger, shared, smaller
from instjit.kernels.spans import span_step, tile_scratch
from instjit.kernels.specs import (
    ColumnsSpec,
    GemmSpec,
    LookupSpec,
    MapSpec,
    ProductSpec,
    ReduceSpec,
    SplitSpec,
    WordsSpec,
)
from instjit.kernels.steps import FLOATS, Schedule, Steps, address_of, place_of
from instjit.kernels.target import Level
from instjit.kernels.tile import TileSchedule
from instjit.kernels.wide import wide_step
from instjit.kernels.words import write_words

BYTES = ir.IntType(8).as_pointer()
SCRATCH_ALIGNMENT = 64


def namespace(level: Level, *, rows: bool) -> dict[str, Any]:
    """What the generated text sees when it is compiled.

    Parameters
    ----------
    level
        Blocking; with ``level.vectors == 0`` tiles are single rows.
    rows
        Give the steps their form for one row instead of a tile.
    """
    schedule: Schedule = RowSchedule(level) if rows or not level.vectors else TileSchedule(level)
    steps = Steps(schedule)
    return {
        **CONSTRUCTORS,
        "gemm": lambda **fields: steps.step("gemm", GemmSpec(**fields)),
        "wide_gemm": lambda **fields: wide_step(level, GemmSpec(**fields)),
        "span_gemm": lambda slots, **fields: span_step(level, GemmSpec(**fields), slots),
        "tile_scratch": lambda slots: tile_scratch(level, slots),
        "split": lambda **fields: steps.step("split", SplitSpec(**fields)),
        "product": lambda **fields: steps.step("product", ProductSpec(**fields)),
        "together": steps.together,
        "begin_tiles": _tiles(begin=True),
        "end_tiles": _tiles(begin=False),
        "elementwise": lambda **fields: steps.step("map", MapSpec(**fields)),
        "reduce": lambda **fields: steps.step("reduce", ReduceSpec(**fields)),
        "lookup": lambda **fields: steps.step("lookup", LookupSpec(**fields)),
        "columns_in": lambda **fields: _columns(schedule, schedule.load, ColumnsSpec(**fields)),
        "columns_out": lambda **fields: _columns(schedule, schedule.store, ColumnsSpec(**fields)),
        "words_in": lambda **fields: _columns(schedule, _words(schedule), WordsSpec(**fields)),
        "part_in": lambda **fields: _part(schedule, ColumnsSpec(**fields), storing=False),
        "part_out": lambda **fields: _part(schedule, ColumnsSpec(**fields), storing=True),
        "stack": _stack,
        "address": address,
        "aligned": aligned,
        "release": release,
        "empty": empty,
        "float32": np.float32,
    }


def _words(schedule: Schedule) -> Callable[[Builder, WordsSpec, IRValue, list[IRValue]], None]:
    return lambda builder, spec, rows, places: write_words(
        builder, schedule.level, spec, rows, *places
    )


def _columns(
    schedule: Schedule,
    write: Callable[[Builder, Any, IRValue, list[IRValue]], None],
    spec: ColumnsSpec | WordsSpec,
) -> Any:
    """``f(rows, row, s)`` for all rows of a tile from ``row``."""

    @intrinsic
    def move(typing: Any, rows: Any, row: Any, s: Any) -> Any:
        _check_rows(rows, writing=write == schedule.store)
        signature = types.void(rows, types.int64, s)

        def codegen(
            context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]
        ) -> IRValue:
            data = _rows_at(context, builder, signature.args[0], args[0], args[1], spec.width)
            s = address_of(context, builder, signature.args[2], args[2], FLOATS)
            places = [
                place_of(builder, {"s": s}, schedule.lanes, area, at)
                for area, at in spec.operands()
            ]
            write(builder, spec, data, places)
            return context.get_dummy_value()

        return signature, codegen

    return move


def _part(schedule: Schedule, spec: ColumnsSpec, *, storing: bool) -> Any:
    """``f(rows, row, count, start, stop, s)``: some rows, columns start .. stop of a wider row.

    Plain loops: the road for the last rows of a batch and for slices of the flat buffer. Loading
    repeats the last row in the lanes from ``count`` on.
    """

    @intrinsic
    def move(typing: Any, rows: Any, row: Any, count: Any, start: Any, stop: Any, s: Any) -> Any:
        signature = types.void(rows, types.int64, types.int64, types.int64, types.int64, s)

        def codegen(
            context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]
        ) -> IRValue:
            held, row, count, start, stop, _ = args
            data = _rows_at(
                context, builder, signature.args[0], held, row, builder.sub(stop, start)
            )
            s = address_of(context, builder, signature.args[5], args[5], FLOATS)
            function = part_function(builder.module, schedule.lanes, storing)
            for column, slot, columns in spec.columns:
                place = place_of(builder, {"s": s}, schedule.lanes, "s", slot)
                run = [i64(column), i64(column + columns)]
                builder.call(function, [place, data, *run, start, stop, count])
            return context.get_dummy_value()

        return signature, codegen

    return move


def part_function(module: Any, lanes: int, storing: bool) -> Any:
    """The LLVM function of one run of columns, for all runs: a flat buffer may hold hundreds."""
    name = f"instjit_part_{'store' if storing else 'load'}_{lanes}"

    def write(builder: Builder, arguments: Sequence[IRValue]) -> None:
        _move_part(builder, lanes, storing, *arguments)

    return shared(module, name, [FLOATS, FLOATS, *[I64] * 5], write, apart=True)


def _move_part(
    builder: Builder,
    lanes: int,
    storing: bool,
    slots: IRValue,
    rows: IRValue,
    column: IRValue,
    end: IRValue,
    start: IRValue,
    stop: IRValue,
    count: IRValue,
) -> None:
    width = builder.sub(stop, start)
    first, last = larger(builder, start, column), smaller(builder, stop, end)
    with cgutils.for_range_slice(builder, first, last, i64(1), I64) as (at, _):
        slot = builder.gep(slots, [builder.mul(builder.sub(at, column), i64(lanes))])
        cell = builder.gep(rows, [builder.sub(at, start)])
        with cgutils.for_range(builder, count if storing else i64(lanes)) as lane_loop:
            lane = lane_loop.index
            row = lane if storing else smaller(builder, lane, builder.sub(count, i64(1)))
            held, outside = builder.gep(slot, [lane]), builder.gep(cell, [builder.mul(row, width)])
            source, target = (held, outside) if storing else (outside, held)
            builder.store(builder.load(source, align=4), target, align=4)


def _tiles(*, begin: bool) -> Any:
    """``f()``: gives AMX's tiles their size on this thread, or gives them back."""

    @intrinsic
    def configure(typing: Any) -> Any:
        def codegen(
            context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]
        ) -> IRValue:
            unit = amx.Tiles(builder)
            (unit.configure if begin else unit.release)()
            return context.get_dummy_value()

        return types.void(), codegen

    return configure


def _stack(slots: int) -> Any:
    """``f() -> address`` of ``slots`` floats in the caller's frame, aligned to a cache line."""

    @intrinsic
    def reserve(typing: Any) -> Any:
        def codegen(
            context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]
        ) -> IRValue:
            area = cgutils.alloca_once(builder, ir.ArrayType(FLOAT, slots))
            area.align = SCRATCH_ALIGNMENT
            return builder.ptrtoint(area, I64)

        return types.uint64(), codegen

    return reserve


@intrinsic
def empty(typing: Any, count: Any, kind: Any) -> Any:
    """Address of so many floats from the C library; Numba's arrays need its runtime."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        take = declare(builder.module, ir.FunctionType(BYTES, [I64]), "malloc")
        size = builder.mul(context.cast(builder, args[0], signature.args[0], types.int64), i64(4))
        found = builder.ptrtoint(builder.call(take, [size]), I64)
        with builder.if_then(builder.icmp_unsigned("==", found, i64(0)), likely=False):
            stop = declare(builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap")
            builder.call(stop, [])  # out of memory: nobody could be told
            builder.unreachable()
        return found

    return types.uint64(count, kind), codegen


@intrinsic
def aligned(typing: Any, buffer: Any) -> Any:
    """The first cache line in memory of ``empty`` that is 16 floats longer than needed."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        up = builder.add(args[0], i64(SCRATCH_ALIGNMENT - 1))
        return builder.and_(up, i64(-SCRATCH_ALIGNMENT))

    return types.uint64(buffer), codegen


@intrinsic
def address(typing: Any, rows: Any, row: Any) -> Any:
    """Where a row of a C-contiguous float32 array begins; the array may end before it.

    A one-dimensional array is row 0.
    """

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        held = context.make_array(signature.args[0])(context, builder, args[0])
        columns = builder.extract_value(held.shape, signature.args[0].ndim - 1)
        return builder.ptrtoint(builder.gep(held.data, [builder.mul(args[1], columns)]), I64)

    return types.uint64(rows, types.int64), codegen


@intrinsic
def release(typing: Any, buffer: Any) -> Any:
    """Give memory of ``empty`` back."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        give = declare(builder.module, ir.FunctionType(ir.VoidType(), [BYTES]), "free")
        builder.call(give, [builder.inttoptr(args[0], BYTES)])
        return context.get_dummy_value()

    return types.void(buffer), codegen


def _check_rows(kind: Any, *, writing: bool) -> None:
    """Numba's error for arrays of another kind, which user code can reach through ``inline``."""
    if not isinstance(kind, types.Array) or kind.dtype != types.float32 or kind.layout != "C":
        raise TypingError(f"rows must be C-contiguous float32 arrays, got {kind}")
    if writing and not kind.mutable:
        raise TypingError(f"the array for the output is read-only: {kind}")


def _rows_at(
    context: Any, builder: Builder, kind: Any, value: IRValue, row: IRValue, width: int | IRValue
) -> IRValue:
    data = context.make_array(kind)(context, builder, value).data
    stride = i64(width) if isinstance(width, int) else width
    return builder.gep(data, [builder.mul(row, stride)])
