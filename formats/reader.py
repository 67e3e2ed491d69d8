"""The bounds-checked cursor: the only place that takes numbers out of a file's bytes.

Little-endian throughout. Whatever asks for more than there is gets a FormatError of the reader's
kind, with what was wanted, where, and how much is left.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.errors import FormatError, Problem

F32: np.dtype[Any] = np.dtype("<f4")
F64: np.dtype[Any] = np.dtype("<f8")

LARGE = 2**16
"""Bytes of a file from which it is worth a copy to let go of it."""


class Reader:
    """Walks over ``content[start:stop]``; nothing outside of it is ever touched.

    Parameters
    ----------
    content
        The whole file.
    where
        What the bytes are, for sentences: "RMD1", "blob table".
    kind
        Kind of the problem when the bytes run out.
    start, stop
        The part to walk over; the whole content by default.
    """

    __slots__ = ("content", "kind", "position", "stop", "where")

    def __init__(
        self,
        content: bytes,
        where: str,
        kind: str = "Truncated",
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        self.content = content
        self.where = where
        self.kind = kind
        self.stop = len(content) if stop is None else min(stop, len(content))
        self.position = min(start, self.stop)

    @property
    def left(self) -> int:
        """Bytes that are not taken yet."""
        return self.stop - self.position

    def u8(self, what: str) -> int:
        """One byte."""
        return self.content[self._advance(1, what)]

    def u16(self, what: str) -> int:
        """Two bytes."""
        return self._integer(2, what)

    def u32(self, what: str) -> int:
        """Four bytes."""
        return self._integer(4, what)

    def u64(self, what: str) -> int:
        """Eight bytes."""
        return self._integer(8, what)

    def take(self, count: int, what: str) -> bytes:
        """So many bytes, copied."""
        start = self._advance(count, what)
        return self.content[start : self.position]

    def part(self, count: int, what: str, kind: str) -> Reader:
        """A reader over the next ``count`` bytes, which this one skips."""
        start = self._advance(count, what)
        return Reader(self.content, what, kind, start, self.position)

    def u32_rows(self, count: int, columns: int, what: str) -> list[list[int]]:
        """``count`` rows of so many u32."""
        start = self._advance(4 * count * columns, what)
        words = np.ndarray((count, columns), "<u4", self.content, start)
        rows: list[list[int]] = words.tolist()
        return rows

    def floats(self, count: int, dtype: np.dtype[Any], what: str) -> Floats:
        """``count`` floats, where they lie.

        They are copied once when their address is not aligned, or when they are a small part of a
        large file, which a view would keep in memory whole.
        """
        start = self._advance(count * dtype.itemsize, what)
        small = LARGE < len(self.content) > 4 * count * dtype.itemsize
        if not small and np.ndarray(count, dtype, self.content, start).flags.aligned:
            return Floats(self.content, start, count, dtype)
        return Floats(self.content[start : self.position], 0, count, dtype)

    def _integer(self, size: int, what: str) -> int:
        start = self._advance(size, what)
        return int.from_bytes(self.content[start : self.position], "little")

    def _advance(self, count: int, what: str) -> int:
        start = self.position
        if not 0 <= count <= self.left:
            message = (
                f"{self.where}: {what} at byte {start} takes {count} bytes, {self.left} are left"
            )
            fields = {"offset": start, "wanted": count, "left": self.left}
            raise FormatError(Problem(self.kind, message, fields=fields))
        self.position += count
        return start


class Floats:
    """Numbers in a file's bytes, of which arrays are views: read-only, and nothing is copied.

    Any number of views may overlap; together they take no more memory than the file.
    """

    __slots__ = ("_content", "_start", "count", "dtype")

    def __init__(self, content: bytes, start: int, count: int, dtype: np.dtype[Any]) -> None:
        self._content = content
        self._start = start
        self.count = count
        self.dtype = dtype

    def view(self, at: int, *shape: int) -> npt.NDArray[Any]:
        """The numbers from number ``at`` on, in that shape.

        Raises
        ------
        IndexError
            They are not all there: a check was left out.
        """
        if at < 0 or min(shape) < 0 or at + math.prod(shape) > self.count:
            raise IndexError(f"numbers {at} to {at + math.prod(shape)} of {self.count}")
        offset = self._start + at * self.dtype.itemsize
        return np.ndarray(shape, self.dtype, self._content, offset)

    @property
    def array(self) -> npt.NDArray[Any]:
        """All of them, in one dimension."""
        return self.view(0, self.count)
