"""NumPy's .npz: one array of a zip archive, unpacked while it is read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from instjit.errors import FormatError
from instjit.rowfiles.npy import MappedRows, StreamedRows, streamed
from instjit.rowfiles.rows import unreadable

_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
_MISPLACED = (*_DAMAGED, OSError, ValueError)
"""What the offsets of a damaged directory add to that."""


@contextmanager
def archived(
    file: IO[bytes], name: str, array: str, chunk_bytes: int
) -> Iterator[StreamedRows | MappedRows]:
    """Rows of the array of that name, or of the only array there is.

    Parameters
    ----------
    file
        A seekable file.
    array
        "X" for input, "y" for what is compared with the output.
    """
    try:
        archive = zipfile.ZipFile(file)
    except _MISPLACED as error:
        raise _damaged(name, error) from error
    with (
        archive,
        _Member(archive, _member(archive, name, array), name) as member,
        streamed(member, name, chunk_bytes) as rows,
    ):
        yield rows


class _Member:
    """A member of an archive that can be read once; damage is a FormatError."""

    def __init__(self, archive: zipfile.ZipFile, member: str, name: str) -> None:
        self._name = name
        try:
            self._file = archive.open(member)
        except _MISPLACED as error:
            raise _damaged(name, error) from error

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, none at the end."""
        try:
            return self._file.read(size)
        except _DAMAGED as error:
            raise _damaged(self._name, error) from error


def _damaged(name: str, error: Exception) -> FormatError:
    return unreadable(name, f"not a readable npz file: {error}")


def _member(archive: zipfile.ZipFile, name: str, array: str) -> str:
    members = [member for member in archive.namelist() if member.endswith(".npy")]
    if f"{array}.npy" in members:
        return f"{array}.npy"
    if len(members) == 1:
        return members[0]
    if not members:
        raise unreadable(name, "holds no array")
    shown = ", ".join(member.removesuffix(".npy") for member in members[:8])
    raise unreadable(name, f"holds {len(members)} arrays ({shown}), none of them named {array}")
