"""The generated text run without a GPU and without Numba: one thread after the other.

A barrier is where a thread gives way: the text is run with ``yield`` for ``cuda.syncthreads()``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from instjit.gpu import plain
from instjit.gpu.build import run_text
from instjit.gpu.emit import GpuSource
from instjit.kernels.packing import Floats

__all__ = ["run_plain"]


def run_plain(source: GpuSource, x: Floats, y: Floats, k: Any, n: Any, blocks: int = 2) -> None:
    """Run the kernel on (rows, columns) arrays; all memory that it takes starts as NaN.

    Threads of a block take turns in a random order between two barriers.

    Raises
    ------
    RuntimeError
        Threads of a block disagree on whether there is another barrier.
    """
    flat_x, flat_y, rows = x.reshape(-1), y.reshape(-1), len(x)
    if source.tile is None:
        names = run_text(source, {**plain.namespace(), "cuda": None})
        for thread in range(blocks):
            names["cuda"] = _thread_cuda(thread, blocks)
            names[source.entry](flat_x, flat_y, rows, k, n)
        return
    text = source.text.replace("cuda.syncthreads()", "yield")
    lines = [
        line.replace("step", "yield from step", 1) if line.startswith("        step") else line
        for line in text.splitlines()
    ]
    names = run_text(source, {**plain.namespace(), "cuda": None}, "\n".join(lines) + "\n")
    scratch = _memory(max(1, source.scratch_floats * blocks))
    for block in range(blocks):
        shared = _Shared(source.shared_bytes)
        threads = []
        for group in range(source.tile.groups):
            for lane in range(source.tile.lanes):
                cuda = _block_cuda(block, blocks, lane, group, shared)
                thread = names[source.entry](flat_x, flat_y, rows, k, n, scratch)
                threads.append((names, cuda, thread))
        _take_turns(threads, random.Random(block))


def _take_turns(threads: Sequence[tuple[dict[str, Any], Any, Iterator[None]]], order: Any) -> None:
    while True:
        finished = 0
        for names, cuda, thread in order.sample(threads, len(threads)):
            names["cuda"] = cuda
            finished += next(thread, "finished") == "finished"
        if finished == len(threads):
            return
        if finished:
            raise RuntimeError(f"{finished} of {len(threads)} threads miss a barrier")


def _memory(floats: int) -> Floats:
    return np.full(floats, np.nan, np.float32)


class _Shared:
    """Shared memory of a block: one array for each size, as each is asked for in one place."""

    def __init__(self, dynamic_bytes: int) -> None:
        self.arrays = {0: _memory(dynamic_bytes // 4)}

    def array(self, floats: int, dtype: Any) -> Floats:
        return self.arrays.setdefault(floats, _memory(floats))


def _local() -> SimpleNamespace:
    return SimpleNamespace(array=lambda floats, dtype: _memory(floats))


def _thread_cuda(thread: int, threads: int) -> SimpleNamespace:
    return SimpleNamespace(
        local=_local(), grid=lambda dimensions: thread, gridsize=lambda dimensions: threads
    )


def _block_cuda(block: int, blocks: int, lane: int, group: int, shared: _Shared) -> SimpleNamespace:
    return SimpleNamespace(
        local=_local(),
        shared=shared,
        threadIdx=SimpleNamespace(x=lane, y=group),
        blockIdx=SimpleNamespace(x=block),
        gridDim=SimpleNamespace(x=blocks),
    )
