"""Runs any kernel's ``tiles`` over a batch, on the calling thread or shared with the pool's.

``workers`` and ``batches`` hold the machine code, which takes that of a kernel by its address: a
new kernel compiles only its own steps, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from instjit.kernels import build, pool
from instjit.kernels.fields import BATCH, PHASED
from instjit.kernels.pool import LINE_BYTES

FINE = 2
"""Spans for each thread at the end of a wide product that are shared out tile by tile."""

HEAD_BYTES = -(-8 * len(BATCH) // LINE_BYTES) * LINE_BYTES


@dataclass(frozen=True, slots=True)
class Batch:
    """Arguments of ``run``: ``tiles``, ``k`` and ``n`` are addresses, ``scratch`` is in floats.

    With a ``wide_row``, an address too, the units are rows instead of tiles.

    ``shared`` says that ``x`` and ``y`` are the same memory; ``start .. stop`` are the columns of
    the variant's output that ``y`` holds.
    """

    tiles: int
    x: Any
    y: Any
    shared: bool
    start: int
    stop: int
    k: int
    n: int
    scratch: int
    wide_row: int = 0


def run(batch: Batch, first: int, last: int, threads: int, grain: int) -> None:
    """Run tiles ``first .. last``; each of ``threads`` threads claims ``grain`` of them at a time.

    So a thread that loses its core holds up little. The interpreter's lock is free meanwhile. While
    another thread's batch has the pool, this one is the caller's alone.
    """
    each = -(-4 * batch.scratch // LINE_BYTES) * LINE_BYTES
    memory, begin = pool.aligned_bytes(HEAD_BYTES + threads * each)
    x, y = batch.x, batch.y
    memory[: 8 * len(BATCH)].view(np.int64)[:] = (
        build.workers().addresses["batch"], last, grain, first, 0, threads - 1,
        batch.tiles, 0, batch.wide_row, 0 if batch.wide_row else last, 0,
        x.ctypes.data, y.ctypes.data, len(x), x.shape[1], y.shape[1],
        batch.shared, batch.start, batch.stop, batch.k, batch.n, begin + HEAD_BYTES, each,
    )  # fmt: skip
    if threads == 1 or not pool.pool().run(begin, threads):
        pool.alone(begin)


def run_phases(batch: Batch, tiles: int, phases: int, spans: Sequence[int], threads: int) -> bool:
    """Take all tiles of a batch through ``phases`` together; False where the pool is taken.

    Parameters
    ----------
    batch
        All columns of a batch.
    tiles
        How many it is.
    phases
        Address of a kernel's ``phases``.
    spans
        Of each phase, 0 where its units are tiles.
    """
    x, y = batch.x, batch.y
    pairs = [max(0, (number - FINE * threads) // 2) for number in spans]
    units = [
        whole + (number - 2 * whole) * tiles if number else tiles
        for number, whole in zip(spans, pairs, strict=True)
    ]
    entries = len(PHASED) + 2 * len(units)
    head = -(-8 * entries // LINE_BYTES) * LINE_BYTES
    memory, begin = pool.aligned_bytes(head + 4 * batch.scratch * tiles)
    listed = begin + 8 * len(PHASED)
    memory[: 8 * entries].view(np.int64)[:] = (
        build.phased().addresses["phase"], 0, 1, 0, 0, 0,
        threads - 1, len(units), listed, listed + 8 * len(units), phases, 0,
        x.ctypes.data, y.ctypes.data, len(x), x.shape[1], y.shape[1],
        batch.k, batch.n, begin + head, *units, *pairs,
    )  # fmt: skip
    return pool.pool().run_phases(begin, threads)


def run_rows(batch: Batch, wide_row: int, threads: int) -> None:
    """Run each row alone, shared among the threads; ``wide_row`` is an address."""
    run(replace(batch, wide_row=wide_row), 0, len(batch.x), threads, 1)


def prepare() -> None:
    """Have what ``run`` needs."""
    build.workers()
