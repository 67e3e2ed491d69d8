"""Arrays that callers hand over: on the device or on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from instjit.errors import InputError, Problem
from instjit.gpu import driver
from instjit.gpu.streams import LEGACY, handle_of

DLPACK_CUDA = (2, 13)
"""DLPack's kinds of memory that a kernel reads: of a CUDA device, and managed by CUDA."""


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
        if hasattr(array, "__cuda_array_interface__") or _of_numba(array):
            return True
    except RuntimeError as error:
        raise _unreadable(array, error) from error
    return _dlpack_device(array)[0] in DLPACK_CUDA


def device_rows(
    array: Any, width: int, device: int, stream: Any, name: str, rows: int | None = None
) -> Any:
    """Numba's view of a float32 C-contiguous device array of (rows, width); nothing is copied.

    Parameters
    ----------
    array
        An array for which ``on_device`` holds.
    width, rows
        The shape; any number of rows for None.
    device
        Number of the current device.
    stream
        Numba's stream that the array is for. An array that has DLPack alone becomes ready there;
        the view of another has the stream that its owner names, or 0, as ``stream``.
    name
        What errors call it.

    Raises
    ------
    InputError
        InputShape, InputType: the array is another, or on another device. OutputMismatch: the same
        of an output, for which ``rows`` is given, or it is read-only.
    """
    output = rows is not None
    shape_kind, kind = ("OutputMismatch",) * 2 if output else ("InputShape", "InputType")
    _check_device(name, kind, device, *_dlpack_device(array))
    view, read_only = _view(array, stream)
    if output and read_only:
        raise InputError(Problem(kind, f"{name} is a read-only device array"))
    shape = tuple(int(size) for size in view.shape)
    wanted = (width,) if rows is None else (rows, width)
    if len(shape) != 2 or shape[-len(wanted) :] != wanted:
        expected = f"{'rows' if rows is None else rows} x {width}"
        sentence = f"{name} is a device array of shape {shape}, expected {expected}"
        raise InputError(Problem(shape_kind, sentence, fields={"shape": shape}))
    if view.dtype != np.float32 or not view.is_c_contiguous():
        order = "C-contiguous" if view.is_c_contiguous() else "not C-contiguous"
        sentence = (
            f"{name} is a device array of {view.dtype}, {order}; expected float32, C-contiguous"
        )
        raise InputError(Problem(kind, sentence))
    address = _address(view)
    if address % view.dtype.itemsize:
        raise InputError(Problem(kind, f"{name} starts at {address:#x}, within a float32"))
    if address:
        _check_device(name, kind, device, DLPACK_CUDA[0], driver.device_of(address))
    return view


def overlapping(x: Any, y: Any) -> bool:
    """Whether views share memory, other than being the same rows of the same width."""
    starts = _address(x), _address(y)
    if starts[0] == starts[1] and x.shape == y.shape:
        return False
    stops = starts[0] + x.dtype.itemsize * x.size, starts[1] + y.dtype.itemsize * y.size
    return max(starts) < int(min(stops))


def _view(array: Any, stream: Any) -> tuple[Any, bool]:
    """Numba's view, and whether the array is read-only."""
    from numba import cuda

    if _of_numba(array):
        return array, False
    owner = array
    try:
        interface = getattr(array, "__cuda_array_interface__", None)
        if interface is None:
            interface, owner = _interface(array, stream)
        view = cuda.from_cuda_array_interface(interface, owner=owner, sync=False)
        return view, bool(interface["data"][1])
    except InputError:  # a ValueError as well
        raise
    except (BufferError, RuntimeError, TypeError, ValueError, LookupError) as error:
        raise _unreadable(array, error) from error


def _interface(array: Any, stream: Any) -> tuple[dict[str, Any], Any]:
    """The ``__cuda_array_interface__`` of an object that has DLPack alone, and what keeps it."""
    try:
        from cuda.core.utils import StridedMemoryView
    except ImportError as error:
        sentence = (
            f"{type(array).__name__} has no __cuda_array_interface__, and DLPack needs "
            "instjit[cuda]"
        )
        raise InputError(Problem("InputType", sentence)) from error
    view = StridedMemoryView.from_dlpack(array, stream_ptr=handle_of(stream) or LEGACY)
    dtype, strides = np.dtype(view.dtype), view.strides
    return {
        "shape": tuple(view.shape),
        "typestr": dtype.str,
        "strides": strides and tuple(step * dtype.itemsize for step in strides),
        "data": (int(view.ptr), bool(view.readonly)),
        "version": 3,
    }, view


def _of_numba(array: Any) -> bool:
    """Whether it is an array of Numba, or of its simulator, which has no interface of its own."""
    return getattr(array, "__cuda_ndarray__", False) is True


def _dlpack_device(array: Any) -> tuple[int, int | None]:
    """Kind of memory and number of the device as DLPack tells them; (0, None) where it does not."""
    tell = getattr(array, "__dlpack_device__", None)
    if tell is None:
        return 0, None
    kind, number = tell()
    return int(kind), int(number)


def _check_device(name: str, problem: str, device: int, kind: int, number: int | None) -> None:
    """Refuse an array of another device; managed memory belongs to all."""
    if kind == DLPACK_CUDA[0] and number is not None and number != device:
        sentence = f"{name} is on device {number}, the current device is {device}"
        raise InputError(Problem(problem, sentence))


def _address(view: Any) -> int:
    if hasattr(view, "ctypes"):  # the simulator's lie on the host
        return int(view.ctypes.data)
    return int(view.__cuda_array_interface__["data"][0])


def _unreadable(array: Any, error: Exception) -> InputError:
    sentence = f"{type(array).__name__} cannot be read: {error}"
    return InputError(Problem("InputType", sentence))
