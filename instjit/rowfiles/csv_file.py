"""Comma-separated rows, with or without a header line."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator, Sequence
from typing import IO, Any

from instjit.rowfiles.columns import left_out, positions
from instjit.rowfiles.csv_cells import Layout, cells_of, is_number, not_text, other_separator, parse
from instjit.rowfiles.rows import Array, unreadable, window

BLOCK_BYTES = 2**18
"""Text parsed at a time: what it becomes stays in the cache (1 MiB takes a third longer)."""

LONGEST_LINE = 2**24
"""Bytes of a line; more means that the file has no lines."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class CsvRows:
    """Rows of a CSV file or stream.

    Parameters
    ----------
    file
        Binary, read front to back once.
    name
        The file, for messages.
    columns
        Names of the columns to take from a file with a header, in the order to take them; without
        names, or without a header, all columns are taken by position.
    header
        Whether the first line holds names; None: when a cell of it is no number, or it holds
        exactly the names of ``columns``.
    empty_is_nan
        Whether an empty cell is NaN; otherwise it is an error.
    block_bytes
        Text parsed at a time.
    """

    count: int | None = None

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        columns: Sequence[str] = (),
        *,
        header: bool | None = None,
        empty_is_nan: bool = False,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.name = name
        self.notes: tuple[str, ...] = ()
        self._file: Any = file
        self._block_bytes = block_bytes
        self._read_bytes = 0
        self._rest = b""
        self._line = 1
        first = self._first_cells()
        if header is None:
            header = _is_header(first, columns)
        names = tuple(cell.strip() for cell in first) if header else ()
        picked = tuple(positions(names, columns, name)) if header and columns else None
        if picked == tuple(range(len(first))):
            picked = None
        if picked is not None:
            self.notes = left_out(names, picked, name)
        if header:
            self._drop_line()
        self.width = len(first) if picked is None else len(picked)
        self._layout = Layout(name, names, len(first), picked, empty_is_nan)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[Array]:
        """See ``Rows``."""
        return window(self._all(), start, stop)

    def fraction(self) -> float | None:
        """See ``Rows``."""
        try:
            status = os.fstat(self._file.fileno())
        except (OSError, AttributeError):
            return None
        known = stat.S_ISREG(status.st_mode) and status.st_size
        return min(1.0, self._read_bytes / status.st_size) if known else None

    def _all(self) -> Iterator[Array]:
        for block in self._blocks():
            yield parse(block, self._layout, self._line)
            self._line += block.count(b"\n") + 1

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines without the last line break; line breaks that end the file are left away."""
        more = True
        while more:
            end = self._rest.rfind(b"\n")
            body = self._rest[: end + 1].rstrip(b"\r\n")
            if body:
                self._rest = _after_line_break(self._rest[len(body) :])
                yield body
            more = self._read()
        if self._rest.strip(b"\r\n"):
            yield self._rest

    def _first_cells(self) -> list[str]:
        while b"\n" not in self._rest and self._read():
            pass
        self._rest = self._rest.removeprefix(BYTE_ORDER_MARK)
        line = self._rest.partition(b"\n")[0]
        if not line.strip():
            raise unreadable(self.name, "line 1 is empty" if self._rest else "the file is empty")
        try:
            text = line.decode("utf-8")
            cells = cells_of(text)
        except UnicodeDecodeError as error:
            raise not_text(self.name, line, error, 1) from error
        except csv.Error as error:
            raise unreadable(self.name, f"line 1: {error}") from error
        if len(cells) == 1 and (mark := other_separator(text)):
            hint = f"line 1 is one cell with {mark} in it; commas separate cells"
            raise unreadable(self.name, f"{hint}, and a name with {mark} stands in quotes")
        return cells

    def _drop_line(self) -> None:
        self._rest = self._rest.partition(b"\n")[2]
        self._line = 2

    def _read(self) -> bool:
        """Take what a stream has now, so that rows typed into a pipe are not held back."""
        if len(self._rest) > LONGEST_LINE:
            raise unreadable(self.name, f"line {self._line} has more than {LONGEST_LINE} bytes")
        more: bytes = self._file.read1(self._block_bytes)
        self._read_bytes += len(more)
        self._rest += more
        return bool(more)


def _is_header(cells: list[str], columns: Sequence[str]) -> bool:
    names = [cell.strip() for cell in cells]
    if any(cell and not is_number(cell) for cell in names):
        return True
    return len(columns) > 0 and set(columns) <= set(names)


def _after_line_break(text: bytes) -> bytes:
    return text.removeprefix(b"\r").removeprefix(b"\n")
