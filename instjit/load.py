"""Files <-> models."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from instjit.errors import FormatError, ModelError, Problem
from instjit.formats import FORMATS, Format, for_suffix, named, sniff
from instjit.limits import DEFAULT, Limits
from instjit.model import Model
from instjit.validate import problems, validate
from instjit.validation_rows import validation_problems

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | IO[bytes] | Mapping[str, Any]"


def load(
    source: Source, *, check: bool = True, limits: Limits = DEFAULT, format: str | None = None
) -> Model:
    """Read a model and make sure that it means something.

    Parameters
    ----------
    source
        A path, the bytes of a file, an open binary file, or a parsed JSON document.
    check
        Whether to run the validation rows that the file may hold.
    limits
        Bounds on what a file may ask for.
    format
        Name of the format; found from the content when left out.

    Raises
    ------
    FormatError
        The file cannot be read, is over a limit, or is not of the format.
    ModelError
        The model breaks a rule, or gives other outputs than its validation rows say.
    """
    model = decode(source, limits=limits, format=format)
    found = problems(model, slots=limits.slots, weights=limits.weights)
    if check and not found:
        found = validation_problems(model)
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


def save(model: Model, path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Write a model to a file: to a new one beside it, which then takes its name.

    Parameters
    ----------
    model
        A model without problems.
    path
        Where to; the suffix tells the format unless ``format`` does.

    Raises
    ------
    ModelError
        The model has problems.
    FormatError
        The format cannot hold the model, or no format has this suffix.
    OSError
        The file cannot be written.
    """
    codec: Format = for_suffix(path) if format is None else named(format)
    found = validate(model)
    if found:
        raise ModelError(found)
    _replace(Path(path), codec.encode(model))


def _content(
    source: str | os.PathLike[str] | bytes | bytearray | IO[bytes], limits: Limits
) -> bytes:
    if isinstance(source, bytes | bytearray):
        content = bytes(source)
    elif isinstance(source, str | os.PathLike):
        content = _file_content(Path(source), limits)
    else:
        read = source.read(limits.file_bytes + 1)
        content = read.encode() if isinstance(read, str) else read  # a file opened as text
    if len(content) > limits.file_bytes:
        raise FormatError(_too_long("the file", f"more than {limits.file_bytes}", limits))
    return content


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


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
