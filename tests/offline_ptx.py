"""PTX of a kernel without a GPU or a driver, where a toolkit's compiler is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest


def ptx_of(kernel: Any, signature: tuple[Any, ...], cc: tuple[int, int]) -> str:
    """PTX of a kernel's function; skips the test where nothing can compile it."""
    with _device(cc):
        from numba import cuda

        try:
            text, _ = cuda.compile_ptx(kernel, signature, cc=cc)
        except Exception as error:
            missing = ("libnvvm", "nvvm", "libnvrtc", "nvrtc", "libdevice", "libcuda", "CUDA_HOME")
            if any(name in str(error) for name in missing):
                pytest.skip(f"no CUDA toolkit: {error}"[:200])
            raise
    return str(text)


@contextlib.contextmanager
def _device(cc: tuple[int, int]) -> Iterator[None]:
    """A kernel that calls device functions asks the current device what it is."""
    from numba.cuda import dispatcher

    held = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=cc)
    try:
        yield
    finally:
        dispatcher.get_current_device = held
