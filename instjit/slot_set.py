"""A set of slots of a region that costs nothing while it is empty or whole."""

from __future__ import annotations

import numpy as np


class SlotSet:
    """Slots 0 .. size - 1, added, removed and asked for in runs.

    A file of 80 KB can ask for a thousand regions of a million slots; nearly all of them are
    written and read whole, so a mask is made only for a set that is neither empty nor whole.
    """

    __slots__ = ("_mask", "_size", "_whole")

    def __init__(self, size: int) -> None:
        self._size = size
        self._whole = False
        self._mask: np.ndarray | None = None

    def add(self, start: int, stop: int) -> None:
        """Put slots start .. stop - 1 in."""
        self._set(start, stop, True)

    def remove(self, start: int, stop: int) -> None:
        """Take slots start .. stop - 1 out."""
        self._set(start, stop, False)

    def any(self, start: int, stop: int) -> bool:
        """Whether one of the slots is in the set."""
        if self._mask is None:
            return self._whole and start < stop
        return bool(self._mask[start:stop].any())

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Runs (start, stop) of those of the slots that are not in the set."""
        if self._mask is None:
            return [] if self._whole or start >= stop else [(start, stop)]
        absent = np.concatenate(([False], ~self._mask[start:stop], [False])).view(np.int8)
        edges = (np.flatnonzero(np.diff(absent)) + start).tolist()
        return list(zip(edges[::2], edges[1::2], strict=True))

    def runs(self) -> list[tuple[int, int]]:
        """Runs (start, stop) of the slots that are in the set."""
        others = SlotSet(self._size)
        others._whole = not self._whole
        others._mask = None if self._mask is None else ~self._mask
        return others.missing(0, self._size)

    def _set(self, start: int, stop: int, value: bool) -> None:
        if start >= stop or (self._mask is None and self._whole is value):
            return
        if stop - start == self._size:
            self._whole, self._mask = value, None
            return
        if self._mask is None:
            self._mask = np.full(self._size, self._whole)
        self._mask[start:stop] = value
