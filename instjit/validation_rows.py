"""The rows that a model carries to prove itself: run through the reference and compared."""

from __future__ import annotations

import numpy as np

from instjit.arithmetic import BoolArray, FloatArray
from instjit.collecting import Collected
from instjit.errors import Problem
from instjit.limits import DEFAULT
from instjit.model import Model, ValidationData
from instjit.reference import run, work

TOLERANCE = 1e-5
"""Absolute, as in the family's Rust crate."""


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
    fitting = [
        case
        for case, (row, expected) in enumerate(zip(rows.inputs, rows.expected_outputs, strict=True))
        if len(row) == model.input_size and len(expected) == model.output_size
    ]
    needed = work(model, len(fitting)) if fitting else 0
    if needed > operations:
        return (_too_much(len(fitting), needed, operations),)
    computed: dict[int, FloatArray] = {}
    if fitting:
        outputs = run(model, np.stack([rows.inputs[k] for k in fitting]))
        computed = dict(zip(fitting, outputs, strict=True))
    found = (
        _row_problem(model, rows, case, computed.get(case), tolerance)
        for case in range(len(rows.inputs))
    )
    return Collected(problem for problem in found if problem is not None).problems()


def matches(expected: FloatArray, computed: FloatArray, tolerance: float) -> BoolArray:
    """Where two arrays agree: within an absolute tolerance, equal infinities, or both NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        near: BoolArray = np.abs(expected - computed) <= tolerance
    both_nan = np.isnan(expected) & np.isnan(computed)
    result: BoolArray = near | (expected == computed) | both_nan
    return result


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
    return Problem(
        "ValidationMismatch",
        message,
        fields={
            "case_number": case,
            "inputs": row.tolist(),
            "expected": expected.tolist(),
            "computed": computed[: slot + 1].tolist(),
        },
    )
