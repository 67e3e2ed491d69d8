"""GPU back end: models inside the user's own CUDA kernels.

::

    from numba import cuda, float32
    from instjit import gpu

    packed = gpu.pack(models)                  # .words, a float32 array; .offsets, one each
    SLOTS = packed.compute_buffer_size

    @cuda.jit
    def kernel(words, offsets, x, y):
        row = cuda.grid(1)
        buffer = cuda.local.array(SLOTS, float32)
        for column in range(x.shape[1]):
            buffer[column] = x[row, column]
        gpu.predict(words, offsets[row], buffer)
        start = gpu.get_output_start(words, offsets[row])
        for column in range(y.shape[1]):
            y[row, column] = buffer[start + column]

Importing this package brings neither Numba nor CUDA; ``predict`` and the ``get_`` functions bring
``numba.cuda`` when they are first named. They check nothing: the words are to be those of ``pack``.
``opcodes`` tells what the words mean.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ != "instjit.gpu":
    raise ImportError("import instjit.gpu, not gpu")

if TYPE_CHECKING:
    from instjit.gpu.kernel import CudaKernel as CudaKernel
    from instjit.gpu.packing import Packed as Packed
    from instjit.gpu.packing import pack as pack

    get_compute_buffer_size: Any
    get_feature_size: Any
    get_full_model_size: Any
    get_output_size: Any
    get_output_start: Any
    predict: Any

_HOMES = {"CudaKernel": "kernel", "Packed": "packing", "pack": "packing"}
_DEVICE = (
    "get_compute_buffer_size",
    "get_feature_size",
    "get_full_model_size",
    "get_output_size",
    "get_output_start",
    "predict",
)

__all__ = [
    "CudaKernel",
    "Packed",
    "get_compute_buffer_size",
    "get_feature_size",
    "get_full_model_size",
]
__all__ += ["get_output_size", "get_output_start", "pack", "predict"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"instjit.gpu.{_HOMES[name]}"), name)
    elif name in _DEVICE:
        value = import_module("instjit.gpu.generic").device_functions()[name]
    else:
        raise AttributeError(f"module 'instjit.gpu' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
