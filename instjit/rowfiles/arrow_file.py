"""Rows of Parquet and Arrow files, and of Arrow's stream format: by way of ``instjit.arrow``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrow import pyarrow
from instjit.arrow.batches import BUFFER_BYTES
from instjit.arrow.chunks import Wanted, chunks, good_height
from instjit.arrow.columns import parts_of
from instjit.arrow.stream import output_schema, record_batch
from instjit.rowfiles.columns import left_out
from instjit.rowfiles.rows import CHUNK_BYTES, Array, unreadable, window

PARQUET = ".parquet"
ARROW = (".arrow", ".feather")
FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
"""Of Arrow's stream format: what a message begins with."""


class ArrowRows:
    """Rows of record batches.

    Parameters
    ----------
    source
        What is read, with its schema and its batches; ``fraction`` tells the share of it so far.
    name
        The file, for messages.
    features, width
        As ``instjit.arrow.columns.parts_of`` takes them; a width of None is what there is.
    chunk_bytes
        Memory of a chunk at most.
    nulls_are_nan
        Whether a null is NaN; otherwise it is an error.
    double
        Whether rows are float64 instead of float32.
    """

    def __init__(
        self,
        source: ArrowSource,
        name: str,
        features: Sequence[str] = (),
        width: int | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        *,
        nulls_are_nan: bool = False,
        double: bool = False,
    ) -> None:
        names: list[str] = source.schema.names
        parts = parts_of(source.schema, features, width, name)
        self.name, self.count = name, source.count
        self.width = sum(part.width for part in parts)
        self.notes = left_out(names, [part.place for part in parts], name)
        dtype = np.float64 if double else np.float32
        self._wanted = Wanted(features, self.width, nulls_are_nan, dtype, name)
        fits = chunk_bytes // (np.dtype(dtype).itemsize * max(1, self.width))
        self._height = max(1, min(fits, good_height(self.width, 1)))
        self._source = source
        self._read = tuple(dict.fromkeys(part.name for part in parts)) if features else ()

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[Array]:
        """See ``Rows``."""
        batches = self._source.batches(self._height, self._read)
        return window(
            _readable(chunks(batches, self._wanted, self._height), self.name), start, stop
        )

    def fraction(self) -> float | None:
        """See ``Rows``."""
        return self._source.fraction()


class ArrowSource:
    """An open file: schema, rows if they are known, batches, and the share that was given."""

    def __init__(
        self,
        schema: Any,
        batches: Callable[[int, tuple[str, ...]], Iterable[Any]],
        rows: int | None = None,
        units: int | None = None,
    ) -> None:
        self.schema, self.count = schema, rows
        self._batches, self._units, self._done = batches, units, 0

    def batches(self, height: int, names: tuple[str, ...]) -> Iterator[Any]:
        """Of about that height where the file leaves it open, and of those columns at least."""
        for batch in self._batches(height, names):
            yield batch
            self._done += batch.num_rows if self.count is not None else 1

    def fraction(self) -> float | None:
        """Of the rows, or of the batches where only these are counted."""
        total = self._units if self.count is None else self.count
        return min(1.0, self._done / total) if total else None


@contextmanager
def arrow_source(file: IO[bytes], name: str, kind: str, seekable: bool) -> Iterator[ArrowSource]:
    """The batches of an open file.

    Parameters
    ----------
    kind
        ".parquet", or another suffix for Arrow's own formats.
    seekable
        Whether it is a file; a stream is read once, front to back.

    Raises
    ------
    FormatError
        The content breaks its format.
    InputError
        MissingPackage.
    """
    try:
        source = _parquet(file) if kind == PARQUET else _arrow(file, seekable)
    except (pyarrow().ArrowException, OSError) as error:
        what = "a Parquet" if kind == PARQUET else "an Arrow"
        raise unreadable(name, f"not {what} file: {_first_line(error)}") from error
    yield source


class ArrowWriter:
    """Rows as record batches of a file."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write(self, rows: FloatArray) -> None:
        """See ``RowWriter``."""
        self._writer.write_batch(record_batch(rows, self._schema))


@contextmanager
def arrow_writer(file: IO[bytes], names: Sequence[str], kind: str) -> Iterator[ArrowWriter]:
    """Write ".parquet", or Arrow's file format."""
    schema = output_schema(names)
    if kind == PARQUET:
        import pyarrow.parquet as parquet

        writer = parquet.ParquetWriter(file, schema)
    else:
        writer = pyarrow().ipc.new_file(file, schema)
    with writer:
        yield ArrowWriter(writer, schema)


def _parquet(file: IO[bytes]) -> ArrowSource:
    pyarrow()
    import pyarrow.parquet as parquet

    opened = parquet.ParquetFile(
        os.fsdecode(file.name), buffer_size=BUFFER_BYTES, pre_buffer=False, memory_map=False
    )

    def batches(height: int, names: tuple[str, ...]) -> Iterable[Any]:
        return opened.iter_batches(height, columns=list(names) or None)  # type: ignore[no-any-return]

    return ArrowSource(opened.schema_arrow, batches, opened.metadata.num_rows)


def _arrow(file: IO[bytes], seekable: bool) -> ArrowSource:
    ipc = pyarrow().ipc
    if not seekable:
        stream = ipc.open_stream(file)
        return ArrowSource(stream.schema, lambda *_: stream)
    head = file.read(len(FILE_MAGIC))
    mapped = pyarrow().memory_map(os.fsdecode(file.name))
    if head != FILE_MAGIC:
        stream = ipc.open_stream(mapped)
        return ArrowSource(stream.schema, lambda *_: stream)
    opened = ipc.open_file(mapped)
    several = range(opened.num_record_batches)
    return ArrowSource(opened.schema, lambda *_: map(opened.get_batch, several), units=len(several))


def _readable(several: Iterator[Array], name: str) -> Iterator[Array]:
    try:
        yield from several
    except (pyarrow().ArrowException, OSError) as error:
        raise unreadable(name, _first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
