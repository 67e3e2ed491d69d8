"""The generated text run without a GPU and without Numba: one thread after the other.

A barrier is where a thread gives way: the text is run with ``yield`` for ``cuda.syncthreads()``.
So is a product on tensor cores, which the last lane of a warp to come there works out for all. A
copy is made when its thread waits for its copies, no sooner.
"""

from __future__ import annotations

import random
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gpu_warp
import numpy as np

from instjit.gpu import plain
from instjit.gpu.build import run_text
from instjit.gpu.emit import GpuSource
from instjit.kernels.packing import Floats

__all__ = ["run_plain"]

PRODUCT = re.compile(r"= (mma_\w+)\((.*)\)$", re.MULTILINE)


def run_plain(source: GpuSource, x: Floats, y: Floats, k: Any, n: Any, blocks: int = 2) -> None:
    """Run the kernel on (rows, columns) arrays; all memory that it takes starts as NaN.

    Threads of a block take turns in a random order between two barriers.

    Raises
    ------
    RuntimeError
        Threads of a block disagree on whether there is another barrier, or lanes of a warp on
        whether there is another product.
    """
    flat_x, flat_y, rows = x.reshape(-1), y.reshape(-1), len(x)
    if source.tile is None:
        names = run_text(source, _with_late_copies({**plain.namespace(), "cuda": None}))
        for thread in range(blocks):
            names["cuda"] = _thread_cuda(thread, blocks, _Shared(source.shared_bytes))
            names["copies"] = []
            names[source.entry](flat_x, flat_y, rows, k, n)
        return
    text = source.text.replace("cuda.syncthreads()", "yield")
    text = PRODUCT.sub(r'= yield "\1", \2', text)
    lines = [
        line.replace("step", "yield from step", 1) if line.startswith("        step") else line
        for line in text.splitlines()
    ]
    meanings = _with_late_copies({**plain.namespace(), **gpu_warp.CONVERSIONS, "cuda": None})
    names = run_text(source, meanings, "\n".join(lines) + "\n")
    scratch = _memory(max(1, source.scratch_floats * blocks))
    for block in range(blocks):
        shared = _Shared(source.shared_bytes)
        threads: list[_Thread] = []
        for group in range(source.tile.groups):
            for lane in range(source.tile.lanes):
                cuda = _block_cuda(block, blocks, lane, group, shared)
                thread = names[source.entry](flat_x, flat_y, rows, k, n, scratch)
                threads.append(_Thread(names, cuda, thread, group, []))
        _take_turns(threads, random.Random(block))


def _with_late_copies(names: dict[str, Any]) -> dict[str, Any]:
    """The names, where ``copies`` is to hold the copies that the running thread has begun."""

    def copy4(*operands: Any) -> None:
        names["copies"].append(operands)

    def await_copies() -> None:
        while names["copies"]:
            plain.copy4(*names["copies"].pop(0))

    names |= {"copy4": copy4, "await_copies": await_copies}
    return names


@dataclass(eq=False)
class _Thread:
    """A thread of a block, and where it stands: at a barrier, finished, or at a product."""

    names: dict[str, Any]
    cuda: Any
    run: Generator[Any, Any, None]
    warp: int
    copies: list[tuple[Any, ...]]
    at: Any = None
    sums: Any = None

    def go_on(self) -> None:
        """To the next place to wait at, with the sums of the last product."""
        self.names["cuda"] = self.cuda
        self.names["copies"] = self.copies
        sums, self.sums = self.sums, None
        try:
            self.at = self.run.send(sums)
        except StopIteration:
            self.at = "finished"


def _take_turns(threads: Sequence[_Thread], order: random.Random) -> None:
    while True:
        for thread in order.sample(threads, len(threads)):
            thread.go_on()
        while waiting := [thread for thread in threads if isinstance(thread.at, tuple)]:
            _multiply(waiting)
            for thread in order.sample(waiting, len(waiting)):
                thread.go_on()
        finished = sum(thread.at == "finished" for thread in threads)
        if finished == len(threads):
            return
        if finished:
            raise RuntimeError(f"{finished} of {len(threads)} threads miss a barrier")


def _multiply(waiting: Sequence[_Thread]) -> None:
    """The product that each warp waits for; lanes are in order."""
    for number in {thread.warp for thread in waiting}:
        lanes = [thread for thread in waiting if thread.warp == number]
        calls = {thread.at[0] for thread in lanes}
        if len(lanes) != 32 or len(calls) != 1:
            raise RuntimeError(f"{len(lanes)} lanes of warp {number} are at {sorted(calls)}")
        operands = [
            np.array(each) for each in zip(*(thread.at[1:] for thread in lanes), strict=True)
        ]
        sums = gpu_warp.PRODUCTS[calls.pop()](*operands)
        for thread, own in zip(lanes, zip(*sums, strict=True), strict=True):
            thread.sums = own


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


def _thread_cuda(thread: int, threads: int, shared: _Shared) -> SimpleNamespace:
    """A block of one thread."""
    return SimpleNamespace(
        local=_local(),
        shared=shared,
        syncthreads=lambda: None,
        threadIdx=SimpleNamespace(x=0),
        blockDim=SimpleNamespace(x=1),
        grid=lambda dimensions: thread,
        gridsize=lambda dimensions: threads,
    )


def _block_cuda(block: int, blocks: int, lane: int, group: int, shared: _Shared) -> SimpleNamespace:
    return SimpleNamespace(
        local=_local(),
        shared=shared,
        threadIdx=SimpleNamespace(x=lane, y=group),
        blockIdx=SimpleNamespace(x=block),
        gridDim=SimpleNamespace(x=blocks),
    )
