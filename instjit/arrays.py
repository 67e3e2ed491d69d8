"""Numbers a caller gives -> read-only, C-contiguous arrays of a model.

Float32, or float64 where the model keeps that.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.errors import ModelError, Problem

T = TypeVar("T", bound=np.generic)

SINGLE: np.dtype[Any] = np.dtype(np.float32)
DOUBLE: np.dtype[Any] = np.dtype(np.float64)

INTEGERS = range(-(2**63), 2**64)
"""What a number of a model may be: int64 or uint64, as in every other reader."""


WIDE = 16
"""Numbers in a row from which on it is converted by itself."""


def vector(values: Any, name: str = "vector", dtype: np.dtype[Any] = SINGLE) -> FloatArray:
    """A read-only 1-D array of the dtype; ModelError for anything but a list of numbers."""
    array = _floats(values, name, dtype)
    if array.ndim != 1:
        raise _misshapen(name, "a list of numbers", array)
    return frozen(array)


def matrix(rows: Any, name: str = "matrix", dtype: np.dtype[Any] = SINGLE) -> FloatArray:
    """A read-only 2-D array of rows.

    Rows of unequal length stay representable, so that they can be reported: the result then is a
    1-D object array of row vectors (see ``is_ragged``).
    """
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        array = _floats(rows, name, dtype)
    else:
        several = _rows(rows, name)
        widths = {_length(row) for row in several}
        if len(widths) > 1:
            return _ragged(
                [vector(row, f"{name}, row {k}", dtype) for k, row in enumerate(several)]
            )
        joined = _joined(several, max(widths, default=0), dtype)
        if joined is not None:
            return joined
        array = _floats(several, name, dtype) if several else np.zeros((0, 0), dtype)
    if array.ndim != 2:
        raise _misshapen(name, "a list of rows", array)
    return frozen(array)


def frozen(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """The same numbers over bytes, which no ``setflags`` makes writable again.

    An array that lies in bytes already, as those that codecs take from a file, is given back as it
    is.
    """
    if isinstance(array.base, bytes) and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.ndarray(array.shape, array.dtype, array.tobytes())


def is_ragged(array: FloatArray) -> bool:
    """Whether ``matrix`` found rows of unequal length."""
    return array.dtype == object


def row_lengths(array: FloatArray) -> list[int]:
    """Length of every row of a matrix, ragged or not."""
    return [len(row) for row in array] if is_ragged(array) else [array.shape[1]] * len(array)


def row_widths(array: FloatArray) -> tuple[int, ...]:
    """The different lengths of a matrix's rows, in the order in which they first come."""
    if is_ragged(array):
        return tuple(dict.fromkeys(row_lengths(array)))
    return (array.shape[1],) if len(array) else ()


def entries(array: FloatArray) -> int:
    """Numbers in a matrix, ragged or not."""
    return sum(row_lengths(array)) if is_ragged(array) else array.size


def array_bytes(array: FloatArray) -> Iterator[bytes]:
    """Dtype, shape and content, for digests: arrays are equal when these are (NaN by its bits)."""
    if is_ragged(array):
        yield f"ragged {len(array)}".encode()
        for row in array:
            yield from array_bytes(row)
    else:
        yield f"{array.dtype.str} {array.shape}".encode()
        yield array.tobytes()


def first_non_finite(array: FloatArray) -> tuple[int, ...] | None:
    """Position of the first NaN or infinity, or None."""
    if is_ragged(array):
        for number, row in enumerate(array):
            place = first_non_finite(row)
            if place is not None:
                return (number, *place)
        return None
    finite = np.isfinite(array)
    if finite.all():
        return None
    return tuple(int(k) for k in np.unravel_index(int(np.argmin(finite)), array.shape))


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """The float32 numbers nearest to the given ones, as Python floats."""
    return tuple(vector(values).tolist())


def integer(value: Any, name: str) -> int:
    """A Python int; ModelError (InvalidNumber) for anything but an integer of 64 bits."""
    try:
        number = int(operator.index(value))  # NumPy's integers and bools become plain ones
    except TypeError:
        number = None
    if number is None or number not in INTEGERS:
        got = "one of more than 64 bits" if number is not None else repr(value)[:40]
        message = f"{name}: expected an integer, got {got}"
        raise ModelError(Problem("InvalidNumber", message))
    return number


def _floats(values: Any, name: str, dtype: np.dtype[Any]) -> FloatArray:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            # 1e39 is infinity in float32, as every reader has it; a signalling NaN is a quiet one
            return np.asarray(values, dtype=dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name}: expected numbers, got something else ({error})"
        raise ModelError(Problem("InvalidArray", message)) from error


def _joined(rows: list[Any], width: int, dtype: np.dtype[Any]) -> FloatArray | None:
    """The frozen matrix of long lists, a third faster than all at once; None for other rows."""
    if width < WIDE or set(map(type, rows)) != {list}:
        return None
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            content = b"".join([np.fromiter(row, dtype, width).tobytes() for row in rows])
    except (TypeError, ValueError, OverflowError):
        return None  # the general way tells what is wrong
    return np.ndarray((len(rows), width), dtype, content)


def _rows(rows: Any, name: str) -> list[Any]:
    try:
        return list(rows)
    except TypeError as error:
        message = f"{name}: expected a list of rows, got {type(rows).__name__}"
        raise ModelError(Problem("InvalidArray", message)) from error


def _length(row: Any) -> int:
    return len(row) if hasattr(row, "__len__") else -1


def _ragged(vectors: list[FloatArray]) -> FloatArray:
    rows = np.empty(len(vectors), dtype=object)
    rows[:] = vectors
    rows.setflags(write=False)
    return rows.view()  # NumPy makes no view of a read-only array writable


def _misshapen(name: str, wanted: str, array: FloatArray) -> ModelError:
    message = f"{name}: expected {wanted}, got an array of shape {array.shape}"
    return ModelError(Problem("InvalidArray", message))
