"""Files <-> models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from instjit.errors import FormatError, ModelError, Problem
from instjit.formats import FORMATS, Format, for_suffix, named, sniff
from instjit.limits import DEFAULT, Limits
from instjit.model import Model
from instjit.replacing import replacing
from instjit.validate import problems, validate
from instjit.validation_rows import validation_problems

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Mapping[str, Any]"
)


def load(
    source: Source, *, check: bool = True, limits: Limits = DEFAULT, format: str | None = None
) -> Model:
    """Read a model and make sure that it means something.

    Parameters
    ----------
    source
        A path, the bytes of a file, an open binary file, or a parsed JSON document.
    check
        Whether to run the validation rows that the file may hold. They cannot hold the caller up:
        ``limits.validation_operations`` bounds their work before it is begun.
    limits
        Bounds on what a file may ask for.
    format
        Name of the format; found from the content when left out.

    Raises
    ------
    FormatError
        The file cannot be read, is over a limit, or is not of the format.
    ModelError
        The model breaks a rule, gives other outputs than its validation rows say, or has rows that
        take more work than the limit (LimitExceeded).
    """
    model = decode(source, limits=limits, format=format)
    found = problems(model, slots=limits.slots, weights=limits.weights)
    if check and not found:
        found = validation_problems(model, operations=limits.validation_operations)
    if found:
        raise ModelError(found)
    return model


def decode(source: Source, *, limits: Limits = DEFAULT, format: str | None = None) -> Model:
    """Read a model without asking what it means; the arguments of ``load``, FormatError only."""
    if isinstance(source, Mapping):
        return FORMATS["instmodel"].decode(source, limits)
    content = _content(source, limits)
    codec = sniff(content) if format is None else named(format)
    return codec.decode(content, limits)


def save(
    model: Model,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    limits: Limits = DEFAULT,
) -> None:
    """Write a model to a file: to a new one beside it, which then takes its name.

    A symbolic link is followed: the file it points to is replaced.

    Parameters
    ----------
    model
        A model without problems.
    path
        Where to; the suffix tells the format unless ``format`` does.
    limits
        As for ``load``.

    Raises
    ------
    ModelError
        The model has problems.
    FormatError
        The format cannot hold the model, or no format has this suffix.
    InputError
        NotAFile: there is something at ``path`` that is no regular file.
    OSError
        The file cannot be written.
    """
    codec: Format = for_suffix(path) if format is None else named(format)
    found = validate(model, limits=limits)
    if found:
        raise ModelError(found)
    content = codec.encode(model)
    with replacing(path, force=True) as file:
        file.write(content)


def _content(source: Any, limits: Limits) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
    elif isinstance(source, str | os.PathLike):
        content = _file_content(Path(os.fsdecode(source)), limits)
    else:
        content = _read(source, limits)
    if len(content) > limits.file_bytes:
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
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(limits.file_bytes + 1) if size <= limits.file_bytes else b""
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path}: cannot be read: {reason}"
        raise FormatError(Problem("Unreadable", message, fields={"path": str(path)})) from error
    if size > limits.file_bytes:
        raise FormatError(_too_long(str(path), str(size), limits))
    return content


def _too_long(name: str, size: str, limits: Limits) -> Problem:
    message = f"{name} has {size} bytes, the limit is {limits.file_bytes}"
    return Problem("LimitExceeded", message, fields={"name": "bytes", "max": limits.file_bytes})
