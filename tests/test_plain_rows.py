"""Whether a text may hold a truth value: a search for one letter, which gives up in time."""

from __future__ import annotations

import pytest

from instjit.formats.plain_rows import are_plain, may_hold_bools


class Searched(bytes):
    """A text that counts how often it is searched."""

    looks = 0

    def find(self, *arguments) -> int:
        type(self).looks += 1
        return super().find(*arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", False),
        (b"[1,2.5,-3e7]", False),
        (b"[true]", True),
        (b"true", True),
        (b"[false]", True),
        (b'["uses"]', False),
        (b"rue,alse", False),
        (b'["u","s",true]', True),
        (b'["u","s",false]', True),
    ],
)
def test_true_and_false_are_found_wherever_they_stand(text, expected) -> None:
    assert may_hold_bools(text) is expected


@pytest.mark.parametrize(("letters", "expected"), [(9_999, False), (10_000, True), (30_000, True)])
@pytest.mark.parametrize("letter", [b"u", b"s"])
def test_a_text_full_of_these_letters_is_given_up_on(letter, letters, expected) -> None:
    text = Searched(b'["' + b'","'.join([letter] * letters) + b'"]')
    before = Searched.looks
    assert may_hold_bools(text) is expected
    assert Searched.looks - before <= 10_001


@pytest.mark.parametrize("bools", [True, False])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], True),
        ([[1, 2.5], []], True),
        ([[1], ["2"]], False),
        ([[1], [None]], False),
        ([[1], [[2]]], False),
        ([[1], 2], False),
        ([1], False),
        ({}, False),
    ],
)
def test_rows_are_plain_when_they_hold_numbers_alone(rows, expected, bools) -> None:
    assert are_plain(rows, bools=bools) is expected


def test_a_truth_value_is_seen_where_the_text_may_hold_one() -> None:
    assert not are_plain([[1, True]], bools=True)
