"""A fork waits while another thread compiles.

A child has the thread that forked and no other, so a lock that another one held stays locked in it:
its first compilation would wait for ever. So whoever forks holds the locks of a compilation: ours,
Numba's and llvmlite's, in the order in which a compilation takes them.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from typing import Any

COMPILING = threading.RLock()
"""Held by a thread that builds functions, before any lock of Numba's."""

_held = ExitStack()


def _take() -> None:
    _held.enter_context(COMPILING)
    for module, *names in (
        ("numba.core.compiler_lock", "global_compiler_lock"),
        ("llvmlite.binding.ffi", "lib", "_lock"),
    ):
        lock: Any = sys.modules.get(module)
        for name in names:
            lock = getattr(lock, name, None)  # none: not imported, half, or of another release
        if lock is not None:
            _held.enter_context(lock)


def _give_back() -> None:
    _held.pop_all().close()  # what another fork enters meanwhile is its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_give_back, after_in_child=_give_back)
