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
    A launch waits on its own stream for the one before it in the same piece, so a handle that has
    become another stream does no harm. A piece has room for the blocks that were asked for so far.
    The host waits where one is to grow and nowhere else: allocators that give freed memory to other
    streams at once know nothing of the work in it.
    """

    def __init__(self, floats: int, most: int) -> None:
        """Pieces of ``floats`` for each block of a launch, and for no more than ``most`` blocks."""
        self._floats = floats
        self._most = most
        self._pieces: dict[Any, tuple[Any, Any]] = {}  # in the order of use
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, stream: Any, blocks: int) -> Iterator[Any]:
        """A flat float32 device array for the one launch on ``stream`` that is made inside."""
        key = stream_key(stream)
        with self._lock:
            memory, done = self._pieces.pop(key) if key in self._pieces else self._another()
            held = 0 if memory is None else memory.size // self._floats
            if held < blocks:
                if held:
                    done.synchronize()
                memory = None  # what it held goes before there is more
                memory = self._allocated(min(self._most, max(blocks, 2 * held)))
            self._pieces[key] = memory, done
            done.wait(stream)
            yield memory
            done.record(stream)

    def _another(self) -> tuple[Any, Any]:
        if len(self._pieces) >= KEPT:
            return self._pieces.pop(next(iter(self._pieces)))
        return None, new_event()

    def _allocated(self, blocks: int) -> Any:
        from numba import cuda

        return cuda.device_array(self._floats * blocks, np.float32)
