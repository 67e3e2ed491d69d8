"""What a caller hands over -> rows of float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.counted import shown, whole
from instjit.errors import InputError, Problem
from instjit.model import Buffer, Model

if TYPE_CHECKING:
    from instjit.passes import Pass

SHOWN_NAMES = 8

_NUMBERS = frozenset("biufO")
_NO_NUMBERS = (str, bytes, complex, np.complexfloating, np.datetime64, np.timedelta64)
_NOTHING = object()


class Columns(Protocol):
    """What a model says of its rows."""

    @property
    def input_size(self) -> int:
        """Columns."""

    @property
    def features(self) -> Sequence[str] | None:
        """Their names."""

    @property
    def buffers(self) -> Sequence[Buffer]:
        """The leading ones hold the input."""


def as_rows(model: Columns, rows: Any) -> FloatArray:
    """(rows, input_size) float32, C-contiguous; no copy where ``rows`` is that already.

    Parameters
    ----------
    model
        The model whose input it is.
    rows
        A 2-D array or nested lists of numbers; or a list of 2-D arrays, one for each leading
        buffer.

    Raises
    ------
    InputError
        ``InputShape`` for anything but two dimensions, ``ValidationInputSizeMismatch`` for a wrong
        width, ``InputType`` for what are no numbers: text, dates, complex or masked ones.
    """
    if isinstance(rows, list | tuple) and rows and all(getattr(x, "ndim", 0) == 2 for x in rows):
        return columns(model, rows)
    array = _float32(rows, "X")
    if array.ndim == 1 and array.size == 0 and not isinstance(rows, np.ndarray):
        array = array.reshape(0, model.input_size)
    if array.ndim != 2:
        hint = f"; for one row: row(x), or X.reshape(1, {array.size})" if array.ndim == 1 else ""
        message = (
            f"X has {array.ndim} dimension{'s' * (array.ndim != 1)}, "
            f"expected rows x {model.input_size}{hint}"
        )
        raise InputError(Problem("InputShape", message, fields={"shape": array.shape}))
    if array.shape[1] != model.input_size:
        raise wrong_width(model, array.shape[1])
    return array


def as_line(model: Columns, x: Any) -> FloatArray:
    """(input_size,) float32, C-contiguous, for one row.

    Raises
    ------
    InputError
        ``InputShape`` for anything but one dimension, ``ValidationInputSizeMismatch`` for a wrong
        width, ``InputType`` as ``as_rows``.
    """
    array = _float32(x, "x")
    if array.ndim != 1:
        message = (
            f"x has {array.ndim} dimensions, expected one of {model.input_size}; "
            "for rows: predict(X)"
        )
        raise InputError(Problem("InputShape", message, fields={"shape": array.shape}))
    if array.size != model.input_size:
        raise wrong_width(model, array.size, "x")
    return array


def columns(model: Columns, arrays: Sequence[Any]) -> FloatArray:
    """Arrays for the leading buffers, in order, side by side: (rows, input_size) float32.

    Raises
    ------
    InputError
        When the arrays are not as many as the input buffers, or one has another width or height.
    """
    sizes = _input_buffers(model)
    if len(arrays) != len(sizes):
        message = f"X holds {len(arrays)} arrays, the model takes {len(sizes)}, of widths {sizes}"
        raise InputError(Problem("InputOutputCountMismatch", message))
    parts = [_float32(array, f"X[{number}]") for number, array in enumerate(arrays)]
    for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        if part.ndim != 2 or part.shape != (len(parts[0]), size):
            message = (
                f"X[{number}] has shape {part.shape}, buffer {number} takes "
                f"({len(parts[0])}, {size})"
            )
            fields = {"index": number, "actual_size": part.shape[-1], "expected_size": size}
            raise InputError(Problem("InputBufferSizeMismatch", message, fields=fields))
    return np.concatenate(parts, axis=1)


def wrong_width(model: Columns, width: int, name: str = "X") -> InputError:
    """The error for rows of another width than the model takes."""
    names = model.features or ()
    shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    message = (
        f"{name} has {width} column{'s' * (width != 1)}, the model takes {model.input_size}"
        f"{': ' if shown else ''}{shown}"
    )
    fields = {"provided": width, "expected": model.input_size}
    return InputError(Problem("ValidationInputSizeMismatch", message, fields=fields))


def checked_slots(model: Model, slots: tuple[int, int]) -> tuple[int, int]:
    """(start, stop) of some slots of the flat buffer; InputError for anything else."""
    try:
        start, stop = (whole(slot) for slot in slots)
    except (TypeError, ValueError) as error:
        sentence = f"slots must be (start, stop), two whole numbers, got {shown(slots)}"
        raise InputError(Problem("InvalidSliceRange", sentence)) from error
    if not 0 <= start < stop:
        got = f"({shown(start)}, {shown(stop)})"
        sentence = f"slots must be (start, stop) with 0 <= start < stop, got {got}"
        raise InputError(
            Problem("InvalidSliceRange", sentence, fields={"start": start, "end": stop})
        )
    if stop > model.required_memory:
        sentence = f"slots end at {shown(stop)}, the flat buffer has {model.required_memory}"
        fields = {"start": start, "end": stop, "buffer_size": model.required_memory}
        raise InputError(Problem("SliceRangeOutOfBounds", sentence, fields=fields))
    return start, stop


def checked_passes(passes: Any) -> tuple[Pass, ...]:
    """Program passes, one after the other; InputError (InputType) for anything else."""
    several = tuple(passes) if isinstance(passes, Iterable) else (passes,)
    if not isinstance(passes, Iterable) or not all(map(callable, several)):
        sentence = f"passes takes functions of instjit.passes in a list, not {shown(passes)}"
        raise InputError(Problem("InputType", sentence))
    return several


def _input_buffers(model: Columns) -> list[int]:
    sizes, total = [], 0
    for buffer in model.buffers:
        if total == model.input_size:
            break
        sizes.append(buffer.size)
        total += buffer.size
    return sizes


def _float32(values: Any, name: str) -> FloatArray:
    wanted = "a row of numbers" if name == "x" else "rows of numbers of equal length"
    try:
        found = np.asarray(values)
        wrong = unfit(values, found)
        if wrong is None:
            with np.errstate(over="ignore", invalid="ignore"):  # invalid: a signalling NaN
                array = np.asarray(found, dtype=np.float32, order="C")
                return array if array.flags.aligned else array.copy()
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name} must be {wanted}: {error}"
        raise InputError(Problem("InputShape", message)) from error
    raise InputError(Problem("InputType", f"{name} must be {wanted}, got {wrong}"))


def unfit(values: Any, found: npt.NDArray[Any]) -> str | None:
    """What NumPy would turn into float32 though it is no number; None when all is well."""
    parts = values if isinstance(values, list | tuple) else (values,)
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        return "masked values: fill them first"
    if found.dtype.kind not in _NUMBERS:
        return f"an array of {found.dtype}"
    if found.dtype.kind == "O":
        wrong = next((x for x in found.flat if x is None or isinstance(x, _NO_NUMBERS)), _NOTHING)
        return None if wrong is _NOTHING else f"an array that holds {str(wrong)[:40]!r}"
    return None
