"""Model files: bytes <-> Model.

``FORMATS`` is the table of all formats; ``sniff`` finds the one that some bytes are in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from instjit.errors import FormatError, Problem
from instjit.formats import instmodel, writing
from instjit.model import Model

if (
    __name__ != "instjit.formats"
):  # from the checkout's root, `import formats` would be a second copy
    raise ImportError("import instjit.formats, not formats")


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    ``sniff`` tells from the first bytes whether a file is in it; ``decode`` takes the bytes and
    ``Limits``; ``encode`` gives the bytes of a model, or raises FormatError where the format cannot
    hold it.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes], bool]
    decode: Callable[..., Model]
    encode: Callable[[Model], bytes]


FORMATS = MappingProxyType(
    {
        "instmodel": Format(
            "instmodel", (".json",), instmodel.sniff, instmodel.decode, writing.encode
        ),
    }
)
"""Every format by name."""


def sniff(head: bytes) -> Format:
    """The format of a file that begins with these bytes; FormatError (UnknownFormat) if none."""
    for candidate in FORMATS.values():
        if candidate.sniff(head):
            return candidate
    known = ", ".join(FORMATS)
    message = f"not a model file: it begins with {head[:16]!r}, which no format does ({known})"
    raise FormatError(Problem("UnknownFormat", message))


def named(name: str) -> Format:
    """The format of that name; FormatError (UnknownFormat) if there is none."""
    if name in FORMATS:
        return FORMATS[name]
    message = f"there is no format {name!r}: expected one of {', '.join(FORMATS)}"
    raise FormatError(Problem("UnknownFormat", message))


def for_suffix(path: Any) -> Format:
    """The format that files of this name have; FormatError (UnknownFormat) if there is none."""
    for candidate in FORMATS.values():
        if str(path).lower().endswith(candidate.suffixes):
            return candidate
    known = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
    message = f"{path}: no format has this suffix, expected one of {known}"
    raise FormatError(Problem("UnknownFormat", message))
