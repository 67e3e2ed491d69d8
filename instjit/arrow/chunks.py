"""Record batches of any sizes -> float arrays of rows, all but the last of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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

SMALL, GATHERED = 2**12, 2**14
"""Rows of a batch below which it waits for others, and of those that are then taken in at once.
Taking in four columns costs 25 us besides 3.5 us for 1,000 rows, joining batches 1 us for each."""

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
    chunk = _Chunk(height, wanted)
    for number, batch in enumerate(batches):
        rows = batch.num_rows
        if not rows:
            continue  # of an empty one even the types may be missing
        if schema is None or not batch.schema.equals(schema):
            schema = batch.schema
            chunk.turn_to(schema, number)
        start = 0
        while start < rows:
            count = min(chunk.room, rows - start)
            chunk.add(batch, start, count, number)
            start += count
            if not chunk.room:
                yield chunk.taken()
    if chunk.room < height:
        yield chunk.taken()


class _Chunk:
    """Rows that are being filled in, those of small batches several batches at a time.

    Attributes
    ----------
    room
        Rows that are missing.
    """

    def __init__(self, height: int, wanted: Wanted) -> None:
        self._height, self._wanted = height, wanted
        self._parts: tuple[Part, ...] = ()
        self._side_by_side: tuple[Part, ...] = ()  # where their columns alone are taken over
        self._rows = np.empty((0, 0))
        self._filled = self._gathered = 0
        self._small: list[tuple[Any, int, int, int]] = []
        self.room = height

    def turn_to(self, schema: Any, number: int) -> None:
        """Batches are of another schema from now on."""
        self._settle()
        wanted = self._wanted
        self._parts = parts_of(schema, wanted.features, wanted.width, wanted.where(number))
        each = enumerate(self._parts)
        self._side_by_side = tuple(replace(part, place=place) for place, part in each)

    def add(self, batch: Any, start: int, count: int, number: int) -> None:
        """Take in rows of a batch, as many as there is room for at most."""
        self.room -= count
        if count >= SMALL:
            self._settle()
            self._fill(batch, start, count, number, self._parts)
            return
        self._small.append((batch, start, count, number))
        self._gathered += count
        if self._gathered >= GATHERED:
            self._settle()

    def taken(self) -> Array:
        """The rows; the chunk is empty again."""
        self._settle()
        rows, self._rows = self._rows[: self._filled], np.empty((0, 0))
        self._filled, self.room = 0, self._height
        return rows

    def _settle(self) -> None:
        several, self._small, self._gathered = self._small, [], 0
        if len(several) > 1:
            began = self._filled
            try:
                for batch in _joined(several, self._parts):
                    self._fill(batch, 0, batch.num_rows, 0, self._side_by_side)
                return
            except InputError:  # of rows that it counts otherwise: their own batch tells which
                self._filled = began
        for one in several:
            self._fill(*one, self._parts)

    def _fill(
        self, batch: Any, start: int, count: int, number: int, parts: tuple[Part, ...]
    ) -> None:
        if not self._filled:
            self._rows = np.empty((self._height, self._wanted.width), self._wanted.dtype)
        target = self._rows[self._filled : self._filled + count]
        _fill(target, _Source(batch, start, parts, self._wanted, number))
        self._filled += count


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


def _joined(several: Iterable[tuple[Any, int, int, int]], parts: Iterable[Part]) -> list[Any]:
    """The rows of all, their parts' columns alone, in one batch, or in few where lists are long."""
    batches = [
        batch if count == batch.num_rows else batch.slice(start, count)
        for batch, start, count, _ in several
    ]
    table = pyarrow().Table.from_batches(batches).select([part.place for part in parts])
    joined: list[Any] = table.combine_chunks().to_batches()
    return joined


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
