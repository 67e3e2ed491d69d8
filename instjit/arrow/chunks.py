"""Record batches of any sizes -> float arrays of rows, all but the last of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arrow import pyarrow
from instjit.arrow.columns import Part, parts_of
from instjit.errors import InputError, Problem

CHUNK_BYTES = 2**22
"""Of a chunk's rows or of its outputs, whichever are wider."""

FEWEST, MOST = 64, 2**17
"""Rows of a chunk."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rows are to be made of.

    Attributes
    ----------
    features
        Names of the columns, as ``columns.parts_of`` takes them; none: by position.
    width
        Columns of a row.
    nulls_are_nan
        Whether a null is NaN; otherwise it is an error.
    dtype
        Of the rows.
    place
        What batches are of, for messages: a file, or nothing.
    """

    features: Sequence[str]
    width: int
    nulls_are_nan: bool = False
    dtype: type = np.float32
    place: str = ""

    def where(self, batch: int) -> str:
        """A batch's name in messages."""
        return f"batch {batch} of {self.place}" if self.place else f"batch {batch}"


def good_height(width_in: int, width_out: int) -> int:
    """Rows of a chunk that stay in the cache and yet are worth a call on several threads."""
    return max(FEWEST, min(MOST, CHUNK_BYTES // (4 * max(1, width_in, width_out))))


def chunks(batches: Iterable[Any], wanted: Wanted, height: int) -> Iterator[Array]:
    """Rows of the batches in their order: (height, width) arrays, a smaller one at the end.

    Parameters
    ----------
    batches
        Record batches; their schemas may differ.
    height
        Rows of a chunk.

    Raises
    ------
    InputError
        What ``columns.parts_of`` says of a schema; NullValue; InputShape: a list of another length.
    """
    schema: Any = None
    parts: tuple[Part, ...] = ()
    chunk, filled = np.empty((0, 0)), 0
    for number, batch in enumerate(batches):
        if not batch.num_rows:
            continue  # of an empty one even the types may be missing
        if schema is None or not batch.schema.equals(schema):
            schema = batch.schema
            parts = parts_of(schema, wanted.features, wanted.width, wanted.where(number))
        start = 0
        while start < batch.num_rows:
            if not filled:
                chunk = np.empty((height, wanted.width), wanted.dtype)
            taken = min(height - filled, batch.num_rows - start)
            target = chunk[filled : filled + taken]
            _fill(target, _Source(batch, start, parts, wanted, number))
            start, filled = start + taken, filled + taken
            if filled == height:
                yield chunk
                filled = 0
    if filled:
        yield chunk[:filled]


@dataclass(frozen=True, slots=True)
class _Source:
    batch: Any
    start: int
    parts: tuple[Part, ...]
    wanted: Wanted
    number: int

    def error(self, kind: str, part: Part, what: str) -> InputError:
        sentence = f"column {part.name!r} of {self.wanted.where(self.number)}: {what}"
        return InputError(
            Problem(kind, sentence, fields={"column": part.name, "batch": self.number})
        )


def _fill(target: Array, source: _Source) -> None:
    """Write so many rows from ``start`` on."""
    at = 0
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32 is infinite
        for part in source.parts:
            column = source.batch.column(part.place).slice(source.start, len(target))
            if part.lists:
                _fill_lists(target[:, at : at + part.width], column, source, part)
            else:
                target[:, at] = _numbers(column, source, part)
            at += part.width


def _fill_lists(target: Array, column: Any, source: _Source, part: Part) -> None:
    there = _known(column, source, part)
    if not pyarrow().types.is_fixed_size_list(column.type):
        lengths = column.value_lengths().fill_null(part.width).to_numpy(zero_copy_only=False)
        row = int((lengths != part.width).argmax())
        if lengths[row] != part.width:
            what = f"row {source.start + row} holds {lengths[row]} numbers, expected {part.width}"
            raise source.error("InputShape", part, what)
    values = _numbers(column.flatten(), source, part, part.width).reshape(-1, part.width)
    if there is None:
        target[:] = values
    else:
        target[there], target[~there] = values, np.nan


def _numbers(column: Any, source: _Source, part: Part, each: int = 1) -> Array:
    """A column, or lists of ``each`` one behind the other."""
    if _known(column, source, part, each) is not None:
        column = column.cast(pyarrow().float64(), safe=False)  # with NaN for each null
    found: Array = column.to_numpy(zero_copy_only=False)
    return found


def _known(column: Any, source: _Source, part: Part, each: int = 1) -> Any:
    """Which values are no nulls, None for all; InputError (NullValue) where none may be one."""
    if not column.null_count:
        return None
    there = column.is_valid().to_numpy(zero_copy_only=False)
    if source.wanted.nulls_are_nan:
        return there
    row = source.start + int(there.argmin()) // each
    raise source.error("NullValue", part, f"row {row} is null, expected a number")
