"""Rows that come from the host: in pieces, copied while others are computed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from instjit.gpu import driver
from instjit.kernels.packing import Floats

CHUNK_BYTES = 8 << 20
"""Bytes of a piece, in or out, whichever is larger: the host copies it in about a millisecond,
next to which the calls for a piece are short."""

SLOTS = 2
"""Pieces under way: one is computed while the host copies the other."""

AT_A_TIME = 2
"""Batches from the host under way on a device, of all kernels; more wait for their turn."""


class Launcher(Protocol):
    """What runs on a device."""

    def launch(self, x: Any, y: Any, stream: Any) -> None:
        """Run on device arrays (rows, columns); returns before the kernel is done."""


class _Slot:
    """A stream with page-locked host arrays and device arrays of a piece's floats, in and out."""

    def __init__(self) -> None:
        from numba import cuda

        self.stream = cuda.stream()
        self._floats = [0, 0]
        self._held: list[Any] = [None, None]
        self._there: list[Any] = [None, None]

    def held(self, side: int, shape: tuple[int, int]) -> Any:
        """The page-locked array, in (0) or out (1)."""
        from numba import cuda

        if self._held[side] is None or self._held[side].size < shape[0] * shape[1]:
            self._held[side] = cuda.pinned_array(_rounded(shape), np.float32)
        return self._held[side][: shape[0] * shape[1]].reshape(shape)

    def there(self, side: int, shape: tuple[int, int]) -> Any:
        """The device array, in (0) or out (1)."""
        from numba import cuda

        if self._there[side] is None or self._there[side].size < shape[0] * shape[1]:
            self._there[side] = cuda.device_array(_rounded(shape), np.float32)
        return self._there[side][: shape[0] * shape[1]].reshape(shape)


class Staging:
    """The slots of one batch at a time."""

    def __init__(self) -> None:
        self._slots = [_Slot() for _ in range(SLOTS)]

    def run(self, form: Launcher, rows: Floats, out: Floats) -> None:
        """All rows of ``rows``, float32 (rows, columns), into ``out``; complete on return."""
        batch = _Batch(form, _apart(rows, out), out)
        height = max(1, CHUNK_BYTES // (4 * max(rows.shape[1], out.shape[1])))
        waiting: list[slice | None] = [None] * SLOTS
        pieces = [slice(start, start + height) for start in range(0, len(rows), height)]
        try:
            for number, piece in enumerate([*pieces, *[None] * SLOTS]):
                slot, before = self._slots[number % SLOTS], waiting[number % SLOTS]
                if before is not None:
                    batch.finish(slot, before)
                if piece is not None:
                    batch.start(slot, piece)
                waiting[number % SLOTS] = piece
        except BaseException:
            for slot in self._slots:  # or copies under way would land in the next call's pieces
                slot.stream.synchronize()
            raise


class _Batch:
    """Moves pieces of a batch; an array that is page-locked already is copied from or to itself."""

    def __init__(self, form: Launcher, rows: Floats, out: Floats) -> None:
        self.form = form
        self.rows = rows
        self.out = out
        self.direct = driver.page_locked(rows), driver.page_locked(out)

    def start(self, slot: _Slot, piece: slice) -> None:
        rows, out = self.rows[piece], self.out[piece]
        x, y = slot.there(0, rows.shape), slot.there(1, out.shape)
        if not self.direct[0]:
            held = slot.held(0, rows.shape)
            np.copyto(held, rows)
            rows = held
        x.copy_to_device(rows, stream=slot.stream)
        self.form.launch(x, y, slot.stream)
        y.copy_to_host(out if self.direct[1] else slot.held(1, out.shape), stream=slot.stream)

    def finish(self, slot: _Slot, piece: slice) -> None:
        slot.stream.synchronize()
        if not self.direct[1]:
            out = self.out[piece]
            out[...] = slot.held(1, out.shape)


class _Pool:
    """The staging of a device; what a call is done with is kept for the next one.

    A full one has 32 MB of page-locked memory and as much on the device.
    """

    def __init__(self) -> None:
        self.turns = threading.BoundedSemaphore(AT_A_TIME)
        self.idle: list[Staging] = []


_pools: dict[int, _Pool] = {}


@contextmanager
def borrowed(device: int) -> Iterator[Staging]:
    """Staging on the current device, whose number is ``device``; waits while all are in use."""
    pool = _pools.get(device) or _pools.setdefault(device, _Pool())
    with pool.turns:
        try:
            staging = pool.idle.pop()
        except IndexError:
            staging = Staging()
        try:
            yield staging
        finally:
            pool.idle.append(staging)


def _rounded(shape: tuple[int, int]) -> int:
    """Floats to allocate: growing batches get a new array a few times only."""
    floats: int = shape[0] * shape[1]
    return 1 << max(14, (floats - 1).bit_length())


def _apart(rows: Floats, out: Floats) -> Floats:
    """The rows, copied where a result could overwrite those of a later piece."""
    same = rows.ctypes.data == out.ctypes.data and rows.shape == out.shape
    return rows.copy() if np.may_share_memory(rows, out) and not same else rows
