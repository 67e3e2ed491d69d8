"""The CPU that machine code is for, by Numba's rules, without importing it."""

from __future__ import annotations

import os
import sys
from typing import Any

CONFIGURATION = ".numba_config.yaml"
"""Numba reads it from the working directory."""

NO_AVX = ("corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona")
"""CPUs on which Numba leaves AVX out."""


def name_and_features() -> tuple[str, str]:
    """Name and features as LLVM calls them; ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` win.

    What Numba says counts where it is loaded, or where more than these two has a say.
    """
    import llvmlite.binding as llvm

    environment = os.environ
    name = str(environment.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name())
    if _numba_decides(name):
        return _of_numba()
    features = environment.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = "" if name.lower() == "generic" else _host_features(llvm)
    return name, features


def _numba_decides(name: str) -> bool:
    return (
        "numba.core.config" in sys.modules
        or "NUMBA_ENABLE_AVX" in os.environ
        or os.environ.get("NUMBA_CPU_NAME") == ""
        or name in NO_AVX
        or os.path.isfile(CONFIGURATION)
    )


def _of_numba() -> tuple[str, str]:
    import llvmlite.binding as llvm
    from numba.core import config
    from numba.core.codegen import get_host_cpu_features

    name = llvm.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return str(name), str(features)


def _host_features(llvm: Any) -> str:
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM knows none for this kind of CPU
        return ""
