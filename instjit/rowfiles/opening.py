"""Path or stream -> rows."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from instjit.errors import InputError, Problem
from instjit.rowfiles.arrow_file import ARROW, PARQUET, STREAM_MAGIC, ArrowRows, arrow_source
from instjit.rowfiles.columns import feature_columns
from instjit.rowfiles.csv_file import BLOCK_BYTES, CsvRows
from instjit.rowfiles.npy import MAGIC, MappedRows, streamed
from instjit.rowfiles.npz import archived
from instjit.rowfiles.rows import CHUNK_BYTES, Rows, unreadable

SUFFIXES = (".npy", ".npz", ".csv", PARQUET, *ARROW)
ZIP_MAGIC = b"PK"
PARQUET_MAGIC = b"PAR1"


@contextmanager
def open_rows(
    source: str | os.PathLike[str],
    *,
    features: Sequence[str] = (),
    width: int | None = None,
    array: str = "X",
    header: bool | None = None,
    empty_is_nan: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Rows]:
    """Open rows of numbers.

    Parameters
    ----------
    source
        A path that ends in .npy, .npz, .csv, .parquet, .arrow or .feather; a pipe or "-" (standard
        input) that holds npy, CSV or Arrow's stream format.
    features
        Names of what to take from a CSV file with a header, or from Parquet and Arrow.
    width
        Columns that a row must have, where a Parquet or Arrow file leaves that open.
    array
        Name of the array to take from an npz file that holds several: "X", or "y" for what outputs
        are compared with, which Parquet and Arrow give in float64.
    header, empty_is_nan
        As ``CsvRows``.
    chunk_bytes
        Memory of a chunk.

    Raises
    ------
    FormatError
        The content breaks its format.
    InputError
        UnknownRowFormat, MissingColumns, AmbiguousColumn; MissingPackage, and what
        ``instjit.arrow.columns`` says, for Parquet and Arrow.
    OSError
        The file cannot be read.
    """
    name = "standard input" if str(source) == "-" else str(source)
    with _opened(source) as file:
        kind = _kind(file, name)
        if kind == ".csv":
            yield CsvRows(
                file,
                name,
                feature_columns(features),
                header=header,
                empty_is_nan=empty_is_nan,
                block_bytes=min(BLOCK_BYTES, chunk_bytes),
            )
        elif kind == ".npz":
            with archived(file, name, array, chunk_bytes) as rows:
                yield rows
        elif kind in (PARQUET, *ARROW):
            options = {"nulls_are_nan": empty_is_nan, "double": array == "y"}
            with arrow_source(file, name, kind, _is_regular(file)) as opened:
                yield ArrowRows(opened, name, features, width, chunk_bytes, **options)
        elif _is_regular(file):
            yield MappedRows(file, name, chunk_bytes)
        else:
            with streamed(file, name, chunk_bytes) as rows:
                yield rows


@contextmanager
def _opened(source: str | os.PathLike[str]) -> Iterator[Any]:
    if str(source) == "-":
        yield sys.stdin.buffer
    else:
        with Path(source).open("rb") as file:
            yield file


def _kind(file: Any, name: str) -> str:
    """Suffix of the format: the name's for a file, by the first bytes for a stream."""
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    if _is_regular(file) and file is not sys.stdin.buffer:
        known = ", ".join(SUFFIXES)
        sentence = f"{name}: rows are read from {known} or a stream, told by the name's end"
        raise InputError(Problem("UnknownRowFormat", sentence, fields={"file": name}))
    head = file.peek(len(MAGIC))[: len(MAGIC)]
    if head.startswith(ZIP_MAGIC) and _is_regular(file):
        return ".npz"
    if head.startswith(ZIP_MAGIC):
        raise unreadable(name, "an npz archive cannot be read from a stream")
    if head.startswith(STREAM_MAGIC):
        return ARROW[0]
    if head.startswith(PARQUET_MAGIC):
        raise unreadable(name, "a Parquet file cannot be read from a stream")
    return ".npy" if head.startswith(MAGIC[:1]) else ".csv"


def _is_regular(file: IO[bytes]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.tell() == 0
    except (OSError, io.UnsupportedOperation):
        return False
