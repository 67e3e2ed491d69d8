"""Arrays and streams of Numba, Torch and CuPy on the device, as the checks need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from bench.jobs import Float32

WAYS = ("itself", "interface", "DLPack")
"""How an array is handed over: as it is, or as an object with one of the two protocols alone."""


class Library(Protocol):
    """What the checks ask of a library; ``ways`` are those of WAYS that it offers."""

    ways: tuple[str, ...]

    def put(self, rows: Float32) -> Any:
        """Copy an array to the device."""
        ...

    def back(self, array: Any) -> Float32:
        """Copy an array of the library to the host."""
        ...

    def stream(self) -> Any:
        """Make a stream that does not wait for the default one, where the library has such."""
        ...

    def address(self, stream: Any) -> int:
        """The stream's handle as a number."""
        ...


class NumbaArrays:
    """``numba.cuda``; its arrays have no DLPack."""

    ways: tuple[str, ...] = WAYS[:2]

    def put(self, rows: Float32) -> Any:
        from numba import cuda

        return cuda.to_device(rows)

    def back(self, array: Any) -> Float32:
        result: Float32 = array.copy_to_host()
        return result

    def stream(self) -> Any:
        from numba import cuda

        return cuda.stream()

    def address(self, stream: Any) -> int:
        handle = stream.handle
        return int(getattr(handle, "value", handle))


class TorchArrays:
    """Torch; its streams do not wait for the default one."""

    ways: tuple[str, ...] = WAYS

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise ImportError(f"torch {torch.__version__} sees no CUDA device")

    def put(self, rows: Float32) -> Any:
        import torch

        return torch.tensor(rows, device="cuda")

    def back(self, array: Any) -> Float32:
        result: Float32 = array.cpu().numpy()
        return result

    def stream(self) -> Any:
        import torch

        return torch.cuda.Stream()

    def address(self, stream: Any) -> int:
        return int(stream.cuda_stream)


class CuPyArrays:
    """CuPy."""

    ways: tuple[str, ...] = WAYS

    def __init__(self) -> None:
        import cupy

        if not cupy.cuda.is_available():
            raise ImportError(f"cupy {cupy.__version__} sees no CUDA device")

    def put(self, rows: Float32) -> Any:
        import cupy

        return cupy.asarray(rows)

    def back(self, array: Any) -> Float32:
        result: Float32 = array.get()
        return result

    def stream(self) -> Any:
        import cupy

        return cupy.cuda.Stream(non_blocking=True)

    def address(self, stream: Any) -> int:
        return int(stream.ptr)


LIBRARIES: dict[str, Callable[[], Library]] = {
    "Numba": NumbaArrays,
    "Torch": TorchArrays,
    "CuPy": CuPyArrays,
}


class Interface:
    """An array of which nothing but ``__cuda_array_interface__`` can be had."""

    def __init__(self, array: Any) -> None:
        self._array = array

    @property
    def __cuda_array_interface__(self) -> Any:
        return self._array.__cuda_array_interface__


class DLPack:
    """An array of which nothing but DLPack can be had."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def handed(array: Any, way: str) -> Any:
    """An array as it is handed over."""
    return {"itself": lambda a: a, "interface": Interface, "DLPack": DLPack}[way](array)


def nothing(shape: tuple[int, ...]) -> Float32:
    """NaN everywhere: what nobody wrote to is seen."""
    return np.full(shape, np.nan, np.float32)
