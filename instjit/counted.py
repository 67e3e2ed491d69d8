"""Whole numbers: which values are one, and how they are said."""

from __future__ import annotations

from operator import index
from typing import Any


def whole(value: Any) -> int:
    """The value of a Python or NumPy integer; TypeError for all else, truth values too."""
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    return index(value)


def count(number: int, word: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")
