"""Machine code that shares calls from Python among threads: batches, and one wide row.

As in ``entry``, each is a Python callable over a kernel's ``FORM``: ``batch(form, [X, out,
threads])`` and ``wide_row(form, [x, out, threads])``. Arrays that can be used as they are go
through the kernel on the calling thread and the pool's, without the interpreter's lock. Anything
else, too many rows (``FORM``), or a pool whose scratch is needed and taken, is answered with
None. So a batch of two tiles takes 1 us more than its tiles, where ctypes and NumPy took 20.
"""

from __future__ import annotations

from llvmlite import ir

from instjit.kernels import fields
from instjit.kernels.calling import LINE, LINE_READ, WIDE_ROW, array_at, call
from instjit.kernels.fields import BATCH, FORM, PIECES
from instjit.kernels.pycall import (
    POINTER,
    READ,
    Array,
    Fields,
    Road,
    Stretch,
    bytes_of,
    known_function,
)
from instjit.kernels.simd import I64, Builder, IRValue, i64, loop, smaller
from instjit.kernels.workers import SHARE, PoolFields, current_pool

UNREADY = "NotImplemented"
"""The answer where the process's pool is missing or lacks threads or scratch."""


def _write_batch(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    builder, form, x = road.builder, road.form, road.argument(0)
    job = builder.alloca(I64, size=len(BATCH))
    job.align = 8 * fields.LINE
    road.require_floats(x, 2, READ)
    road.require_size(x, 1, form.width_in)
    rows = x.size(0)
    allowed = _allowed(builder, form, _number(builder, road.argument(2)))
    _require_few(road, rows, allowed)
    units, tiled = _units(builder, form, rows, allowed)
    threads = smaller(builder, allowed, units)
    held = _ready_pool(road, threads, builder.mul(threads, form.tile_bytes))
    read = Stretch(x.data, bytes_of(builder, [rows, form.width_in]))
    out = road.output(road.argument(1), [rows, form.width_out], read)
    with builder.if_then(_few_and_wide(builder, form, rows, allowed)):
        _each_wide_row(builder, form, held, allowed, (rows, x.data, out.data))
        road.answer(out)
    taken = held.take()
    road.require_or_drop(builder.or_(taken, _none(builder, tiled)), out)
    seats = builder.sub(threads, i64(1))
    grain = builder.udiv(units, builder.mul(threads, i64(PIECES)))
    values = {
        "code": held.read("batch"), "total": units, "grain": builder.add(grain, i64(1)),
        "claimed": i64(0), "workers": i64(0), "seats": seats,
        "tiled": tiled, "x": x.data, "y": out.data, "rows": rows, "shared": i64(0),
        "start": i64(0), "stop": form.width_out, "scratch": held.read("scratch"),
        "scratch_bytes": form.tile_bytes,
    }  # fmt: skip
    for place, name in enumerate(BATCH):
        value = values[name] if name in values else getattr(form, name)
        builder.store(value, builder.gep(job, [i64(place)]))
    waiting = _let_others_run(builder)
    several = builder.and_(taken, builder.not_(_none(builder, seats)))
    _do(builder, held, builder.bitcast(job, POINTER), several)
    with builder.if_then(taken):
        held.give()
    _go_on(builder, waiting)
    road.answer(out)


def _require_few(road: Road, rows: IRValue, threads: IRValue) -> None:
    """Go on with 1 to ``longest`` rows, on several threads to ``longest_shared``."""
    builder, form = road.builder, road.form
    one = builder.icmp_unsigned("==", threads, i64(1))
    most = builder.select(one, form.longest, form.longest_shared)
    road.require(builder.icmp_unsigned("<", builder.sub(rows, i64(1)), most))


def _allowed(builder: Builder, form: Fields, number: IRValue) -> IRValue:
    """Threads of a call; remembered unless below 0, which is for the call alone."""
    usual = builder.icmp_signed(">", number, i64(0))
    with builder.if_then(usual):
        builder.store(number, form.at("granted"))
    return builder.select(usual, number, builder.neg(number))


def _do(builder: Builder, held: PoolFields, job: IRValue, several: IRValue) -> None:
    with builder.if_else(several) as (together, single):
        with together:
            share = builder.inttoptr(held.read("share"), SHARE.as_pointer())
            builder.call(share, [held.pointer, job])
        with single:
            kind = ir.FunctionType(ir.VoidType(), [POINTER])
            builder.call(builder.inttoptr(held.read("alone"), kind.as_pointer()), [job])


def _write_wide_row(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    builder, form, x = road.builder, road.form, road.argument(0)
    road.require_floats(x, 1, READ)
    road.require_size(x, 0, form.width_in)
    threads = _number(builder, road.argument(2))
    held = _ready_pool(road, threads, i64(0))
    out = road.output(road.argument(1), [form.width_out])
    _each_wide_row(builder, form, held, threads, (i64(1), x.data, out.data))
    road.answer(out)


def _few_and_wide(builder: Builder, form: Fields, rows: IRValue, threads: IRValue) -> IRValue:
    """Whether there is more than a thread for each row, and a row is worth several."""
    wide = builder.not_(_none(builder, form.wide_row))
    return builder.and_(wide, builder.icmp_signed("<", rows, threads))


def _each_wide_row(
    builder: Builder,
    form: Fields,
    held: PoolFields,
    threads: IRValue,
    places: tuple[IRValue, IRValue, IRValue],
) -> None:
    """One row after the other: how many, where they lie, where they go to."""
    rows, x, y = places
    waiting = _let_others_run(builder)
    helpers = _take_for_a_row(builder, held, threads)

    def body(row: IRValue, state: list[IRValue]) -> list[IRValue]:
        arrays = [
            array_at(builder, kind, builder.add(base, bytes_of(builder, [row, width])), [width])
            for kind, base, width in ((LINE_READ, x, form.width_in), (LINE, y, form.width_out))
        ]
        call(builder, WIDE_ROW, form.wide_row, [*arrays, form.k, form.n, helpers])
        return state

    loop(builder, rows, body)
    with builder.if_then(builder.not_(_none(builder, helpers))):
        held.give()
    _go_on(builder, waiting)


def _none(builder: Builder, number: IRValue) -> IRValue:
    return builder.icmp_unsigned("==", number, i64(0))


def _take_for_a_row(builder: Builder, held: PoolFields, threads: IRValue) -> IRValue:
    """The pool's address where there are threads to share with and it is free, else 0."""
    found = builder.alloca(I64)
    builder.store(i64(0), found)
    seats = builder.sub(threads, i64(1))
    with builder.if_then(builder.icmp_signed(">", seats, i64(0))), builder.if_then(held.take()):
        builder.store(seats, held.at("seats"))
        builder.store(builder.ptrtoint(held.pointer, I64), found)
    return builder.load(found)


def _units(
    builder: Builder, form: Fields, rows: IRValue, threads: IRValue
) -> tuple[IRValue, IRValue]:
    """How many units, and how many of them are tiles.

    Rows one by one where there are fewer than the threads do in the time of a tile; behind whole
    tiles where all threads have as many of those, or there are few for one thread.
    """
    spread = builder.mul(form.few, threads)
    whole, rest = builder.udiv(rows, form.lanes), builder.urem(rows, form.lanes)
    level = builder.icmp_unsigned("==", builder.urem(whole, threads), i64(0))
    short = builder.icmp_unsigned("<=", rest, builder.select(level, spread, form.few))
    tail = builder.zext(builder.not_(short), I64)
    tiled = builder.add(whole, tail)
    units = builder.add(tiled, builder.select(short, rest, i64(0)))
    split = builder.icmp_unsigned("<", rows, spread)
    return builder.select(split, rows, units), builder.select(split, i64(0), tiled)


def _ready_pool(road: Road, threads: IRValue, scratch_bytes: IRValue) -> PoolFields:
    """Go on with the pool of this process where it has the threads and the scratch."""
    builder = road.builder
    present, held = current_pool(builder, road.form)
    road.require(present, UNREADY)
    enough = builder.icmp_signed(">=", held.read("count"), builder.sub(threads, i64(1)))
    room = builder.icmp_unsigned(">=", held.read("scratch_bytes"), scratch_bytes)
    road.require(builder.and_(enough, room), UNREADY)
    return held


def _number(builder: Builder, given: Array) -> IRValue:
    """A Python int as a number of threads; the caller has seen to it that it is one."""
    kind = ir.FunctionType(I64, [POINTER])
    return builder.call(known_function(builder, "PyLong_AsLong", kind), [given.pointer])


def _let_others_run(builder: Builder) -> IRValue:
    """Give the interpreter's lock back: 0.1 us, through ctypes 10."""
    kind = ir.FunctionType(POINTER, [])
    return builder.call(known_function(builder, "PyEval_SaveThread", kind), [])


def _go_on(builder: Builder, waiting: IRValue) -> None:
    kind = ir.FunctionType(ir.VoidType(), [POINTER])
    builder.call(known_function(builder, "PyEval_RestoreThread", kind), [waiting])


WRITERS = {"batch": _write_batch, "wide_row": _write_wide_row}
"""Of the functions by their names."""
