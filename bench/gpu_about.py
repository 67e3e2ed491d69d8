"""What the kernels run on, and what compiles them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from bench.gpu_part import Message
from bench.ptx import PACKAGES

ABOUT = "about"
OTHERS = (
    "instjit", "numpy", "cuda-bindings", "cuda-core", "torch", "triton", "onnxruntime-gpu",
    "cupy-cuda12x", "cupy-cuda13x",
)  # fmt: skip


def about(simulated: bool) -> Iterator[Message]:
    """The part: names and versions."""
    found = {"device": "Numba's CUDA simulator"} if simulated else _device()
    yield ABOUT, {**found, "Python": platform.python_version(), **versions()}


def versions() -> dict[str, str]:
    """Packages that decide what a kernel becomes, and those that it is compared with."""
    found = {}
    for package in (*PACKAGES, *OTHERS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _device() -> dict[str, str]:
    from numba import cuda
    from numba.cuda.cudadrv import driver

    here = cuda.get_current_device()
    name = here.name.decode() if isinstance(here.name, bytes) else here.name
    return {
        "device": str(name),
        "compute capability": ".".join(map(str, here.compute_capability)),
        "multiprocessors": str(here.MULTIPROCESSOR_COUNT),
        "memory GiB": f"{cuda.current_context().get_memory_info().total / 2**30:.0f}",
        "driver for CUDA": ".".join(map(str, driver.driver.get_version())),
    }
