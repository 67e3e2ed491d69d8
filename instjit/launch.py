"""Runs a compiled variant over a batch: threads, pieces, and what is done about shared memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba.np.ufunc import parallel

from instjit import threads
from instjit.arithmetic import FloatArray
from instjit.kernels import driver
from instjit.variant import Compiled

PARALLEL_SECONDS = 20e-6
"""Work on one thread from which a second one is woken: a hand-over takes 2 to 4 us."""

PIECES = 64
"""Claims of each thread in a large batch: what a thread that loses its core can hold up is one."""


def run_batch(
    form: Compiled, rows: FloatArray, out: FloatArray, start: int, stop: int, usable: int | None
) -> None:
    """Run rows through a variant.

    Parameters
    ----------
    form
        The variant; its ``tiles`` get columns ``start .. stop`` of the variant's output.
    rows, out
        float32, C-contiguous, two dimensions, the same number of rows; they may share memory.
    usable
        Threads at most, None for as many as the process may use.
    """
    count = rows.shape[0]
    if count == 0:
        return
    shared = False
    if np.may_share_memory(rows, out):
        rows, shared = _apart(rows, out)
    total = -(-count // form.lanes)
    fixed = (
        form.tiles_address,
        rows,
        out,
        shared,
        start,
        stop,
        form.k_address,
        form.n_address,
        form.scratch,
        total,
    )
    if count * form.row_seconds > PARALLEL_SECONDS and usable != 1 and not _Forked.serial:
        workers = min(total, threads.available(), usable or total)
        if workers > 1:
            _run_parallel(fixed, total, workers)
            return
    driver.serial()(*fixed, 1, total, np.zeros(1, np.int64))


class _Forked:
    """Whether this process is a child of one that had started Numba's threads.

    GNU OpenMP ends such a child at its first parallel loop, so it keeps to its own thread.
    """

    serial = False

    @classmethod
    def mark(cls) -> None:
        """Take note, in a child right after the fork."""
        cls.serial = cls.serial or bool(parallel._is_initialized)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forked.mark)


def _run_parallel(fixed: tuple[Any, ...], total: int, workers: int) -> None:
    with threads.limited(workers) as granted:
        grain = max(1, -(-total // (granted * PIECES)))
        driver.parallel()(*fixed, granted, grain, np.zeros(1, np.int64))


def _apart(rows: FloatArray, out: FloatArray) -> tuple[FloatArray, bool]:
    """The input, copied where a result could overwrite rows of a later tile; whether it is ``out``.

    With the very same memory and width each tile reads its rows before it writes them, so only the
    last tile's overlap with the one before must go.
    """
    if rows.ctypes.data == out.ctypes.data and rows.shape == out.shape:
        return rows, True
    return rows.copy(), False
