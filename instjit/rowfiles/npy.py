"""NumPy's .npy: mapped when it is a file, read in order when it is a stream.

Only the header is interpreted, by NumPy's own reader of literals; nothing is ever unpickled.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from instjit.counted import count
from instjit.errors import FormatError
from instjit.rowfiles.rows import Array, unreadable, window

MAGIC = b"\x93NUMPY"
COPIED = 2**20
"""Bytes copied at a time from a stream to a temporary file."""

READ_AT_ONCE = 2**24
"""Bytes asked of a stream at a time, which are allocated before it is known that they are there."""

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True)
class Header:
    """Shape as (rows, columns), whether columns lie together (Fortran), and the numbers' type."""

    rows: int
    columns: int
    by_column: bool
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.columns * self.dtype.itemsize


def read_header(file: IO[bytes], name: str) -> Header:
    """Read the header and stay behind it.

    Raises
    ------
    FormatError
        For anything but real numbers in one or two dimensions.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version not in _READERS:
            raise unreadable(name, f"npy version {version[0]}.{version[1]} holds no plain numbers")
        shape, by_column, dtype = _READERS[version](file)
    except FormatError:
        raise
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise unreadable(name, f"not an npy file: {_first_line(error)}") from error
    if dtype.kind not in "fiub":
        raise unreadable(name, f"holds {dtype}, expected real numbers")
    if len(shape) not in (1, 2) or any(not 0 <= size < 2**62 for size in shape):
        raise unreadable(name, f"has shape {shape}, expected rows x columns")
    rows, columns = shape if len(shape) == 2 else (shape[0], 1)
    return Header(rows, columns, by_column and len(shape) == 2, dtype)


class MappedRows:
    """An .npy file in the page cache: a chunk is a view of it."""

    notes: tuple[str, ...] = ()

    def __init__(self, file: IO[bytes], name: str, chunk_bytes: int) -> None:
        header = read_header(file, name)
        start = file.tell()
        size = file.seek(0, 2) - start
        if size < header.rows * header.row_bytes:
            raise _too_short(name, header, size)
        self.name, self.width = name, header.columns
        self.count: int | None = header.rows
        self._total = header.rows
        self._array = _mapped(file, start, header)
        self._step = max(1, chunk_bytes // max(1, header.row_bytes))
        self._done = 0

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[Array]:
        """See ``Rows``."""
        end = self._total if stop is None else min(stop, self._total)
        for first in range(start, end, self._step):
            chunk = self._array[first : min(first + self._step, end)]
            yield chunk if chunk.flags.aligned else chunk.copy()
            self._done = first + len(chunk)

    def fraction(self) -> float | None:
        """See ``Rows``."""
        return self._done / self.count if self.count else None


class StreamedRows:
    """An .npy that can be read once, front to back: a pipe, or a member of an .npz."""

    notes: tuple[str, ...] = ()

    def __init__(self, file: IO[bytes], name: str, header: Header, chunk_bytes: int) -> None:
        self.name, self.width = name, header.columns
        self.count: int | None = header.rows
        self._file = file
        self._header = header
        self._step = max(1, chunk_bytes // max(1, header.row_bytes))
        self._done = 0

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[Array]:
        """See ``Rows``."""
        return window(self._all(), start, stop)

    def fraction(self) -> float | None:
        """See ``Rows``."""
        return self._done / self.count if self.count else None

    def _all(self) -> Iterator[Array]:
        header = self._header
        while self._done < header.rows:
            rows = min(self._step, header.rows - self._done)
            content = read_fully(self._file, rows * header.row_bytes)
            if len(content) < rows * header.row_bytes:
                raise _too_short(self.name, header, self._done * header.row_bytes + len(content))
            yield np.frombuffer(content, header.dtype).reshape(rows, header.columns)
            self._done += rows


@contextmanager
def streamed(file: IO[bytes], name: str, chunk_bytes: int) -> Iterator[StreamedRows | MappedRows]:
    """Rows of a stream; one that lies column by column goes to an unnamed temporary file first."""
    header = read_header(file, name)
    if not header.by_column or header.columns < 2:
        yield StreamedRows(file, name, header, chunk_bytes)
        return
    fields = {
        "descr": np.lib.format.dtype_to_descr(header.dtype),
        "fortran_order": True,
        "shape": (header.rows, header.columns),
    }
    with tempfile.TemporaryFile() as copy:
        np.lib.format.write_array_header_1_0(copy, fields)
        shutil.copyfileobj(file, copy, COPIED)
        copy.seek(0)
        yield MappedRows(copy, name, chunk_bytes)


def read_fully(file: IO[bytes], size: int) -> bytes:
    """Up to ``size`` bytes, fewer only at the end of the file; no more is allocated."""
    pieces, missing = [], size
    while missing and (piece := file.read(min(missing, READ_AT_ONCE))):
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _mapped(file: Any, start: int, header: Header) -> Array:
    shape = (header.rows, header.columns)
    if math.prod(shape) == 0:
        return np.empty(shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.by_column else "C"
    return np.asarray(np.memmap(file, header.dtype, "r", start, shape, order))


def _too_short(name: str, header: Header, size: int) -> Exception:
    whole, named = size // max(1, header.row_bytes), count(header.rows, "row")
    return unreadable(name, f"ends after {whole} of the {named} that its header names")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
