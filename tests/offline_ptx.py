"""PTX of a kernel without a GPU or a driver, where a toolkit's compiler is installed."""

from __future__ import annotations

from typing import Any

import pytest

from instjit.gpu.ptx import offline_device


def ptx_of(kernel: Any, signature: tuple[Any, ...], cc: tuple[int, int]) -> str:
    """PTX of a kernel's function; skips the test where nothing can compile it."""
    with offline_device(cc):
        from numba import cuda

        try:
            text, _ = cuda.compile_ptx(kernel, signature, cc=cc)
        except Exception as error:
            missing = ("libnvvm", "nvvm", "libnvrtc", "nvrtc", "libdevice", "libcuda", "CUDA_HOME")
            if any(name in str(error) for name in missing):
                pytest.skip(f"no CUDA toolkit: {error}"[:200])
            raise
    return str(text)
