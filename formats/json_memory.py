"""What a JSON text would take as parsed objects, told from its punctuation before it is parsed.

An empty list takes 64 bytes where its text takes two, so a small file may ask for much memory. The
figures are those of CPython and orjson on 64 bits, each the most that its kind takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instjit.formats.reader import Floats

SPARE = 28 * 2**20
"""Bytes that parsing may take besides a multiple of the text: 32 MiB, less what stands around."""

_TEXT = 2  # the text, and the parser's copy of it
_VALUE = 16 + 8  # a node of the parser's tree; a pointer in the list or dict that holds the value
_NUMBER = 32
_LIST = 72
_DICT = 64
_DICT_TABLE = 128
_KEY = 16 + 48  # a node; its entry in the dict, whose table is a third to two thirds full
_STRING, _WIDE_STRING = 64, 96  # of one character
_WIDTH = 4  # bytes of every character of a string in which one needs them

_CHUNK = 2**18
_SPACES = b" \t\r\n"
_CLASSES = bytes.maketrans(b"0123456789" + b"[,:" + b"]}", b"0" * 10 + b"," * 3 + b";" * 2)


@dataclass(frozen=True, slots=True)
class Marks:
    """How often each mark stands in a text, inside strings too."""

    lists: int
    objects: int
    commas: int
    colons: int
    quotes: int

    @property
    def containers(self) -> int:
        """Lists and objects."""
        return self.lists + self.objects

    @property
    def values(self) -> int:
        """The most values that the text can hold, lists and objects included."""
        return self.commas + self.containers


def count_marks(text: bytes) -> Marks:
    """Count them, in half a millisecond a megabyte."""
    octets = Floats(text, 0, len(text), np.dtype(np.uint8)).array
    counts = [0] * 5
    for start in range(0, len(text), _CHUNK):
        chunk = octets[start : start + _CHUNK]
        for number, mark in enumerate(b'[{,:"'):
            counts[number] += int(np.count_nonzero(chunk == mark))
    return Marks(*counts)


def parsed_bytes(text: bytes, marks: Marks, enough: int) -> int:
    """The most memory that parsing takes, the text included.

    Parameters
    ----------
    text
        Any bytes.
    marks
        ``count_marks`` of it.
    enough
        A figure up to this need not be exact: only a greater one is worth a second look at the
        text, for numbers of one digit, which take no memory of their own.
    """
    strings = marks.quotes // 2
    wide = not text.isascii() or b"\\" in text
    numbers = max(0, marks.commas + 1 - max(0, strings - marks.colons))
    letters = max(0, len(text) - 2 * marks.commas - 2 * marks.containers)
    total = (
        _TEXT * len(text)
        + _VALUE * marks.values
        + _NUMBER * numbers
        + _LIST * marks.lists
        + _DICT * marks.objects
        + _DICT_TABLE * min(marks.objects, marks.colons)
        + _KEY * marks.colons
        + (_WIDE_STRING if wide else _STRING) * strings
        + (_WIDTH * letters if wide else letters)
    )
    if total > enough:
        total -= _NUMBER * min(numbers, _single_digits(text))
    return total


def _single_digits(text: bytes) -> int:
    """Values that are one digit; CPython has one object for each of the ten.

    Each stands behind a mark that counts for more than is taken off here, so that nothing is won
    by strings that look like digits.
    """
    found = 0
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK].translate(_CLASSES, _SPACES)
        doubled = chunk.replace(b",", b",,")  # one behind a value, one before the next
        found += doubled.count(b",0,") + doubled.count(b",0;")
    return found
