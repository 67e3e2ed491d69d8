"""GpuSource -> PTX, without a driver or a device.

The entry is a plain C one, so that any CUDA host can launch it with pointers::

    extern "C" __global__ void NAME(const float *x, float *y, long long rows,
                                    const float *k, const int *n [, float *scratch]);

``scratch`` is there in the block form: ``GpuSource.scratch_floats`` for each block, or a null
pointer where that is 0. ``constants_file`` is the rest of what a host needs. ``k`` and ``scratch``
are to start at a multiple of 16 bytes, as what ``cudaMalloc`` gives does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from instjit.errors import CompileError, Problem
from instjit.gpu import build
from instjit.gpu.emit import GpuSource

ENTRY = re.compile(r"\.visible \.entry (\w+)\(")
TARGET = re.compile(r"^\.target sm_(\d+)", re.MULTILINE)
OLDEST = (8, 0)


def ptx(source: GpuSource, cc: tuple[int, int], name: str = "instjit_rows") -> str:
    """The kernel's PTX.

    Parameters
    ----------
    source
        The kernel's text.
    cc
        Compute capability to compile for, (9, 0) for instance.
    name
        Of the entry.

    Raises
    ------
    CompileError
        NoCuda: the compiler (libnvvm) is not there. Unsupported: the compute capability.
    """
    if tuple(cc) < OLDEST:
        sentence = f"compute capability {cc[0]}.{cc[1]} is not offered, only 8.0 and later"
        raise CompileError(Problem("Unsupported", sentence, fields={"cc": cc}))
    text = _compiled(source, cc)
    target = TARGET.search(text)
    if target is None or target.group(1) != f"{cc[0]}{cc[1]}":
        nearest = f"; the nearest is {target.group(1)}" if target else ""
        sentence = f"this CUDA compiler knows no compute capability {cc[0]}.{cc[1]}{nearest}"
        raise CompileError(Problem("Unsupported", sentence, fields={"cc": cc}))
    found = ENTRY.search(text)
    mangled = found.group(1) if found else name
    return re.sub(rf"\b{re.escape(mangled)}(?=\b|_param)", name, text)


@contextmanager
def offline_device(cc: tuple[int, int]) -> Iterator[None]:
    """Let numba compile for ``cc`` where it would ask the current device, of which there is none.

    A kernel that calls device functions asks while it is typed, whatever ``cc`` it is compiled for.
    """
    from numba.cuda import dispatcher

    saved = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=cc)
    try:
        yield
    finally:
        dispatcher.get_current_device = saved


def _compiled(source: GpuSource, cc: tuple[int, int]) -> str:
    from numba.core.errors import NumbaError

    build.require_compiler()
    from numba import cuda

    names = build.device_functions(source)
    options = build.bounds(source)
    with build.LOCK, offline_device(cc):
        try:
            text, _ = cuda.compile_ptx(names[source.entry], signature(source), cc=cc, **options)
        except NumbaError as error:
            sentence = f"Numba cannot compile the kernel of {source.digest[:16]}: {error}"
            raise CompileError(Problem("CompilationFailed", sentence)) from error
    return str(text)


def signature(source: GpuSource) -> Any:
    """Types of the entry's arguments as pointers."""
    from numba import float32, int32, int64, types

    floats, integers = types.CPointer(float32), types.CPointer(int32)
    arguments = [floats, floats, int64, floats, integers]
    if source.tile is not None:
        arguments.append(floats)
    return types.void(*arguments)
