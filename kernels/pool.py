"""The threads that share jobs with their caller: started when needed, asleep in between."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from instjit.kernels import build, pyobjects
from instjit.kernels.fields import POOL, POOL_WORDS
from instjit.kernels.packing import LINE_FLOATS

LINE_BYTES = 4 * LINE_FLOATS


class Pool:
    """Worker threads, and the fields by which ``workers`` speaks to them."""

    def __init__(self) -> None:
        memory, self.address = aligned_bytes(8 * POOL_WORDS)
        self._fields = memory.view(np.int64)
        self._fields[:] = 0
        for made, name in (("pthread_mutex_init", "mutex"), ("pthread_cond_init", "condition")):
            place = self.address + 8 * POOL[name]
            function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 2)
            function(pyobjects.address(made))(place, None)
        for name in ("share", "alone", "batch"):
            self._put(name, build.workers().addresses[name])
        self._scratch: Any = None
        self._starting = threading.RLock()  # a signal may come while a thread starts

    @property
    def count(self) -> int:
        """Worker threads that have been started."""
        return self._get("count")

    def run(self, job: int, threads: int) -> bool:
        """Share a job among the caller and ``threads - 1`` workers; False if they are taken.

        Parameters
        ----------
        job
            Address of the fields (``fields.JOB``), whose seats are ``threads - 1``.
        """
        self.prepare(threads)
        return bool(_function("run", 2)(self.address, job))

    def run_phases(self, job: int, threads: int) -> bool:
        """As ``run``, for a batch that goes through phases (``fields.PHASED``)."""
        self.prepare(threads)
        return bool(_phases()(self.address, job))

    def prepare(self, threads: int, scratch_bytes: int = 0) -> None:
        """Start what is missing of ``threads - 1`` workers; make room for scratch unless in use.

        Where the system refuses a thread, or Python at its end, the others do.
        """
        if self.count >= threads - 1 and self._get("scratch_bytes") >= scratch_bytes:
            return
        with self._starting:
            with suppress(RuntimeError):
                while self.count < threads - 1:
                    self._start()
                    self._put("count", self.count + 1)
            if self._get("scratch_bytes") < scratch_bytes:
                self._enlarge(scratch_bytes)

    def _enlarge(self, scratch_bytes: int) -> None:
        scratch, address = aligned_bytes(scratch_bytes)
        if _function("take", 1)(self.address):
            try:
                self._put("scratch", address)
                self._put("scratch_bytes", scratch_bytes)
                self._scratch = scratch
            finally:
                _function("give", 1)(self.address)

    def _get(self, name: str) -> int:
        return int(self._fields[POOL[name]])

    def _put(self, name: str, value: int) -> None:
        self._fields[POOL[name]] = value

    def _start(self) -> None:
        name = f"instjit-{self.count}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        """For ever; the fields live as long as this frame."""
        _function("serve", 1)(self.address)


def aligned_bytes(size: int) -> tuple[Any, int]:
    """So many bytes that start at a cache line, and their address."""
    whole = np.empty(size + LINE_BYTES, np.uint8)
    start = -int(whole.ctypes.data) % LINE_BYTES
    return whole[start : start + size], int(whole.ctypes.data) + start


def alone(job: int) -> None:
    """Do a job on the calling thread; the interpreter's lock is free meanwhile."""
    _function("alone", 1)(job)


def pool() -> Pool:
    """The pool of this process."""
    if _pools:  # without the lock, which a signal may find held by the code that it interrupts
        return _pools[0]
    with _making:
        if not _pools:
            _pools.append(Pool())
            CURRENT[0] = _pools[0].address
        return _pools[0]


CURRENT = np.zeros(1, np.int64)
"""Address of the fields of this process's pool, 0 before there is one; kernels know where."""

_pools: list[Pool] = []
_making = threading.RLock()


def _forget() -> None:
    """A forked child has none of the threads: it gets a pool of its own."""
    global _making
    _pools.clear()
    CURRENT[0] = 0
    _making = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@cache
def _function(name: str, arguments: int) -> Callable[..., int]:
    return _callable(build.workers().addresses[name], arguments)


@cache
def _phases() -> Callable[..., int]:
    return _callable(build.phased().addresses["run_phases"], 2)


def _callable(address: int, arguments: int) -> Callable[..., int]:
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * arguments)
    return kind(address)
