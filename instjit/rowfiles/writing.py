"""Rows -> .npy, .npz, .csv, .parquet or .arrow files, or CSV on a stream."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import orjson

from instjit.arithmetic import FloatArray
from instjit.arrow import pyarrow
from instjit.errors import InputError, Problem
from instjit.replacing import replacing
from instjit.rowfiles.arrow_file import ARROW, PARQUET, arrow_writer
from instjit.rowfiles.opening import SUFFIXES

HEADER_BYTES = 128
"""An npy header of fixed size, so that the number of rows can be filled in at the end."""

NPZ_ARRAY = "y"
CSV_ROWS = 4096
"""Rows made into text at a time."""


class RowWriter(Protocol):
    """Takes rows."""

    def write(self, rows: FloatArray) -> None:
        """Append (some, width) rows."""


@contextmanager
def create_rows(
    path: str | os.PathLike[str], names: Sequence[str], *, force: bool = False
) -> Iterator[RowWriter]:
    """Create a file of rows; it appears under its name at the end and only when all went well.

    Parameters
    ----------
    path
        Ends in .npy, .npz (the array is called ``y``), .csv, .parquet, .arrow or .feather.
    names
        Names of the columns.
    force
        Whether to replace a file.

    Raises
    ------
    InputError
        UnknownRowFormat, OutputExists, NotAFile, MissingPackage.
    OSError
        The file cannot be written.
    """
    suffix = checked_suffix(path)
    with replacing(path, force) as file:
        if suffix == ".csv":
            yield CsvWriter(file, names)
        elif suffix in (PARQUET, *ARROW):
            with arrow_writer(file, names, suffix) as rows:
                yield rows
        elif suffix == ".npy":
            with _npy_writer(file, len(names)) as writer:
                yield writer
        else:
            with tempfile.TemporaryFile(dir=Path(path).parent) as array:
                with _npy_writer(array, len(names)) as writer:
                    yield writer
                _archive(array, file)


def checked_suffix(path: str | os.PathLike[str]) -> str:
    """How the path ends, which tells the format.

    Raises
    ------
    InputError
        UnknownRowFormat; MissingPackage: it is one of Arrow's, which is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        sentence = f"{path}: rows are written to {', '.join(SUFFIXES)}, told by the name's end"
        raise InputError(Problem("UnknownRowFormat", sentence, fields={"file": str(path)}))
    if suffix in (PARQUET, *ARROW):
        pyarrow()
    return suffix


class CsvWriter:
    """Rows as text: a line of names, then the shortest decimals that give the same float32."""

    def __init__(self, file: IO[bytes], names: Sequence[str]) -> None:
        self._file = file
        file.write(",".join(names).encode() + b"\n")

    def write(self, rows: FloatArray) -> None:
        """See ``RowWriter``."""
        for start in range(0, len(rows), CSV_ROWS):
            self._file.write(csv_text(rows[start : start + CSV_ROWS]))


class NpyWriter:
    """Rows as float32 bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.rows = 0

    def write(self, rows: FloatArray) -> None:
        """See ``RowWriter``."""
        self._file.write(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(rows)


def csv_text(rows: FloatArray) -> bytes:
    """Lines of comma-separated numbers, one for each row, each with a line break."""
    if rows.size == 0:
        return b"\n" * len(rows)
    lists = orjson.dumps(np.ascontiguousarray(rows, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)
    text = lists[2:-2].replace(b"],[", b"\n") + b"\n"
    if b"null" in text:
        odd = iter(rows[~np.isfinite(rows)].tolist())  # in the order of the nulls
        text = re.sub(b"null", lambda _: str(next(odd)).encode(), text)
    return text


@contextmanager
def _npy_writer(file: IO[bytes], width: int) -> Iterator[NpyWriter]:
    file.write(_npy_header(0, width))
    writer = NpyWriter(file)
    yield writer
    file.seek(0)
    file.write(_npy_header(writer.rows, width))
    file.seek(0, os.SEEK_END)


def _npy_header(rows: int, width: int) -> bytes:
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    room = HEADER_BYTES - 10
    return (
        b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + fields.ljust(room - 1).encode() + b"\n"
    )


def _archive(array: IO[bytes], file: IO[bytes]) -> None:
    size = array.seek(0, os.SEEK_END)
    array.seek(0)
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        archive.open(f"{NPZ_ARRAY}.npy", "w", force_zip64=size >= 2**31) as member,
    ):
        shutil.copyfileobj(array, member, 2**20)
