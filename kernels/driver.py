"""Runs any kernel's ``tiles`` over a batch, on the calling thread or shared with the pool's.

``workers`` and ``batches`` hold the machine code, which takes that of a kernel by its address: a
new kernel compiles only its own steps, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instjit.kernels import build, pool
from instjit.kernels.fields import BATCH
from instjit.kernels.pool import LINE_BYTES

HEAD_BYTES = -(-8 * len(BATCH) // LINE_BYTES) * LINE_BYTES


@dataclass(frozen=True, slots=True)
class Batch:
    """Arguments of ``run``: ``tiles``, ``k`` and ``n`` are addresses, ``scratch`` is in floats.

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
        batch.tiles, 0, 0, last, 0, x.ctypes.data, y.ctypes.data, len(x), x.shape[1], y.shape[1],
        batch.shared, batch.start, batch.stop, batch.k, batch.n, begin + HEAD_BYTES, each,
    )  # fmt: skip
    if threads == 1 or not pool.pool().run(begin, threads):
        pool.alone(begin)


def prepare() -> None:
    """Have what ``run`` needs."""
    build.workers()
