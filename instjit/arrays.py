"""Numbers a caller gives -> read-only, C-contiguous arrays of a model.

The only place that fixes the dtype of constants: float32 for every format so far.
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

INTEGERS = range(-(2**63), 2**64)
"""What a number of a model may be: int64 or uint64, as in every other reader."""


def vector(values: Any, name: str = "vector") -> FloatArray:
    """A read-only 1-D float32 copy; ModelError for anything but a list of numbers."""
    array = _float32(values, name)
    if array.ndim != 1:
        raise _misshapen(name, "a list of numbers", array)
    return frozen(array)


def matrix(rows: Any, name: str = "matrix") -> FloatArray:
    """A read-only 2-D float32 copy of rows.

    Rows of unequal length stay representable, so that they can be reported: the result then is a
    1-D object array of row vectors (see ``is_ragged``).
    """
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        array = _float32(rows, name)
    else:
        several = _rows(rows, name)
        widths = {_length(row) for row in several}
        if len(widths) > 1:
            return _ragged([vector(row, f"{name}, row {k}") for k, row in enumerate(several)])
        array = _float32(several, name) if several else np.zeros((0, 0), np.float32)
    if array.ndim != 2:
        raise _misshapen(name, "a list of rows", array)
    return frozen(array)


def frozen(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """The same numbers over bytes, which no ``setflags`` makes writable again."""
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


def _float32(values: Any, name: str) -> FloatArray:
    try:
        with np.errstate(over="ignore"):  # 1e39 is infinity in float32, as every reader has it
            return np.asarray(values, dtype=np.float32, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name}: expected numbers, got something else ({error})"
        raise ModelError(Problem("InvalidArray", message)) from error


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
