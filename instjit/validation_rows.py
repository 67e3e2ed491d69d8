"""The rows that a model carries to prove itself: run through the reference and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from instjit.arithmetic import BoolArray, FloatArray
from instjit.arrays import row_lengths
from instjit.collecting import Collected
from instjit.errors import Problem
from instjit.formats.limits import DEFAULT
from instjit.model import Model, ValidationData
from instjit.reference import run, work

TOLERANCE = 1e-5
"""Absolute, as in the family's Rust crate."""

MOST_NUMBERS = 2**16
"""Numbers that all problems of rows hold together: each takes ten times its place in a file."""

_LISTS = ("inputs", "expected", "computed")


def validation_problems(
    model: Model, tolerance: float = TOLERANCE, *, operations: int = DEFAULT.validation_operations
) -> tuple[Problem, ...]:
    """A problem for every validation row of a wrong width or with another output than it states.

    Parameters
    ----------
    model
        A model without other problems.
    tolerance
        By how much an output may differ. NaN on both sides is equal, on one side is not.
    operations
        ``Limits.validation_operations``: more is one ``LimitExceeded`` problem, and nothing is run.
    """
    rows = model.validation_data
    if rows is None:
        return ()
    widths = zip(row_lengths(rows.inputs), row_lengths(rows.expected_outputs), strict=True)
    fitting = [pair == (model.input_size, model.output_size) for pair in widths]
    count = sum(fitting)
    needed = work(model, count) if count else 0
    if needed > operations:
        return (_too_much(count, needed, operations),)
    outputs = run(model, _chosen(rows.inputs, fitting)) if count else np.empty((0, 0), np.float32)
    if count and all(fitting) and matches(rows.expected_outputs, outputs, tolerance).all():
        return ()  # the rule: no need to look at every row
    return Collected(_row_problems(model, rows, fitting, outputs, tolerance)).problems()


def matches(expected: FloatArray, computed: FloatArray, tolerance: float) -> BoolArray:
    """Where two arrays agree: within an absolute tolerance, equal infinities, or both NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        near: BoolArray = np.abs(expected - computed) <= tolerance
    both_nan = np.isnan(expected) & np.isnan(computed)
    result: BoolArray = near | (expected == computed) | both_nan
    return result


def _chosen(inputs: FloatArray, fitting: list[bool]) -> FloatArray:
    if all(fitting):
        return inputs  # one array then, not one for each row
    return np.stack([inputs[case] for case, fits in enumerate(fitting) if fits])


def _row_problems(
    model: Model,
    rows: ValidationData,
    fitting: list[bool],
    outputs: Iterable[FloatArray],
    tolerance: float,
) -> Iterator[Problem]:
    computed = iter(outputs)
    left = MOST_NUMBERS
    for case, fits in enumerate(fitting):
        given = next(computed) if fits else None
        problem = _row_problem(model, rows, case, given, tolerance, left)
        if problem is not None:
            if "inputs" in problem.fields:
                left -= sum(len(problem.fields[name]) for name in _LISTS)
            yield problem


def _too_much(rows: int, needed: int, most: int) -> Problem:
    name = "validation_operations"
    message = (
        f"the {rows} validation rows take {needed} operations, the limit is {most}: pass "
        f"check=False, or limits=Limits({name}={needed})"
    )
    return Problem("LimitExceeded", message, fields={"name": name, "actual": needed, "max": most})


def _row_problem(
    model: Model,
    rows: ValidationData,
    case: int,
    computed: FloatArray | None,
    tolerance: float,
    left: int,
) -> Problem | None:
    row, expected = rows.inputs[case], rows.expected_outputs[case]
    if len(row) != model.input_size:
        fields = {"provided": len(row), "expected": model.input_size}
        message = f"validation row {case} has {len(row)} inputs, the model takes {model.input_size}"
        return Problem("ValidationInputSizeMismatch", message, fields=fields)
    if computed is None:
        fields = {"index": case, "provided": len(expected), "expected": model.output_size}
        message = (
            f"validation row {case} expects {len(expected)} outputs, "
            f"the model gives {model.output_size}"
        )
        return Problem("ValidationOutputSizeMismatch", message, fields=fields)
    good = matches(expected, computed, tolerance)
    if good.all():
        return None
    slot = int(np.argmin(good))
    message = (
        f"validation row {case}, output {slot}: expected {expected[slot]!s}, got {computed[slot]!s}"
    )
    found: dict[str, Any] = {"case_number": case}
    lists = (row, expected, computed[: slot + 1])
    if sum(map(len, lists)) <= left:
        found |= {name: each.tolist() for name, each in zip(_LISTS, lists, strict=True)}
    return Problem("ValidationMismatch", message, fields=found)
