"""Calls of a kernel from Python that go straight to machine code: rows, and batches of few.

What they cannot take as it is they answer with None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from instjit.kernels import build, pool, pyobjects
from instjit.kernels.fields import FORM
from instjit.kernels.objects import Code
from instjit.kernels.packing import LINE_FLOATS, Floats, Integers

Call: TypeAlias = Callable[[Any, Any], Any]
Shared: TypeAlias = Callable[[Any, Any, int], Any]

HELD_BYTES = 1 << 19
"""Scratch that a kernel keeps for such calls at most, and a thread of the pool."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns of a row of input and of output, rows of a tile, floats of its scratch."""

    width_in: int
    width_out: int
    lanes: int
    scratch: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Up to which work calls go where, in tiles and in single rows, which are quicker when few.

    Attributes
    ----------
    near_tiles, near_rows
        What one thread does on the spot, holding the interpreter's lock.
    tiles, rows
        What one thread does on the spot unless others are awake.
    longest
        Rows of a batch that is shared; above it a few microseconds of Python no longer matter.
    together
        Whether tiles on several threads are left to ``launch``, which has another way for them.
    """

    near_tiles: int = 0
    near_rows: int = 1
    tiles: int = 0
    rows: int = 1
    longest: int = 0
    together: bool = False


class Direct:
    """The calls of one kernel.

    Without machine code for a "row" or a "wide_row" every batch takes tiles; without any for
    "tiles" batches take single rows; with "wide_row" single rows are for several threads.

    Attributes
    ----------
    row
        ``row(x, out)``: the output of one row, ``out`` or a new array for None.
    rows
        ``rows(X, out)``: the same for a batch that one thread has done sooner than two.
    wide
        Whether rows are for ``wide_row``.
    """

    row: Call
    rows: Call
    wide: bool

    def __init__(
        self, code: Sequence[Code], k: Floats, n: Integers, shape: Shape, reach: Reach
    ) -> None:
        self.wide = False
        self.row = self.rows = _nothing
        self._batch: Shared | None = None
        self._wide_row: Shared | None = None
        self._tile_bytes = -(-4 * shape.scratch // pool.LINE_BYTES) * pool.LINE_BYTES
        if not pyobjects.readable():
            return
        starts = {name: place for each in code for name, place in each.addresses.items()}
        few = few_rows(shape.lanes) if "row" in starts or "wide_row" in starts else 0
        spot = 0 if "wide_row" in starts else few
        tiled = "tiles" in starts and 4 * shape.scratch <= HELD_BYTES
        tiles = reach.tiles if tiled else 0
        longest = reach.longest if tiled else 0
        held = _Held(4 * shape.scratch if tiles else 0, (*code, k, n))
        held.fill(
            {
                "tiles": 0, "row": 0, "wide_row": 0, **starts, "pool": pool.CURRENT.ctypes.data,
                "k": k.ctypes.data, "n": n.ctypes.data,
                "scratch": held.scratch, "lanes": shape.lanes,
                "width_in": shape.width_in, "width_out": shape.width_out, "few": few,
                "near": max(min(spot, reach.near_rows), min(tiles, reach.near_tiles) * shape.lanes),
                "most": max(min(spot, reach.rows), tiles * shape.lanes),
                "ended": 0, "granted": 0,
                "tile_bytes": self._tile_bytes, "longest": longest,
                "longest_shared": min(longest, few) if reach.together else longest,
            }
        )  # fmt: skip
        self._bind(held.memory, starts)

    def _bind(self, memory: Any, starts: Mapping[str, int]) -> None:
        calls = build.entry().addresses
        self.rows = pyobjects.method("rows", calls["rows"], memory)
        self._batch = pyobjects.method("batch", calls["batch"], memory)
        self.wide = "wide_row" in starts
        if self.wide:
            self._wide_row = pyobjects.method("wide_row", calls["wide_row"], memory)
        elif "row" in starts:
            self.row = pyobjects.method("row", calls["row"], memory)

    def batch(self, X: Any, out: Any, threads: int) -> Any:
        """``rows`` shared among so many threads at most.

        ``rows`` remembers the number, unless it is below 0: then it is for this call alone.
        """
        return _with_pool(self._batch, X, out, threads, abs(threads) * self._tile_bytes)

    def wide_row(self, x: Any, out: Any, threads: int) -> Any:
        """``row`` whose wide products so many threads share at most."""
        return _with_pool(self._wide_row, x, out, threads, 0)


def _with_pool(call: Shared | None, x: Any, out: Any, threads: int, scratch_bytes: int) -> Any:
    """Call once more where the pool was not ready; another thread may have its scratch."""
    if call is None:
        return None
    done = call(x, out, threads)
    if done is pyobjects.UNREADY:
        pool.pool().prepare(abs(threads), scratch_bytes)
        done = call(x, out, threads)
    return None if done is pyobjects.UNREADY else done


class _Memory(np.ndarray[Any, np.dtype[np.int64]]):
    """An array that keeps other objects alive."""

    owners: tuple[Any, ...]


class _Held:
    """The fields of a kernel and its scratch in one array, which a call keeps alive.

    With it live the owners of what the fields point to.
    """

    def __init__(self, scratch_bytes: int, owners: tuple[Any, ...]) -> None:
        line = 4 * LINE_FLOATS
        fields = -(-8 * len(FORM) // line) * line
        self.memory = np.empty((fields + line + scratch_bytes) // 8 + 1, np.int64).view(_Memory)
        self.memory.owners = owners
        begin = -(-(self.memory.ctypes.data + fields) // line) * line
        self.scratch = begin if scratch_bytes else 0

    def fill(self, values: Mapping[str, int]) -> None:
        """Set every field."""
        self.memory[: len(FORM)] = [values[name] for name in FORM]


def few_rows(lanes: int) -> int:
    """Rows up to which one by one is quicker than a tile, which takes as long for one as for all.

    Tiles of 32 rows took as long as 16 (8-16-1), 17 (250-300-200) and 21 rows (20-64-32-1).
    """
    return max(1, lanes // 2)


def _nothing(x: Any, out: Any) -> None:
    return None
