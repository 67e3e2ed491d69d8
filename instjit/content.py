"""What a caller hands over as a file -> its bytes, once, and never more than the limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from instjit.errors import FormatError, Problem
from instjit.formats.limits import DEFAULT, Limits


def content_of(source: Any, limits: Limits = DEFAULT) -> bytes:
    """The bytes of a file; ``bytes`` are given back as they are.

    Parameters
    ----------
    source
        A path, bytes, a bytearray, a memoryview or an open file.
    limits
        ``file_bytes`` is compared before anything is read where the size is known.

    Raises
    ------
    FormatError
        Unreadable, LimitExceeded.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        size = len(source) if isinstance(source, bytes) else memoryview(source).nbytes
        content = b"" if size > limits.file_bytes else bytes(source)
    elif isinstance(source, str | os.PathLike):
        return _file_content(Path(os.fsdecode(source)), limits)
    else:
        content = _read(source, limits)
        size = len(content)
    if size > limits.file_bytes:
        raise FormatError(_too_long("the file", f"more than {limits.file_bytes}", limits))
    return content


def _read(source: Any, limits: Limits) -> bytes:
    """What an open file gives."""
    kind = type(source).__name__
    read = getattr(source, "read", None)
    if isinstance(source, type) or not callable(read):
        message = f"expected a path, bytes, an open binary file or a dict, got {kind}"
        raise FormatError(Problem("Unreadable", message))
    try:
        got = read(limits.file_bytes + 1)
        content = got.encode() if isinstance(got, str) else got  # a file opened as text
    except (OSError, ValueError) as error:  # ValueError: closed, or text that is not UTF-8
        message = f"{kind}: cannot be read: {error}"
        raise FormatError(Problem("Unreadable", message)) from error
    if not isinstance(content, bytes | bytearray | memoryview):
        message = f"{kind}: expected bytes from read(), got {type(got).__name__}"
        raise FormatError(Problem("Unreadable", message))
    return bytes(content)


def _file_content(path: Path, limits: Limits) -> bytes:
    most = limits.file_bytes
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            size = status.st_size
            # Of a known size no more is allocated; pipes and /proc say 0 and hold more.
            known = stat.S_ISREG(status.st_mode) and 0 < size <= most
            content = b"" if size > most else file.read(size if known else most + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path}: cannot be read: {reason}"
        raise FormatError(Problem("Unreadable", message, fields={"path": str(path)})) from error
    if max(size, len(content)) > most:
        shown = str(size) if size > most else f"more than {most}"
        raise FormatError(_too_long(str(path), shown, limits))
    return content


def _too_long(name: str, size: str, limits: Limits) -> Problem:
    message = f"{name} has {size} bytes, the limit is {limits.file_bytes}"
    return Problem("LimitExceeded", message, fields={"name": "bytes", "max": limits.file_bytes})
