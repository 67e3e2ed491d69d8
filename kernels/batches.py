"""Machine code that does units of a shared batch: tiles, then single rows; or of its phases.

A batch is a job of ``workers`` with fields of its own: units ``0 .. tiled`` are tiles, those after
them are single rows behind them. Tiles that go together (``phases``) are a job for each phase.
"""

from __future__ import annotations

from llvmlite import ir

from instjit.kernels.calling import (
    LINE,
    LINE_READ,
    PHASES,
    ROWS,
    ROWS_READ,
    TILES,
    array_at,
    call,
    call_row,
)
from instjit.kernels.fields import BATCH, PHASED
from instjit.kernels.pycall import Fields, bytes_of
from instjit.kernels.simd import I64, Builder, IRValue, i64, larger, loop, smaller
from instjit.kernels.workers import CODE, SHARE, PoolFields, write_taking


def _write_batch(module: ir.Module, name: str) -> None:
    function = ir.Function(module, CODE, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    job, first, last, worker = function.args
    batch = Fields(builder, job, BATCH)
    tiled = batch.tiled
    tiles_end, rows_begin = smaller(builder, last, tiled), larger(builder, first, tiled)
    with builder.if_then(builder.icmp_signed("<", first, tiles_end)):
        _tiles(builder, batch, first, tiles_end, worker)
    with builder.if_then(builder.icmp_signed("<", rows_begin, last)):
        before = builder.sub(builder.mul(tiled, batch.lanes), tiled)
        _rows(builder, batch, *(builder.add(before, unit) for unit in (rows_begin, last)))
    builder.ret_void()


def _tiles(builder: Builder, batch: Fields, first: IRValue, last: IRValue, worker: IRValue) -> None:
    x = array_at(builder, ROWS_READ, batch.x, [batch.rows, batch.width_in])
    y = array_at(builder, ROWS, batch.y, [batch.rows, batch.width_out])
    shared = builder.trunc(batch.shared, ir.IntType(1))
    scratch = builder.add(batch.scratch, builder.mul(worker, batch.scratch_bytes))
    rest = [shared, batch.start, batch.stop, batch.k, batch.n, scratch]
    call(builder, TILES, batch.tiles, [x, y, first, last, *rest])


def _rows(builder: Builder, batch: Fields, first: IRValue, last: IRValue) -> None:
    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        row = builder.add(first, number)
        arrays = [
            array_at(builder, kind, builder.add(base, bytes_of(builder, [row, width])), [width])
            for kind, base, width in (
                (LINE_READ, batch.x, batch.width_in),
                (LINE, batch.y, batch.width_out),
            )
        ]
        call_row(builder, (batch.row, batch.wide_row), arrays, batch.k, batch.n)
        return state

    loop(builder, builder.sub(last, first), body)


def _write_phase(module: ir.Module, name: str) -> None:
    function = ir.Function(module, CODE, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    job, first, last, _ = function.args
    batch = Fields(builder, job, PHASED)
    x = array_at(builder, ROWS_READ, batch.x, [batch.rows, batch.width_in])
    y = array_at(builder, ROWS, batch.y, [batch.rows, batch.width_out])
    pairs = builder.load(builder.gep(_table(builder, batch.pairs), [batch.phase]))
    held = [batch.phase, pairs, first, last, batch.k, batch.n, batch.scratch]
    call(builder, PHASES, batch.phases, [x, y, *held])
    builder.ret_void()


def _write_all_phases(module: ir.Module, name: str) -> None:
    """Whoever has taken the pool shares one phase after the other."""
    function = ir.Function(module, SHARE, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pool, job = function.args
    batch = Fields(builder, job, PHASED)
    units = _table(builder, batch.units)
    share = builder.inttoptr(PoolFields(builder, pool).read("share"), SHARE.as_pointer())

    def body(phase: IRValue, state: list[IRValue]) -> list[IRValue]:
        values = {
            "total": builder.load(builder.gep(units, [phase])), "claimed": i64(0),
            "workers": i64(0), "seats": batch.helpers, "phase": phase,
        }  # fmt: skip
        for field, value in values.items():
            builder.store(value, batch.at(field))
        builder.call(share, [pool, job])
        return state

    loop(builder, batch.count, body)
    builder.ret_void()


def _table(builder: Builder, address: IRValue) -> IRValue:
    return builder.inttoptr(address, I64.as_pointer())


def _write_run_phases(module: ir.Module, name: str) -> None:
    write_taking(module, name, "instjit_all_phases")


WRITERS = {"batch": _write_batch}
"""Of the code of such a job."""

PHASED_WRITERS = {
    "phase": _write_phase, "all_phases": _write_all_phases, "run_phases": _write_run_phases,
}  # fmt: skip
"""Of a module apart, as few kernels need it: the job of a phase, and ``run_phases(pool, job)``,
which takes the pool, goes through all phases and gives it back, or answers 0 where it is taken."""
