"""How many threads a call may use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from instjit.counted import shown, spelled, whole
from instjit.errors import InputError, Problem

CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """Threads this process may use.

    The least of the CPU affinity, the cgroup's quota, and ``INSTJIT_THREADS`` or else
    ``OMP_NUM_THREADS``.
    """
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    counts = [
        affinity,
        _quota(),
        _from_environment(b"INSTJIT_THREADS") or _from_environment(b"OMP_NUM_THREADS"),
    ]
    return max(1, min(count for count in counts if count))


def granted(wanted: int | None) -> int:
    """Threads of a call that asks for so many, None for as many as there are."""
    if wanted == 1:
        return 1
    usable = available()
    return usable if wanted is None else min(wanted, usable)


def checked(threads: int | None, default: int | None = None) -> int | None:
    """The number of threads a call asks for, None for as many as there are.

    Raises
    ------
    InputError
        InvalidThreadCount when ``threads`` is not a positive whole number.
    """
    wanted = default if threads is None else threads
    if wanted is None:
        return None
    try:
        count = whole(wanted)
    except TypeError:
        count = 0
    if count < 1:
        sentence = f"threads must be a whole number of at least 1, got {shown(wanted)}"
        raise InputError(Problem("InvalidThreadCount", sentence, fields={"count": wanted}))
    return count


@cache
def _quota() -> int | None:
    """Whole CPUs of the cgroup's quota (version 2 or 1), None without one."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (CGROUP / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (CGROUP / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return max(1, math.ceil(int(quota) / int(period)))


def _from_environment(name: bytes) -> int | None:
    value = _getenv()(name)
    if value is None:
        return None
    return spelled(value.split(b",")[0].strip().decode("ascii", "replace")) or None


@cache
def _getenv() -> Callable[[bytes], bytes | None]:
    """The C library's, which knows what ``os.environ`` is told: 0.3 us, of that 2.3 us."""
    import ctypes

    found = ctypes.PyDLL(None).getenv
    found.argtypes, found.restype = [ctypes.c_char_p], ctypes.c_char_p
    return found
