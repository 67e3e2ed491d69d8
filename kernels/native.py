"""The names of the generated text for Numba: each step one ``@intrinsic`` over an LLVM function.

Steps that differ only in their places share the LLVM function, which takes its places as pointers;
so twenty equal layers are compiled once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from instjit.kernels import amx
from instjit.kernels.located import CONSTRUCTORS, Located, Node, Place
from instjit.kernels.product import write_product
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import (
    FLOAT,
    I32,
    I64,
    Builder,
    IRValue,
    declare,
    i64,
    larger,
    smaller,
)
from instjit.kernels.specs import (
    ColumnsSpec,
    GemmSpec,
    LookupSpec,
    MapSpec,
    ProductSpec,
    ReduceSpec,
    SplitSpec,
    StepSpec,
    WordsSpec,
)
from instjit.kernels.split import write_split
from instjit.kernels.target import Level
from instjit.kernels.tile import TileSchedule
from instjit.kernels.wide import write_wide_gemm
from instjit.kernels.words import write_words

Schedule: TypeAlias = "TileSchedule | RowSchedule"
FLOATS = FLOAT.as_pointer()
INTEGERS = I32.as_pointer()
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
    return {
        **CONSTRUCTORS,
        "gemm": lambda **fields: _step(schedule, "gemm", GemmSpec(**fields)),
        "wide_gemm": lambda **fields: _wide(schedule, GemmSpec(**fields)),
        "split": lambda **fields: _step(schedule, "split", SplitSpec(**fields)),
        "product": lambda **fields: _step(schedule, "product", ProductSpec(**fields)),
        "begin_tiles": _tiles(begin=True),
        "end_tiles": _tiles(begin=False),
        "elementwise": lambda **fields: _step(schedule, "map", MapSpec(**fields)),
        "reduce": lambda **fields: _step(schedule, "reduce", ReduceSpec(**fields)),
        "lookup": lambda **fields: _step(schedule, "lookup", LookupSpec(**fields)),
        "columns_in": lambda **fields: _columns(schedule, schedule.load, ColumnsSpec(**fields)),
        "columns_out": lambda **fields: _columns(schedule, schedule.store, ColumnsSpec(**fields)),
        "words_in": lambda **fields: _columns(schedule, _words(schedule), WordsSpec(**fields)),
        "part_in": lambda **fields: _part(schedule, ColumnsSpec(**fields), storing=False),
        "part_out": lambda **fields: _part(schedule, ColumnsSpec(**fields), storing=True),
        "stack": _stack,
        "address": address,
        "aligned": aligned,
        "release": release,
        "empty": np.empty,
        "float32": np.float32,
    }


def _step(schedule: Schedule, kind: str, spec: StepSpec) -> Any:
    """``f(s, k, n)``, and ``f(s, k, n, x, y)`` where rows of the caller's arrays are operands."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        pointers = {"s": FLOATS, "k": FLOATS, "n": INTEGERS, "x": FLOATS, "y": FLOATS}
        areas = {
            area: _address(context, builder, held, value, pointers[area])
            for area, held, value in zip(pointers, signature.args, args, strict=False)
        }
        places = [_place(builder, areas, schedule.lanes, area, at) for area, at in spec.operands()]
        function = _function(builder, schedule, kind, spec, [place.type for place in places])
        builder.call(function, [*places, areas["k"], areas["n"]])
        return context.get_dummy_value()

    @intrinsic
    def step(typing: Any, s: Any, k: Any, n: Any) -> Any:
        return types.void(s, k, n), codegen

    @intrinsic
    def with_rows(typing: Any, s: Any, k: Any, n: Any, x: Any, y: Any) -> Any:
        return types.void(s, k, n, types.uint64, types.uint64), codegen

    return with_rows if {"x", "y"} & {area for area, _ in spec.operands()} else step


