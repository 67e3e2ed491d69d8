"""Model files: bytes <-> Model.

``FORMATS`` is the table of all formats; ``sniff`` finds the one that some bytes are in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from instjit.errors import FormatError, Problem
from instjit.formats import instmodel
from instjit.formats.extras import NONE, Extras
from instjit.formats.limits import DEFAULT, Limits
from instjit.model import Model

if (
    __name__ != "instjit.formats"
):  # from the checkout's root, `import formats` would be a second copy
    raise ImportError("import instjit.formats, not formats")


def _nothing_beside(content: bytes, limits: Limits = DEFAULT) -> Extras:
    return NONE


def _no_complaint(content: bytes, limits: Limits = DEFAULT) -> tuple[Problem, ...]:
    return ()


def _nothing_more(content: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    return {}


def _late(module: str, function: str) -> Callable[..., Any]:
    """A function of a module that is loaded when it is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module(f"instjit.formats.{module}"), function)(*arguments, **options)

    return call


LATE = ("rmd1", "rnn0", "unknown_fields", "writing")
"""Modules that a start does without, a tenth of its time, unless a file is theirs."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return import_module(f"instjit.formats.{name}")
    raise AttributeError(f"module 'instjit.formats' has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Attributes
    ----------
    name, suffixes
        How users call it, and the names of its files.
    holds
        What there is a place for besides instructions and float32 constants (the words of
        ``losses``).
    sniff
        Whether a file that begins with these bytes is in it.
    decode
        Bytes and ``Limits`` -> Model; FormatError.
    encode
        Model and ``Extras`` -> canonical bytes; FormatError where the format cannot hold the model.
    extras
        Bytes and ``Limits`` -> what the file holds beside the model.
    describe
        Bytes and ``Limits`` -> what ``inspect`` shows of the file itself: JSON values, sizes in
        bytes.
    scan
        Bytes and ``Limits`` -> what the format's own rules have against the file. ``decode`` may be
        more lenient.
    """

    name: str
    suffixes: tuple[str, ...]
    holds: frozenset[str]
    sniff: Callable[[bytes], bool]
    decode: Callable[..., Model]
    encode: Callable[..., bytes]
    extras: Callable[..., Extras] = _nothing_beside
    describe: Callable[..., dict[str, Any]] = _nothing_more
    scan: Callable[..., tuple[Problem, ...]] = _no_complaint


FORMATS = MappingProxyType(
    {
        each.name: each
        for each in (
            Format(
                "instmodel",
                (".json",),
                frozenset({"features", "validation"}),
                instmodel.sniff,
                instmodel.decode,
                _late("writing", "encode"),
                _late("unknown_fields", "extras"),
            ),
            Format(
                "rmd1",
                (".rmd1",),
                frozenset({"float64"}),
                _late("rmd1", "sniff"),
                _late("rmd1", "decode"),
                _late("rmd1", "encode"),
                _late("rmd1", "extras"),
                _late("rmd1", "describe"),
            ),
            Format(
                "rnn0",
                (".rnn", ".rnn0"),
                frozenset({"float64", "name", "benchmark", "records", "blobs", "digests"}),
                _late("rnn0", "sniff"),
                _late("rnn0", "decode"),
                _late("rnn0", "encode"),
                _late("rnn0", "extras"),
                _late("rnn0", "describe"),
                _late("rnn0", "scan"),
            ),
        )
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
    if isinstance(name, str) and name in FORMATS:
        return FORMATS[name]
    message = f"there is no format {name!r}: expected one of {', '.join(FORMATS)}"
    raise FormatError(Problem("UnknownFormat", message))


def for_suffix(path: str | os.PathLike[str]) -> Format:
    """The format that files of this name have; FormatError (UnknownFormat) if there is none."""
    name = os.fsdecode(path).lower()
    for candidate in FORMATS.values():
        if name.endswith(candidate.suffixes):
            return candidate
    known = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
    message = f"{path}: no format has this suffix, expected one of {known}"
    raise FormatError(Problem("UnknownFormat", message))
