"""The threads that share batches with their caller: started when needed, asleep in between."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache

import numpy as np

from instjit.kernels import workers


class Pool:
    """Worker threads, and the fields by which ``workers`` speaks to them."""

    def __init__(self) -> None:
        self._fields = np.zeros(workers.POOL_WORDS + workers.LINE, np.int64)
        start = -(self._fields.ctypes.data // 8) % workers.LINE
        self.address = self._fields.ctypes.data + 8 * start
        for made, name in (("pthread_mutex_init", "mutex"), ("pthread_cond_init", "condition")):
            place = self.address + 8 * workers.POOL[name]
            ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 2)(workers.posix(made))(place, None)
        self._count = 0
        self._busy = threading.Lock()

    def run(self, batch: int, threads: int) -> bool:
        """Share a batch among the caller and ``threads - 1`` workers; False if they are taken.

        Parameters
        ----------
        batch
            Address of the fields (``workers.BATCH``), whose seats are ``threads - 1``.
        """
        if not self._busy.acquire(blocking=False):
            return False
        try:
            while self._count < threads - 1:
                self._start()
            _function("share", 2)(self.address, batch)
        finally:
            self._busy.release()
        return True

    def _start(self) -> None:
        name = f"instjit-{self._count}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._count += 1

    def _serve(self) -> None:
        """For ever; the fields live as long as this frame."""
        _function("serve", 1)(self.address)


def alone(batch: int) -> None:
    """Run a batch on the calling thread; the interpreter's lock is free meanwhile."""
    _function("alone", 1)(batch)


def pool() -> Pool:
    """The pool of this process."""
    with _making:
        if not _pools:
            _pools.append(Pool())
        return _pools[0]


_pools: list[Pool] = []
_making = threading.Lock()


def _forget() -> None:
    """A forked child has none of the threads: it gets a pool of its own."""
    global _making
    _pools.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@cache
def _function(name: str, arguments: int) -> Callable[..., None]:
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)
    return kind(workers.addresses()[name])
