"""Machine code that does units of a shared batch: tiles, then single rows.

A batch is a job of ``workers`` with fields of its own: units ``0 .. tiled`` are tiles, those after
them are single rows behind them.
"""

from __future__ import annotations

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
from instjit.kernels.fields import BATCH
from instjit.kernels.pycall import Fields, bytes_of
from instjit.kernels.simd import Builder, IRValue, larger, loop, smaller
from instjit.kernels.workers import CODE


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


WRITERS = {"batch": _write_batch}
"""Of the code of such a job."""
