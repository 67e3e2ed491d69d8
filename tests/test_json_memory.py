"""The memory that parsed JSON takes, told from its marks: never less than CPython's own sizes."""

from __future__ import annotations

import sys

import pytest

from instjit.formats.json_memory import Marks, count_marks, parsed_bytes

POINTER = 8
PLAIN = 10**12
"""Enough for any figure, so that no text is looked at twice."""


def taken(lists: int = 0, objects: int = 0, commas: int = 0, colons: int = 0, quotes: int = 0):
    """Bytes for these marks; the text that they stand in counts for nothing."""
    return parsed_bytes(b"", Marks(lists, objects, commas, colons, quotes), PLAIN)


def size(value: object) -> int:
    return sys.getsizeof(value)


@pytest.mark.parametrize(
    ("more", "than", "least"),
    [
        ({"lists": 1}, {}, size([]) + POINTER),
        ({"lists": 7}, {"lists": 2}, 5 * (size([]) + POINTER)),
        ({"objects": 1}, {}, size({}) + POINTER),
        ({"objects": 1, "colons": 1}, {}, size({"a": 0}) + POINTER),
        ({"objects": 9, "colons": 9}, {}, 9 * (size({"a": 0}) + POINTER)),
        ({"objects": 1, "colons": 1, "quotes": 2}, {}, size({"a": 0}) + size("a") + POINTER),
        ({"commas": 1}, {}, size(1.5) + POINTER),
        ({"commas": 1, "quotes": 2}, {}, size("a") + POINTER),
    ],
    ids=str,
)
def test_no_mark_counts_for_less_than_its_value_takes(more, than, least) -> None:
    added = taken(**more) - taken(**than)
    assert least <= added <= 2.5 * least


def test_the_first_key_of_each_object_brings_a_table() -> None:
    table = size({"a": 0}) - size({})
    first = taken(objects=1, colons=1) - taken(objects=1)
    second = taken(objects=1, colons=2) - taken(objects=1, colons=1)
    assert table <= first - second <= 1.25 * table
    of_another = taken(objects=2, colons=2) - taken(objects=2, colons=1)
    assert of_another == first


@pytest.mark.parametrize("keys", [1, 5, 6, 11, 43, 1000, 10**5])
def test_a_large_object_is_covered_by_its_keys(keys) -> None:
    marks = {"objects": 1, "colons": keys, "commas": keys - 1}
    assert taken(**marks) - taken(commas=keys - 1) >= size(dict.fromkeys(range(keys)))


def test_marks_are_counted_inside_strings_too() -> None:
    text = b'{"a":[1,2,[]],"[":{}}'
    assert count_marks(text) == Marks(lists=3, objects=2, commas=3, colons=2, quotes=4)


def test_single_digits_take_no_memory_of_their_own() -> None:
    digits, longer = b"[1,2,3]", b"[1,2,34]"
    saved = [parsed_bytes(t, count_marks(t), PLAIN) - parsed_bytes(t, count_marks(t), 0)
             for t in (digits, longer)]  # fmt: skip
    assert saved[0] > saved[1] > 0


def test_a_text_of_wide_characters_takes_four_bytes_for_each() -> None:
    narrow, wide = b'["' + b"a" * 1000 + b'"]', b'["' + "é".encode() * 500 + b'"]'
    assert len(narrow) == len(wide)
    grown = [parsed_bytes(text, count_marks(text), PLAIN) for text in (narrow, wide)]
    assert 2900 < grown[1] - grown[0] < 3200
