"""Runs any kernel's ``tiles`` over a batch, on the calling thread or on Numba's threads.

``entry`` holds the machine code, which takes that of a kernel by its address: a new kernel compiles
only its own steps, once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from instjit import threads
from instjit.kernels import entry
from instjit.kernels.packing import LINE_FLOATS

LINE_BYTES = 4 * LINE_FLOATS
POOL = "numba_parallel_for"


def address_of(function: Any) -> int:
    """Where the machine code of a Numba function with one signature begins."""
    compiled = next(iter(function.overloads.values()))
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


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


def run(batch: Batch, first: int, last: int, workers: int, grain: int) -> None:
    """Run tiles ``first .. last``; each of ``workers`` threads claims ``grain`` of them at a time.

    So a thread that loses its core holds up little. The interpreter's lock is free meanwhile.
    """
    each = -(-4 * batch.scratch // LINE_BYTES) * LINE_BYTES
    memory = np.empty(HEAD_BYTES + workers * each + LINE_BYTES, np.uint8)
    begin = memory.ctypes.data
    x, y = batch.x, batch.y
    memory[:HEAD_BYTES].view(np.int64)[:] = (
        batch.tiles, x.ctypes.data, y.ctypes.data, len(x), x.shape[1], y.shape[1],
        batch.shared, batch.start, batch.stop, batch.k, batch.n,
        -(-(begin + HEAD_BYTES) // LINE_BYTES) * LINE_BYTES, each, last, grain, first, 0,
        workers, 0,
    )  # fmt: skip
    counts, steps = begin + HEAD_BYTES - 16, begin + HEAD_BYTES - 8
    if workers == 1:
        _work()(None, counts, steps, begin)
    else:
        _pool()(entry.addresses()["work"], None, counts, steps, begin, 0, 0, workers)


HEAD_BYTES = 8 * (len(entry.BATCH) + 2)
"""The fields of a batch, and the count and step of Numba's loop; scratch follows."""


def prepare() -> None:
    """Compile what ``run`` needs, and start the threads if the process may use several."""
    _work()
    if threads.available() > 1:
        _pool()


@cache
def _work() -> Callable[..., None]:
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    return kind(entry.addresses()["work"])


@cache
def _pool() -> Callable[..., None]:
    """``numba_parallel_for`` of Numba's threading layer.

    (body, arguments, counts, steps, data, inner dimensions, arrays, threads) calls
    ``body(arguments, counts, steps, data)`` on so many threads, with a part of ``counts[0]`` each.
    """
    import llvmlite.binding as llvm

    threads.launch()
    kind = ctypes.CFUNCTYPE(
        None, *[ctypes.c_void_p] * 5, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int
    )
    return kind(llvm.address_of_symbol(POOL))
