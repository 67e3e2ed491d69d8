"""Machine code that calls kernels from Python without a conversion, on the calling thread.

Two functions for all kernels; what differs from kernel to kernel comes as an array of
int64 fields (``FORM``), numbers and addresses. ``row(form, [x, out])`` and ``rows(form, [X, out])``
are Python callables (``pyobjects.method``): arrays that can be used as they are go through the
kernel, with the interpreter's lock held, and the answer is the output. The answer is None for
anything else: other types, shapes or orders, overlapping memory, more rows than ``most``, or than
``near`` where other threads are awake or will be needed again at once. The caller then shares the
call (``sharing``) or takes the long road, with its conversions and its errors.
"""

from __future__ import annotations

import time

from llvmlite import ir

from instjit.kernels.calling import (
    LINE,
    LINE_READ,
    ROWS,
    ROWS_READ,
    TILES,
    array_at,
    call,
    call_row,
)
from instjit.kernels.fields import FORM
from instjit.kernels.pycall import READ, Fields, Road, Stretch, bytes_of, known_function
from instjit.kernels.simd import I32, I64, Builder, IRValue, i64, loop
from instjit.kernels.workers import current_pool

I1 = ir.IntType(1)

AGAIN = 100_000
"""Nanoseconds within which the next call shows that it pays to wake threads: they then stay awake
for twice as long (``workers.SPINS``)."""


def _write_row(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    form, x = road.form, road.argument(0)
    road.require_floats(x, 1, READ)
    road.require_size(x, 0, form.width_in)
    out = road.output(road.argument(1), [form.width_out])
    _call_row(road.builder, form, x.data, out.data)
    road.answer(out)


def _write_rows(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    builder, form, x = road.builder, road.form, road.argument(0)
    road.require_floats(x, 2, READ)
    road.require_size(x, 1, form.width_in)
    rows = x.size(0)
    within = builder.icmp_unsigned("<", builder.sub(rows, i64(1)), form.most)  # 1 .. most
    road.require(within)
    far = builder.icmp_unsigned(">", rows, form.near)
    with builder.if_then(far):
        _require_nobody(road)
    taken = Stretch(x.data, bytes_of(builder, [rows, form.width_in]))
    out = road.output(road.argument(1), [rows, form.width_out], taken)
    _run_few(builder, form, rows, x.data, out.data)
    with builder.if_then(far):
        builder.store(_now(builder), form.at("ended"))
    road.answer(out)


def _require_nobody(road: Road) -> None:
    """Go on where sharing would wake threads for this call alone, or there is one thread."""
    builder, form = road.builder, road.form
    one = builder.icmp_unsigned("==", form.granted, i64(1))
    again = builder.icmp_signed("<", builder.sub(_now(builder), form.ended), i64(AGAIN))
    worth = builder.or_(again, _others_look(builder, form))
    road.require(builder.or_(one, builder.not_(worth)))


def _others_look(builder: Builder, form: Fields) -> IRValue:
    """Whether the process has a pool, which is free and has a thread awake."""
    present, held = current_pool(builder, form)
    found = builder.alloca(I1)
    builder.store(I1(0), found)
    with builder.if_then(present):
        awake = builder.icmp_signed("<", held.seen("sleeping"), held.read("count"))
        free = builder.icmp_unsigned("==", held.seen("busy"), i64(0))
        builder.store(builder.and_(awake, free), found)
    return builder.load(found)


def _now(builder: Builder) -> IRValue:
    """Nanoseconds of a clock that only goes forward: 40 ns."""
    spec = builder.alloca(I64, size=2)
    kind = ir.FunctionType(I32, [I32, I64.as_pointer()])
    function = known_function(builder, "clock_gettime", kind)
    builder.call(function, [I32(time.CLOCK_MONOTONIC), spec])
    seconds, rest = (builder.load(builder.gep(spec, [i64(part)])) for part in (0, 1))
    return builder.add(builder.mul(seconds, i64(1_000_000_000)), rest)


def _run_few(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    """Whole tiles, and what is left as one more tile or one by one, whichever is quicker.

    Few rows take no tile, even of one row: there may be no scratch for it.
    """
    rest = builder.urem(rows, form.lanes)
    short = builder.icmp_unsigned("<=", rest, form.few)
    tiled = builder.select(short, builder.sub(rows, rest), rows)
    few = builder.icmp_unsigned("<=", rows, form.few)
    tiled = builder.select(few, i64(0), tiled)
    with builder.if_then(builder.icmp_unsigned("!=", tiled, i64(0))):
        _all_tiles(builder, form, tiled, x, y)
    single = builder.sub(rows, tiled)
    with builder.if_then(builder.icmp_unsigned("!=", single, i64(0))):
        begin, end = (
            builder.add(base, bytes_of(builder, [tiled, width]))
            for base, width in ((x, form.width_in), (y, form.width_out))
        )
        _each_row(builder, form, single, begin, end)


def _each_row(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        at, to = (
            builder.add(base, builder.mul(builder.mul(number, width), i64(4)))
            for base, width in ((x, form.width_in), (y, form.width_out))
        )
        _call_row(builder, form, at, to)
        return state

    loop(builder, rows, body)


def _all_tiles(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    up = builder.sub(builder.add(rows, form.lanes), i64(1))
    total = builder.udiv(up, form.lanes)
    arrays = [
        array_at(builder, ROWS_READ, x, [rows, form.width_in]),
        array_at(builder, ROWS, y, [rows, form.width_out]),
    ]
    rest = [i64(0), form.width_out, form.k, form.n, form.scratch]
    whole = ir.Constant(ir.IntType(1), 0)
    call(builder, TILES, form.tiles, [*arrays, i64(0), total, whole, *rest])


def _call_row(builder: Builder, form: Fields, x: IRValue, y: IRValue) -> None:
    arrays = [
        array_at(builder, LINE_READ, x, [form.width_in]),
        array_at(builder, LINE, y, [form.width_out]),
    ]
    call_row(builder, (form.row, form.wide_row), arrays, form.k, form.n)


WRITERS = {"row": _write_row, "rows": _write_rows}
"""Of the functions by their names."""
