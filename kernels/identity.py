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
IRRELEVANT_KINDS = ("NUMBA_NUMBA_", "NUMBA_THREADING_LAYER", "NUMBA_CUDA_", "NUMBA_ENABLE_CUDASIM")
"""Settings that change no code; what the two of the CPU amount to is told anyway. Numba calls its
numbers of threads ``config.NUMBA_NUM_THREADS`` and the like."""


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
    """What the environment and the file say, and where Numba holds something else, that too."""
    config = sys.modules.get("numba.core.config")
    if config is not None:
        config.reload_config()  # as a compilation does: what the environment says by then counts
    told = {name: value for name, value in os.environ.items() if _is_setting(name)}
    file = _file()
    changed = {}
    if config is not None:
        read = _read_anew(tuple(sorted(told.items())), file)
        held = {name: getattr(config, name, value) for name, value in read.items()}
        changed = {name: repr(held[name]) for name in read if held[name] != read[name]}
    return {"cpu": cpu.name_and_features(), "told": told, "changed": changed, "file": file}


def _is_setting(name: str) -> bool:
    return (
        name.startswith("NUMBA_")
        and name not in IRRELEVANT
        and not name.startswith(IRRELEVANT_KINDS)
    )


@cache
def _read_anew(environment: tuple[tuple[str, str], ...], file: str) -> dict[str, Any]:
    """Numba's settings as they follow from the environment and the file alone: 0.7 ms."""
    spec = importlib.util.find_spec("numba.core.config")
    if spec is None or spec.loader is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and _is_setting(f"NUMBA_{name}")
    }


def _file() -> str:
    try:
        return hashlib.sha256(Path(cpu.CONFIGURATION).read_bytes()).hexdigest()
    except OSError:
        return ""
