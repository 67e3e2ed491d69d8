"""Facts about this machine and the packages on it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import instjit
from instjit import threads
from instjit.kernels import target, units


def describe() -> dict[str, str | int]:
    """The object that ``instjit.commands.info`` describes."""
    level = target.detect()
    return {
        "instjit": instjit.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("numba", "llvmlite", "numpy", "orjson")},
        **target.describe(),
        "lanes": level.lanes,
        "bf16": units.matrix_unit() or "none",
        "l2_bytes": target.cache_bytes(),
        "threads": threads.available(),
    }
