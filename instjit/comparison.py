"""Outputs against what was expected: labels of classes, or outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.counted import count
from instjit.errors import InputError, Problem

THRESHOLD = 0.5
"""A single output above it means class 1."""

UNDECIDED = -1
"""Class of a row with a NaN among its outputs; no label is equal to it."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many rows have the class that their label says."""

    rows: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of the rows that are right; NaN when there are none."""
        return self.right / self.rows if self.rows else math.nan


@dataclass(frozen=True, slots=True)
class LargestError:
    """The largest absolute difference, and where.

    Infinite where only one side is NaN, NaN when there are no rows.
    """

    rows: int
    error: float
    row: int
    column: int


def classes(outputs: FloatArray) -> npt.NDArray[np.int64]:
    """Predicted class of every row: that of the largest output, or of a single output above 0.5."""
    if outputs.shape[1] == 1:
        found = (outputs[:, 0] > THRESHOLD).astype(np.int64)
    else:
        found = outputs.argmax(axis=1)
    return np.where(np.isnan(outputs).any(axis=1), UNDECIDED, found)


class Comparison:
    """Compares chunk by chunk.

    Parameters
    ----------
    width
        Outputs of a row.
    expected_width
        Columns of what is expected: ``width`` of them are outputs; one column is labels where the
        model has several outputs, and where it has one and all values are 0 or 1.
    kind
        "labels" or "outputs" to say it instead.

    Raises
    ------
    InputError
        ExpectedWidth: neither.
    """

    def __init__(self, width: int, expected_width: int, kind: str | None = None) -> None:
        self._classes = max(2, width)
        self._may_be_labels = expected_width == 1 and kind != "outputs"
        self._may_be_outputs = expected_width == width and kind != "labels"
        if not self._may_be_labels and not self._may_be_outputs:
            labels, values = "1 column of labels", count(width, "output")
            either = {"labels": labels, "outputs": values}.get(kind or "", f"{labels} or {values}")
            got = count(expected_width, "column")
            sentence = f"what is expected has {got}, it must have {either}"
            raise InputError(Problem("ExpectedWidth", sentence))
        self._rows = 0
        self._right = 0
        self._worst = (0.0, 0, 0)

    def add(self, outputs: FloatArray, expected: Array) -> None:
        """Compare some more rows.

        Raises
        ------
        InputError
            InvalidLabel: a value that is no class of the model and cannot be an output either.
        """
        if self._may_be_labels:
            self._add_labels(outputs, expected[:, 0])
        if self._may_be_outputs:
            self._add_outputs(outputs, np.asarray(expected, np.float32))
        self._rows += len(outputs)

    def result(self) -> Accuracy | LargestError:
        """What came out: of labels if they can be labels."""
        if self._may_be_labels:
            return Accuracy(self._rows, self._right)
        return LargestError(self._rows, *(self._worst if self._rows else (math.nan, 0, 0)))

    def _add_labels(self, outputs: FloatArray, labels: Array) -> None:
        valid = (labels >= 0) & (labels < self._classes) & (labels == np.floor(labels))
        if valid.all():
            self._right += int((classes(outputs) == labels).sum())
        elif self._may_be_outputs:
            self._may_be_labels = False
        else:
            row = int(np.argmin(valid))
            sentence = (
                f"row {self._rows + row} has label {labels[row]}, "
                f"the model has classes 0 to {self._classes - 1}"
            )
            raise InputError(Problem("InvalidLabel", sentence))

    def _add_outputs(self, outputs: FloatArray, expected: FloatArray) -> None:
        if outputs.size == 0:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.abs(outputs.astype(np.float64) - expected)
        errors[(outputs == expected) | (np.isnan(outputs) & np.isnan(expected))] = 0.0
        errors[np.isnan(errors)] = np.inf
        row, column = np.unravel_index(int(errors.argmax()), errors.shape)
        if errors[row, column] > self._worst[0]:
            self._worst = float(errors[row, column]), self._rows + int(row), int(column)
