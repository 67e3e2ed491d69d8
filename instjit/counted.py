"""Whole numbers: which values are one, and how they are said."""

from __future__ import annotations

from operator import index
from typing import Any

LARGEST = 2**63 - 1
"""What a number out of a text is at most."""


def whole(value: Any) -> int:
    """The value of a Python or NumPy integer; TypeError for all else, truth values too."""
    if isinstance(value, bool):
        raise TypeError("a truth value is no number")
    return index(value)


def spelled(text: str) -> int | None:
    """The number that digits spell, ``LARGEST`` where it is larger; None for any other text."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")  # of which int() takes 4,300 at most
    return min(int(digits or "0"), LARGEST) if len(digits) <= len(str(LARGEST)) else LARGEST


def count(number: int, word: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def shown(value: Any, most: int = 40) -> str:
    """The repr in one line and cut off, also of integers that Python does not write out."""
    try:
        line = " ".join(repr(value).split())
    except ValueError:  # an integer of more than 4,300 digits, alone or in a list
        if not isinstance(value, int):
            return type(value).__name__
        return f"{'a negative' if value < 0 else 'an'} integer of {value.bit_length()} bits"
    return line if len(line) <= most else f"{line[:most]}..."
