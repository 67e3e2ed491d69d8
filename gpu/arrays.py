"""Arrays that callers hand over: on the device or on the host, and streams."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from instjit.errors import InputError, Problem

DLPACK_CUDA = (2, 13)
"""DLPack's kinds of memory that a kernel reads: of a CUDA device, and managed by CUDA."""

PER_THREAD = (0, 2)
"""Handles of default streams, which may be other streams in other threads."""


def on_device(array: Any) -> bool:
    """Whether an object is an array in the memory of a CUDA device.

    Raises
    ------
    InputError
        InputType: it is one that does not let itself be read, such as a tensor with a gradient.
    """
    if isinstance(array, np.ndarray) or array is None:
        return False
    try:
        if hasattr(array, "__cuda_array_interface__") or _simulated(array):
            return True
    except RuntimeError as error:
        sentence = f"{type(array).__name__} cannot be read: {error}"
        raise InputError(Problem("InputType", sentence)) from error
    device = getattr(array, "__dlpack_device__", None)
    return device is not None and int(device()[0]) in DLPACK_CUDA


def device_rows(array: Any, width: int, name: str, rows: int | None = None) -> Any:
    """Numba's view of a float32 C-contiguous device array of (rows, width); nothing is copied.

    Raises
    ------
    InputError
        InputShape, InputType: the array is another. OutputMismatch: the same of an output, for
        which ``rows`` is given.
    """
    view = _view(array)
    shape = tuple(int(size) for size in view.shape)
    wanted = (width,) if rows is None else (rows, width)
    expected = f"{'rows' if rows is None else rows} x {width}"
    output = rows is not None
    if len(shape) != 2 or shape[-len(wanted) :] != wanted:
        sentence = f"{name} is a device array of shape {shape}, expected {expected}"
        kind = "OutputMismatch" if output else "InputShape"
        raise InputError(Problem(kind, sentence, fields={"shape": shape}))
    if view.dtype != np.float32 or not view.is_c_contiguous():
        order = "C-contiguous" if view.is_c_contiguous() else "not C-contiguous"
        sentence = (
            f"{name} is a device array of {view.dtype}, {order}; expected float32, C-contiguous"
        )
        raise InputError(Problem("OutputMismatch" if output else "InputType", sentence))
    return view


def stream_of(stream: Any) -> Any:
    """Numba's view of a stream: its own, an address, or one of Torch or CuPy; 0 for None."""
    from numba import cuda

    if stream is None:
        return 0
    for name in ("cuda_stream", "ptr"):  # Torch, CuPy
        if isinstance(getattr(stream, name, None), int):
            stream = getattr(stream, name)
    return cuda.external_stream(stream) if isinstance(stream, int) and stream else stream


def stream_key(stream: Any) -> Any:
    """What tells streams apart: the address, and for default streams the thread as well."""
    handle = getattr(stream, "handle", stream)
    try:
        number = int(getattr(handle, "value", handle) or 0)
    except TypeError:
        return id(stream)
    return (number, threading.get_ident()) if number in PER_THREAD else number


def _view(array: Any) -> Any:
    from numba import cuda

    if _simulated(array) or type(array).__module__.startswith("numba."):
        return array
    if hasattr(array, "__cuda_array_interface__"):
        return cuda.as_cuda_array(array)
    return cuda.as_cuda_array(_Interface(array))


class _Interface:
    """The ``__cuda_array_interface__`` of an object that has DLPack alone."""

    def __init__(self, array: Any) -> None:
        try:
            from cuda.core.utils import StridedMemoryView
        except ImportError as error:
            sentence = (
                f"{type(array).__name__} has no __cuda_array_interface__, and DLPack needs "
                "instjit[cuda]"
            )
            raise InputError(Problem("InputType", sentence)) from error
        view = StridedMemoryView.from_dlpack(array, stream_ptr=-1)
        strides = view.strides
        self.owner = view
        self.__cuda_array_interface__ = {
            "shape": tuple(view.shape),
            "typestr": np.dtype(view.dtype).str,
            "strides": strides and tuple(step * view.dtype.itemsize for step in strides),
            "data": (int(view.ptr), bool(view.readonly)),
            "version": 3,
        }


def _simulated(array: Any) -> bool:
    """Whether it is an array of Numba's simulator, which has no interface of its own."""
    return type(array).__name__ == "FakeCUDAArray"