def _wide(schedule: Schedule, spec: GemmSpec) -> Any:
    """``f(s, k, n, pool)``, which the code of one row calls and no other."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        *held, pool = args
        pointers = {"s": FLOATS, "k": FLOATS, "n": INTEGERS}
        areas = {
            area: _address(context, builder, kind, value, pointers[area])
            for area, kind, value in zip(pointers, signature.args, held, strict=False)
        }
        places = [_place(builder, areas, 1, area, at) for area, at in spec.operands()]
        write_wide_gemm(builder, RowSchedule(schedule.level), _gemm_shape(spec), places, pool)
        return context.get_dummy_value()

    @intrinsic
    def step(typing: Any, s: Any, k: Any, n: Any, pool: Any) -> Any:
        return types.void(s, k, n, types.uint64), codegen

    return step


def _place(builder: Builder, areas: dict[str, IRValue], lanes: int, area: str, at: int) -> IRValue:
    return builder.gep(areas[area], [i64(at * lanes if area == "s" else at)])


def _function(
    builder: Builder, schedule: Schedule, kind: str, spec: StepSpec, places: Sequence[Any]
) -> Any:
    """The LLVM function of a step's shape in the builder's module, written on first use."""
    shape = repr((schedule.name, schedule.level, kind, _shape(spec)))
    name = f"instjit_{kind}_{hashlib.sha256(shape.encode()).hexdigest()[:16]}"
    signature = ir.FunctionType(ir.VoidType(), [*places, FLOATS, INTEGERS])
    function = declare(builder.module, signature, name)
    if not function.is_declaration:
        return function
    function.linkage = "internal"
    inner = ir.IRBuilder(function.append_basic_block("entry"))
    *pointers, k, n = function.args
    if isinstance(spec, LookupSpec):
        schedule.lookup(inner, spec, pointers, k, n)
    elif isinstance(spec, SplitSpec):
        write_split(inner, schedule.level, spec.multiplier, spec.count, pointers)
    elif isinstance(spec, ProductSpec) and isinstance(schedule, TileSchedule):
        write_product(inner, schedule, spec, pointers)
    else:
        getattr(schedule, kind)(inner, spec, pointers)
    inner.ret_void()
    return function


def _shape(spec: StepSpec) -> StepSpec:
    """The spec with its places numbered in order, which is all that its code depends on."""
    if isinstance(spec, GemmSpec):
        return _gemm_shape(spec)
    if isinstance(spec, ProductSpec):
        spec = replace(spec, target=0, weights=0, value=_numbered(spec.value, {}))
        following = min(0, spec.following)
        return replace(spec, pairs=0, sums=0, following=following, ahead=_strides(spec.ahead))
    if isinstance(spec, SplitSpec):
        return replace(spec, source=0, target=0)
    if isinstance(spec, LookupSpec):
        return replace(spec, source=0, target=0, directory=0)
    return replace(spec, target=0, value=_numbered(spec.value, {}))


def _gemm_shape(spec: GemmSpec) -> GemmSpec:
    value, ahead = _numbered(spec.value, {}), _strides(spec.ahead)
    return replace(spec, source=0, target=0, weights=0, value=value, ahead=ahead)


def _strides(ahead: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *ahead[1:2], 0, *ahead[3:]) if ahead else ()


def _numbered(value: Located, seen: dict[Place, int]) -> Located:
    if isinstance(value, Node):
        return Node(value.function, tuple(_numbered(part, seen) for part in value.arguments))
    if isinstance(value, Place):
        return replace(value, at=seen.setdefault(value, len(seen)), listed=0)
    return value


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
            s = _address(context, builder, signature.args[2], args[2], FLOATS)
            places = [
                _place(builder, {"s": s}, schedule.lanes, area, at) for area, at in spec.operands()
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
            s = _address(context, builder, signature.args[5], args[5], FLOATS)
            function = _part_function(builder.module, schedule.lanes, storing)
            for column, slot, columns in spec.columns:
                place = _place(builder, {"s": s}, schedule.lanes, "s", slot)
                run = [i64(column), i64(column + columns)]
                builder.call(function, [place, data, *run, start, stop, count])
            return context.get_dummy_value()

        return signature, codegen

    return move


def _part_function(module: Any, lanes: int, storing: bool) -> Any:
    """The LLVM function of one run of columns, for all runs: a flat buffer may hold hundreds."""
    kind = ir.FunctionType(ir.VoidType(), [FLOATS, FLOATS, *[I64] * 5])
    name = f"instjit_part_{'store' if storing else 'load'}_{lanes}"
    function = declare(module, kind, name)
    if function.is_declaration:
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        _move_part(builder, lanes, storing, *function.args)
        builder.ret_void()
    return function


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
def aligned(typing: Any, buffer: Any) -> Any:
    """Address of the first cache line in a float32 array that is 16 floats longer than needed."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        up = builder.add(builder.ptrtoint(data, I64), i64(SCRATCH_ALIGNMENT - 1))
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
    """Keep the array alive up to here: ``aligned`` hides its last use from Numba."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
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


def _address(context: Any, builder: Builder, kind: Any, value: IRValue, pointer: Any) -> IRValue:
    if isinstance(kind, types.Array):
        return builder.bitcast(context.make_array(kind)(context, builder, value).data, pointer)
    return builder.inttoptr(value, pointer)
