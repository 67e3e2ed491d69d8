"""Runs a compiled variant over a batch: threads, pieces, and what is done about shared memory.

The driver is imported where it is called: it brings LLVM, and a kernel is unpickled without.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from instjit import threads
from instjit.arithmetic import FloatArray
from instjit.kernels.fields import PIECES
from instjit.variant import Compiled

if TYPE_CHECKING:
    from instjit.kernels.direct import Reach
    from instjit.kernels.driver import Batch

PARALLEL_SECONDS = 100e-6
"""Work on one thread for which threads are woken, rough as ``row_seconds`` are: until one is there
25 to 100 us have passed."""

NEAR_SECONDS = 60e-6
"""Work that is shared with threads that are awake: getting there takes 3 us. Where another tenant
has the second core, sharing 26 us (40-300-32-2, 64 rows) took 55 to 80, to gain 8 at best."""

LONG_SECONDS = 2e-3
"""Work above which batches are run from here, in sections: 20 us of Python are 1 % of it."""

SECTION_SECONDS = 0.05
"""Rough time of the work between two looks at signals: a slow machine may take four times as long,
and Ctrl-C is to be answered within 0.2 s."""

SINGLE_ROWS = 6
"""Up to such a part of a tile single rows are quicker than one tile more: 5 of 32; 8 are not."""


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
    from instjit.kernels import driver

    count = rows.shape[0]
    if count == 0:
        return
    shared = False
    if np.may_share_memory(rows, out):
        rows, shared = _apart(rows, out)
    batch = driver.Batch(
        form.tiles_address, rows, out, shared, start, stop, form.k_address, form.n_address,
        form.scratch,
    )  # fmt: skip
    several = 1
    if count * form.row_seconds > PARALLEL_SECONDS and usable != 1:
        several = threads.granted(usable)
    whole = _rows_of_tiles(form, count, several)
    _run_tiles(form, _part(batch, 0, whole), several)
    if whole < count:
        driver.run_rows(_part(batch, whole, count), form.wide_row.addresses["wide_row"], several)


def _rows_of_tiles(form: Compiled, count: int, several: int) -> int:
    """Rows that tiles take: without the last few, where these are quicker one by one."""
    rest = count % form.lanes
    alone = several > 1 and form.together and rest < count and rest * SINGLE_ROWS <= form.lanes
    return count - rest if alone else count


def _part(batch: Batch, first: int, last: int) -> Batch:
    return replace(batch, x=batch.x[first:last], y=batch.y[first:last])


def _run_tiles(form: Compiled, batch: Batch, several: int) -> None:
    """All rows of a batch as tiles, in sections or together in groups."""
    from instjit.kernels import driver

    total = -(-len(batch.x) // form.lanes)
    workers = min(total, several)
    section = max(1, int(SECTION_SECONDS * workers / form.tile_seconds))
    group = group_tiles(form, total, several, section)
    for first in range(0, total, group) if group else ():
        part = _part(batch, first * form.lanes, (first + group) * form.lanes)
        _run_group(form, part, several)
    if group:
        return
    grain = max(1, -(-min(section, total) // (workers * PIECES)))
    for first in range(0, total, section):
        driver.run(batch, first, min(first + section, total), workers, grain)


def group_tiles(form: Compiled, total: int, several: int, section: int) -> int:
    """Tiles that go through the phases together, of ``total``; 0 for each on a thread of its own.

    Tiles that threads share evenly are quicker alone, by 2 to 6 %, while their weights stay in the
    shared cache.
    """
    most = min(form.together, section)
    if several == 1 or not most:
        return 0
    if form.heavy:
        return -(-total // -(-total // most))
    return total if total <= most and total % several else 0


def _run_group(form: Compiled, batch: Batch, several: int) -> None:
    """Some tiles through the phases, or on the calling thread while others have the pool."""
    from instjit.kernels import driver

    tiles, address = -(-len(batch.x) // form.lanes), form.phases.addresses["phases"]
    if not driver.run_phases(batch, tiles, address, form.source.phases, several):
        driver.run(batch, 0, tiles, 1, 1)


def reach(form: Compiled) -> Reach:
    """Up to which size a kernel's calls go straight to machine code."""
    from instjit.kernels.direct import Reach

    tiles = int(PARALLEL_SECONDS / form.tile_seconds)
    return Reach(
        near_tiles=min(tiles, max(1, int(NEAR_SECONDS / form.tile_seconds))),
        near_rows=max(1, int(min(NEAR_SECONDS, PARALLEL_SECONDS) / form.single_seconds)),
        tiles=tiles,
        rows=max(1, int(PARALLEL_SECONDS / form.single_seconds)),
        longest=int(LONG_SECONDS / form.row_seconds),
        together=form.together > 0,
    )


def _apart(rows: FloatArray, out: FloatArray) -> tuple[FloatArray, bool]:
    """The input, copied where a result could overwrite rows of a later tile; whether it is ``out``.

    With the very same memory and width each tile reads its rows before it writes them, so only the
    last tile's overlap with the one before must go.
    """
    if rows.ctypes.data == out.ctypes.data and rows.shape == out.shape:
        return rows, True
    return rows.copy(), False
