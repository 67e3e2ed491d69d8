"""NumPy's .npz: one array of a zip archive, unpacked while it is read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from instjit.errors import FormatError
from instjit.rowfiles.npy import MappedRows, StreamedRows, streamed
from instjit.rowfiles.rows import unreadable

_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


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
        with (
            zipfile.ZipFile(file) as archive,
            archive.open(_member(archive, name, array)) as member,
        ):
            yield streamed(member, name, chunk_bytes)
    except FormatError:
        raise
    except _DAMAGED as error:
        raise unreadable(name, f"not a readable npz file: {error}") from error


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
