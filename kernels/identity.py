"""What machine code depends on besides a kernel's structure: instjit, Numba, LLVM, the CPU.

Looking at it loads no Numba.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import time
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

import instjit
from instjit.kernels import cpu

BEGAN = time.time()
"""When this process loaded the package, within the time that takes."""

HERE = Path(__file__).parent
BESIDE = ("arithmetic", "functions", "program")
"""Modules of ``instjit`` from which code follows; what shapes the text is in its digest."""

IRRELEVANT = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
IRRELEVANT_KINDS = ("NUMBA_THREADING_LAYER", "NUMBA_CUDA_", "NUMBA_ENABLE_CUDASIM")
"""Settings that change no code; what the two of the CPU amount to is told anyway."""

DEFAULTS = {
    "OPT": 3, "LOOP_VECTORIZE": 1, "SLP_VECTORIZE": 0, "BOUNDSCHECK": None, "DEBUGINFO_DEFAULT": 0,
    "LLVM_REFPRUNE_PASS": 1, "DISABLE_INTEL_SVML": 0,
}  # fmt: skip
"""Numba's own; a program may have set others."""


def key(structure: str, form: str) -> str:
    """Names the code of a function of that structure here and now: 64 hex digits."""
    facts = {"structure": structure, "form": form, **_installed(), **_settings()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def unchanged() -> bool:
    """Whether the files of the emitting modules are those that this process began with.

    They may have changed before the first key too, after they were loaded.
    """
    states = [file.stat() for file in _files()]
    newest = max(max(state.st_mtime, state.st_ctime) for state in states)
    return newest < BEGAN and bool(_modules() == _installed()["modules"])


@cache
def _installed() -> dict[str, Any]:
    import llvmlite
    import llvmlite.binding as llvm

    return {
        "modules": _modules(),
        "instjit": instjit.__version__,
        "numba": _numba_version(),
        "llvmlite": llvmlite.__version__,
        "llvm": llvm.llvm_version_info,
        "numpy": np.__version__,
        "python": [sys.version, EXTENSION_SUFFIXES[0]],
        "triple": llvm.get_process_triple(),
    }


def _modules() -> str:
    digest = hashlib.sha256()
    for file in _files():
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files() -> list[Path]:
    return [*sorted(HERE.glob("*.py")), *(_beside(name) for name in BESIDE)]


def _beside(name: str) -> Path:
    return Path(instjit.__file__).with_name(f"{name}.py")


def _numba_version() -> str:
    """Of the file that says it, which costs a thousandth of importing Numba."""
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        return ""
    return hashlib.sha256(Path(spec.origin).with_name("_version.py").read_bytes()).hexdigest()


def _settings() -> dict[str, Any]:
    told = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("NUMBA_")
        and name not in IRRELEVANT
        and not name.startswith(IRRELEVANT_KINDS)
    }
    config = sys.modules.get("numba.core.config")
    changed = {
        name: str(value)
        for name, default in DEFAULTS.items()
        if config is not None
        and (value := getattr(config, name, default)) != default
        and f"NUMBA_{name}" not in told
    }
    return {"cpu": cpu.name_and_features(), "told": told, "changed": changed, "file": _file()}


def _file() -> str:
    try:
        return hashlib.sha256(Path(cpu.CONFIGURATION).read_bytes()).hexdigest()
    except OSError:
        return ""
