"""Names of columns: how many each feature takes, and what outputs are called.

``age`` takes one column, ``embedding[16]`` takes sixteen (one array feature).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any

from instjit.counted import shown
from instjit.errors import InputError, Problem

_ARRAY = re.compile(r"[^\[\]]+\[\+?([0-9]+)\]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST = 2**64 - 1


def feature_width(name: str) -> int | None:
    """Columns of a feature; None for a name that is not ``name`` or ``name[k]`` with k > 0."""
    if _SURROGATE.search(name):
        return None  # no UTF-8 file can hold it
    if "[" not in name and "]" not in name:
        return 1
    match = _ARRAY.fullmatch(name)
    if match is None or len(match[1]) > 4000:  # int() refuses more digits than 4,300
        return None
    width = int(match[1])
    return width if 0 < width <= _LARGEST else None


def total_width(names: Iterable[str]) -> int:
    """Columns of all features; names that break the grammar count as none."""
    return sum(feature_width(name) or 0 for name in names)


def column_names(name: str) -> tuple[str, ...]:
    """Names of a feature's columns: ``age``; ``embedding[0]`` and so on for an array."""
    width = feature_width(name) or 0
    if "[" not in name:
        return (name,)
    stem = name[: name.index("[")]
    return tuple(f"{stem}[{k}]" for k in range(width))


def output_names(count: int) -> tuple[str, ...]:
    """What output columns are called: ``y``, or ``y0``, ``y1`` and so on."""
    return ("y",) if count == 1 else tuple(f"y{k}" for k in range(count))


def listed_names(names: Any, argument: str) -> tuple[Any, ...]:
    """Names of columns that a caller gives: texts, or what else a table may call one.

    Raises
    ------
    InputError
        InputType: a text, or no list of names.
    """
    hint = f": [{names!r}]" if isinstance(names, str) else ""
    found = tuple(names) if isinstance(names, Iterable) else ()
    is_list = isinstance(names, Iterable) and not isinstance(names, str)
    if not is_list or not all(isinstance(name, Hashable) for name in found):
        sentence = f"{argument} must be a list of names, got {shown(names)}{hint}"
        raise InputError(Problem("InputType", sentence))
    return found
