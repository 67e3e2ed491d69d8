from __future__ import annotations

import math

import numpy as np
import pytest

from instjit.comparison import Accuracy, Comparison, LargestError, classes
from instjit.errors import InputError

NAN, INF = math.nan, math.inf


def floats(rows) -> np.ndarray:
    return np.array(rows, np.float32)


def compared(outputs, expected, kind=None, pieces=1):
    outputs, expected = floats(outputs), np.array(expected, np.float64)
    comparison = Comparison(outputs.shape[1], expected.shape[1], kind)
    parts = zip(np.array_split(outputs, pieces), np.array_split(expected, pieces), strict=True)
    for some, wanted in parts:
        comparison.add(some, wanted)
    return comparison.result()


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([[0.1, 0.9], [0.9, 0.1]], [1, 0]),
        ([[0.5, 0.5]], [0]),
        ([[0.5], [0.50001], [0.2]], [0, 1, 0]),
        ([[NAN, 0.9], [NAN, NAN]], [-1, -1]),
        ([[NAN]], [-1]),
    ],
)
def test_the_class_is_the_largest_output_or_an_output_above_a_half(outputs, expected):
    assert classes(floats(outputs)).tolist() == expected


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize(
    ("outputs", "expected", "result"),
    [
        ([[0, 1, 2], [3, 1, 2], [0, 5, 1]], [[2], [0], [2]], Accuracy(3, 2)),
        ([[NAN, 1], [2, 1], [1, 2]], [[1], [0], [1]], Accuracy(3, 2)),
        ([[0.9], [0.1], [0.7]], [[1], [0], [0]], Accuracy(3, 2)),
        ([[0.9], [0.1], [0.7]], [[1], [0], [0.5]], LargestError(3, pytest.approx(0.2), 2, 0)),
        ([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4.5], [5, 6.25]], LargestError(3, 0.5, 1, 1)),
        ([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]], LargestError(3, 0.0, 0, 0)),
        (
            [[NAN, INF], [-INF, 1], [1, 1]],
            [[NAN, INF], [-INF, 1], [1, 1]],
            LargestError(3, 0, 0, 0),
        ),
        ([[NAN, 1], [1, 1], [1, 1]], [[1, 1], [1, 1], [9, 1]], LargestError(3, INF, 0, 0)),
        ([[1, 1], [1, INF], [1, 1]], [[1, 1], [1, -INF], [9, 1]], LargestError(3, INF, 1, 1)),
        ([[0.1], [0.2], [0.3]], [[0.1], [0.2], [0.3]], LargestError(3, 0.0, 0, 0)),
    ],
)
def test_compares_with_labels_or_outputs(outputs, expected, result, pieces):
    assert compared(outputs, expected, pieces=pieces) == result


def test_the_kind_can_be_said():
    assert compared([[0.75]], [[1]], "labels") == Accuracy(1, 1)
    assert compared([[0.75]], [[1]], "outputs") == LargestError(1, 0.25, 0, 0)


@pytest.mark.parametrize(
    ("width", "expected_width", "kind", "wanted"),
    [
        (3, 2, None, "1 column of labels or 3 outputs"),
        (3, 2, "outputs", "3 outputs"),
        (1, 2, None, "1 column of labels or 1 output"),
        (3, 3, "labels", "1 column of labels"),
    ],
)
def test_a_wrong_width_says_what_is_wanted(width, expected_width, kind, wanted):
    with pytest.raises(InputError, match=f"has {expected_width} columns, it must have {wanted}$"):
        Comparison(width, expected_width, kind)


@pytest.mark.parametrize("label", [3, -1, 0.5, NAN, INF])
def test_a_label_that_is_no_class_is_an_error_with_its_row(label):
    with pytest.raises(InputError, match=f"row 1 has label {label}.*classes 0 to 2") as caught:
        compared([[1, 2, 3]] * 2, [[0], [label]])
    assert caught.value.kind == "InvalidLabel"


def test_one_column_is_said_as_one():
    with pytest.raises(InputError, match=r"has 1 column, it must have 3 outputs$"):
        Comparison(3, 1, "outputs")


def test_no_rows_have_no_accuracy_and_no_error():
    assert math.isnan(Comparison(2, 1).result().accuracy)
    assert math.isnan(Comparison(2, 2).result().error)
