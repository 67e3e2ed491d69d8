"""Global memory of the device that launches work in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from instjit.gpu.streams import new_event, stream_key

KEPT = 4
"""Pieces of a kernel at most: so many launches on different streams run side by side."""


class Scratch:
    """Pieces of memory that are in use by one launch at a time.

    A stream gets the piece that it had last, then one that is new, then the one unused for longest.
    A launch waits on its own stream for the one before it in the same piece: the host never waits,
    and a handle that has become another stream does no harm.
    """

    def __init__(self, floats: int) -> None:
        self._floats = floats
        self._pieces: dict[Any, tuple[Any, Any]] = {}  # in the order of use
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, stream: Any) -> Iterator[Any]:
        """A flat float32 device array for the one launch on ``stream`` that is made inside."""
        key = stream_key(stream)
        with self._lock:
            memory, done = self._pieces.pop(key) if key in self._pieces else self._another()
            self._pieces[key] = memory, done
            done.wait(stream)
            yield memory
            done.record(stream)

    def _another(self) -> tuple[Any, Any]:
        from numba import cuda

        if len(self._pieces) >= KEPT:
            return self._pieces.pop(next(iter(self._pieces)))
        return cuda.device_array(self._floats, np.float32), new_event()
