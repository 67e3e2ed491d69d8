"""Whether parsed JSON is rows of numbers and nothing else, found in less time than parsing takes.

NumPy would take ``true`` as 1, ``"2"`` as 2 and ``null`` as NaN. Only rows in which one of these
stands are worth a slower look, which names its place.
"""

from __future__ import annotations

from typing import Any

_LITERALS = ((b"true", b"u"), (b"false", b"s"))
"""Each with a letter of it that the words of a model file seldom have."""

_LOOKS = 10_000

_NUMBERS = frozenset({int, float})


def may_hold_bools(text: bytes) -> bool:
    """Whether ``true`` or ``false`` may stand in a text: no means no."""
    return any(_may_hold(text, word, letter) for word, letter in _LITERALS)


def _may_hold(text: bytes, word: bytes, letter: bytes) -> bool:
    """Search for one letter, which runs over numbers at the speed of memory."""
    before = word.index(letter)
    at = -1
    for _ in range(_LOOKS):
        at = text.find(letter, at + 1)
        if at < 0:
            return False
        if text.startswith(word, max(0, at - before)):
            return True
    return True


def are_plain(rows: Any, *, bools: bool) -> bool:
    """Whether these are lists of ints and floats; no may mean that it is too early to tell.

    Parameters
    ----------
    rows
        What a JSON parser gives.
    bools
        Whether a bool may be among the numbers; without, adding each row up tells all.
    """
    if type(rows) is not list or not set(map(type, rows)) <= {list}:
        return False
    if bools:
        kinds: set[type] = set()
        for row in rows:
            kinds.update(map(type, row))
        return kinds <= _NUMBERS
    try:
        for row in rows:
            sum(row)
    except (TypeError, OverflowError):
        return False
    return True
