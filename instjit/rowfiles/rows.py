"""What every row file gives, and what is said of one that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from instjit.errors import FormatError, Problem

Array: TypeAlias = "npt.NDArray[Any]"

CHUNK_BYTES = 64 * 2**20
"""Memory of a chunk of rows: from here on, larger chunks gain nothing."""


class Rows(Protocol):
    """Rows of an open file.

    Attributes
    ----------
    name
        The file, for messages.
    width
        Columns of every chunk.
    count
        Rows of the file, None where only reading it tells.
    notes
        Sentences that its user should see: columns that were left out.
    """

    name: str
    width: int
    count: int | None
    notes: tuple[str, ...]

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[Array]:
        """Rows ``start`` up to ``stop``, as arrays of (some, width) real numbers; once only."""

    def fraction(self) -> float | None:
        """Share of the file that has been read, None where its length is not known."""


def unreadable(name: str, message: str) -> FormatError:
    """The error for a row file that breaks its format."""
    return FormatError(Problem("UnreadableRows", f"{name}: {message}", fields={"file": name}))


def window(chunks: Iterable[Array], start: int, stop: int | None) -> Iterator[Array]:
    """The part of a stream of chunks between two row numbers; ends the stream early."""
    first = 0
    for chunk in chunks:
        low = max(start - first, 0)
        high = len(chunk) if stop is None else min(len(chunk), stop - first)
        if low < high:
            yield chunk[low:high]
        first += len(chunk)
        if stop is not None and first >= stop:
            return
