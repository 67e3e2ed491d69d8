"""``precision="auto:1e-5"``: the fastest precision whose measured error is within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.errors import CompileError, Problem
from instjit.inputs import as_rows
from instjit.kernel import Kernel
from instjit.model import Model
from instjit.reference import run64

PREFIX = "auto:"


def budget_of(precision: Any) -> float | None:
    """The largest error that ``auto:...`` allows, None for any other precision.

    Raises
    ------
    CompileError
        Unsupported: what follows is no positive number.
    """
    if not isinstance(precision, str) or not precision.startswith(PREFIX):
        return None
    try:
        largest = float(precision.removeprefix(PREFIX))
    except ValueError:
        largest = 0.0
    if not 0 < largest < np.inf:
        raise _refused(
            f'precision {precision!r}: expected a positive number after "{PREFIX}", as '
            f'"{PREFIX}1e-5"'
        )
    return largest


def sample_of(model: Model, sample: Any) -> FloatArray:
    """The rows to measure on: those given, or the inputs of the model's validation rows.

    Raises
    ------
    CompileError
        Unsupported: there are none.
    InputError
        As ``Kernel.predict``.
    """
    given = sample
    if given is None and model.validation_data is not None:
        given = model.validation_data.inputs
    rows = as_rows(model, given) if given is not None else np.empty((0, 0), np.float32)
    if not len(rows):
        raise _refused(
            "precision auto needs rows to measure the error on: pass sample=X, the model has no "
            "validation rows"
        )
    return rows


def fastest_within(
    budget: float, rows: FloatArray, precisions: Iterable[str], make: Callable[[str], Kernel]
) -> Kernel:
    """The first kernel whose outputs are within ``budget`` of float64's.

    Parameters
    ----------
    budget
        Largest absolute difference of an output.
    rows
        (rows, input_size), at least one.
    precisions
        In order of speed; one that has nothing to work on is passed over.
    make
        Makes the kernel of a precision.

    Raises
    ------
    CompileError
        Unsupported: none is; the sentence says by how much each misses.
    """
    measured: dict[str, float] = {}
    wanted: Any = None
    for precision in precisions:
        kernel = make(precision)
        wanted = run64(kernel.model, rows) if wanted is None else wanted
        measured[precision] = largest_error(kernel.predict(rows), wanted)
        if measured[precision] <= budget:
            return kernel
    errors = ", ".join(f"{name} {error:.2g}" for name, error in measured.items())
    raise _refused(
        f"no precision is within {budget:g} of float64 on the sample: the largest errors are "
        f"{errors}"
    )


def largest_error(outputs: FloatArray, wanted: Any) -> float:
    """Largest absolute difference: 0 where both are the same infinity or NaN, else infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(outputs - wanted)
        same = (outputs == wanted.astype(np.float32)) & ~np.isfinite(wanted.astype(np.float32))
    apart[same | (np.isnan(outputs) & np.isnan(wanted))] = 0
    apart[np.isnan(apart)] = np.inf
    return float(apart.max(initial=0))


def _refused(sentence: str) -> CompileError:
    return CompileError(Problem("Unsupported", sentence))
