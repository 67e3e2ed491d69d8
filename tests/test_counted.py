"""How values are said in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from instjit.counted import LARGEST, shown, spelled


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, "5"),
        ("a\nb", r"'a\nb'"),
        (np.zeros((2, 1)), "array([[0.], [0.]])"),
        ("x" * 50, "'" + "x" * 39 + "..."),
        (10**5000, "an integer of 16610 bits"),
        (-(10**5000), "a negative integer of 16610 bits"),
        ([1, 10**5000], "list"),
    ],
    ids=["int", "text", "array", "long", "huge", "negative", "huge inside"],
)
def test_a_value_is_said_in_one_line(value, said) -> None:
    assert shown(value) == said


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("42", 42), ("007", 7), ("0" * 5000, 0), ("0" * 5000 + "1", 1),
        (str(2**63 - 1), 2**63 - 1), (str(2**63), LARGEST), ("9" * 20, LARGEST),
        ("9" * 5000, LARGEST), ("", None), ("-1", None), ("+1", None), ("1.0", None),
        (" 1", None), ("1_0", None), ("\u0663", None), ("\u00b2", None),
    ],
    ids=lambda value: ascii(value)[:12],
)  # fmt: skip
def test_digits_spell_a_number(text, number) -> None:
    assert spelled(text) == number


def test_it_may_be_longer_where_asked() -> None:
    assert shown("x" * 50, 60) == repr("x" * 50)
