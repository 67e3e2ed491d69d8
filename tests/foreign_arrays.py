"""Arrays and streams of other packages: what theirs expose, over memory of the fake device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import fake_numba_cuda as fake
import numpy as np

KIND_CUDA, KIND_MANAGED = 2, 13


def on_fake_device(values: Any, dtype: Any = np.float32) -> np.ndarray:
    """Device memory that holds the values; keeps their strides."""
    return fake.MACHINE.allocated(np.array(values, dtype, order="K", copy=True), fake.DEVICE)


class TorchTensor:
    """A CUDA tensor of Torch: the interface is of version 2, without a stream."""

    def __init__(self, held: np.ndarray, device: int = 0, requires_grad: bool = False) -> None:
        self.held, self.device, self.requires_grad = held, device, requires_grad

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.requires_grad:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")
        address = self.held.ctypes.data if self.held.size else 0
        return fake.interface(self.held, address=address, version=2)

    def __dlpack_device__(self) -> tuple[int, int]:
        return KIND_CUDA, self.device


class CupyArray:
    """An array of CuPy: version 3, with the stream that was current; 1 for the default stream."""

    def __init__(self, held: np.ndarray, stream: int = 1, device: int = 0) -> None:
        self.held, self.stream, self.device = held, stream, device

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return fake.interface(self.held, stream=self.stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return KIND_CUDA, self.device


class PlainArray:
    """An object that has the interface alone, with any entries."""

    def __init__(self, held: np.ndarray, **entries: Any) -> None:
        self.held = held
        self.__cuda_array_interface__ = fake.interface(held, **entries)


class DlpackArray:
    """An object that has DLPack alone."""

    def __init__(
        self, held: np.ndarray, device: int = 0, kind: int = KIND_CUDA, refusal: str = ""
    ) -> None:
        self.held, self.where, self.refusal = held, (kind, device), refusal
        self.streams: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.where

    def __dlpack__(self, *, stream: int | None = None, **more: Any) -> Any:
        if self.refusal:
            raise BufferError(self.refusal)
        self.streams.append(stream)
        return self.held.__dlpack__(max_version=more.get("max_version"))


class StridedMemoryView:
    """What ``cuda.core.utils`` has of that name: strides count elements."""

    @classmethod
    def from_dlpack(cls, array: Any, stream_ptr: int | None = None) -> StridedMemoryView:
        array.__dlpack__(stream=stream_ptr, max_version=(1, 3))
        view, held = cls(), array.held
        view.ptr, view.shape, view.dtype = held.ctypes.data, held.shape, held.dtype
        view.strides = tuple(step // held.itemsize for step in held.strides)
        view.readonly, view.device_id = not held.flags.writeable, array.where[1]
        return view


def torch_stream(address: int, device: int = 0) -> SimpleNamespace:
    return SimpleNamespace(cuda_stream=address, device_index=device)


def cupy_stream(address: int, device: int = 0) -> SimpleNamespace:
    return SimpleNamespace(ptr=address, device_id=device)


def protocol_stream(address: int) -> SimpleNamespace:
    return SimpleNamespace(__cuda_stream__=lambda: (0, address))
