"""Runs a compiled variant over a batch: how many threads, in what pieces, with what done about shared memory."""

from __future__ import annotations

import numpy as np

from . import threads
from .arithmetic import FloatArray
from .cost import Cost
from .variant import Compiled

PARALLEL_SECONDS = 20e-6
"""Work on one thread from which a second one is woken: a hand-over takes 2 to 4 us (passive waiting)."""

SECONDS_PER_FLOP = 1.5e-11
SECONDS_PER_SLOT = 1.0e-10
"""A rough rate of one core, float32: 65 GFLOP/s in a Gemm, and moving a slot in or out."""

PIECES = 8
"""Claims each thread makes in a large batch, so that one that loses its core holds up an eighth of its share."""


def run_batch(
    form: Compiled, rows: FloatArray, out: FloatArray, start: int, stop: int, usable: int, cost: Cost
) -> None:
    """Run rows through a variant.

    Parameters
    ----------
    form
        The variant; its ``tiles`` get columns ``start .. stop`` of the variant's output.
    rows, out
        float32, C-contiguous, two dimensions, the same number of rows; they may share memory.
    usable
        Threads at most.
    cost
        Work of one row.
    """
    count = len(rows)
    if count == 0:
        return
    from .kernels import driver

    rows, shared = _apart(rows, out)
    lanes = form.level.lanes
    total = -(-count // lanes)
    seconds = count * (cost.flops * SECONDS_PER_FLOP + (rows.shape[1] + out.shape[1]) * SECONDS_PER_SLOT)
    workers = min(usable, total) if seconds > PARALLEL_SECONDS else 1
    claims = np.zeros(1, np.int64)
    fixed = (rows, out, shared, start, stop, *form.addresses, form.program.slots * lanes, total)
    if workers == 1:
        driver.serial()(form.tiles_address, *fixed, 1, total, claims)
        return
    with threads.limited(workers) as granted:
        grain = max(1, -(-total // (granted * PIECES)))
        driver.parallel()(form.tiles_address, *fixed, granted, grain, claims)


def _apart(rows: FloatArray, out: FloatArray) -> tuple[FloatArray, bool]:
    """The input, copied if a tile's output could overwrite rows that a later tile reads; and whether it is ``out``.

    With the very same memory and width each tile reads its rows before it writes them, so only the last
    tile's overlap with the one before must go.
    """
    if not np.may_share_memory(rows, out):
        return rows, False
    if rows.ctypes.data == out.ctypes.data and rows.shape == out.shape:
        return rows, True
    return rows.copy(), False
