"""The definition of right: a model run instruction by instruction in NumPy.

``run`` is float32 in the operations and the order of the kernels, so its bits are theirs; ``run64``
is the textbook in float64, for checks of accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.inputs import as_rows
from instjit.model import Model
from instjit.ops.state import State

BLOCK = 2**18
"""Slots of all buffers of a block of rows; an exact fma needs some ten arrays as large."""

STEP = 200
"""Multiply-adds in the time of one step on short arrays: 2 to 8 us, of 10 to 40 ns each."""

STEPS = 10
"""NumPy operations that any instruction makes, besides those for its arithmetic."""


def run(model: Model, rows: Any) -> FloatArray:
    """Output of every row.

    Parameters
    ----------
    model
        A model without problems (``instjit.validate``), which is not asked here: one with problems
        gives any error.
    rows
        (rows, input_size) array, or a list of 2-D arrays, one for each leading buffer.

    Returns
    -------
    (rows, output_size) float32.

    Raises
    ------
    InputError
        When the rows have the wrong shape or width.
    """
    return _run(model.rounded, as_rows(model, rows), np.dtype(np.float32), _reference)


def run_buffers(model: Model, rows: Any) -> FloatArray:
    """Every buffer's final value, one after the other: (rows, required_memory) float32."""
    return _run(model.rounded, as_rows(model, rows), np.dtype(np.float32), _reference, whole=True)


def run64(model: Model, rows: Any) -> npt.NDArray[np.float64]:
    """Output of every row by plain float64 formulas: (rows, output_size) float64."""
    return _run(model, as_rows(model, rows), np.dtype(np.float64), _reference64)


def work(model: Model, rows: int) -> int:
    """Time of ``run`` on so many rows, in multiply-adds of a matrix product (10 to 40 ns each).

    Counts what every row takes (arithmetic, slots written and set to zero) and what every block of
    rows takes in NumPy calls, however short the arrays are.
    """
    row = model.required_memory
    block = STEP * len(model.buffers) // 4  # each is one view: 1 us
    for instruction in model.instructions:
        cost = instruction.cost(model)
        used = (instruction.output, *instruction.reads())
        widest = max(model.buffers[buffer].size for buffer in used)
        depth = sum(model.weights[number].shape[1] for number in instruction.constants("weights"))
        row += cost.multiply_adds + cost.operations + model.buffers[instruction.output].size
        block += STEP * (STEPS + depth + cost.operations // max(1, widest))
    return rows * row + -(-rows // _height(model)) * block


def _height(model: Model) -> int:
    return max(1, BLOCK // max(1, model.required_memory))


def _run(
    model: Model,
    rows: FloatArray,
    dtype: np.dtype[Any],
    evaluate: Callable[[State], None],
    *,
    whole: bool = False,
) -> npt.NDArray[Any]:
    """The last buffer of every row; all buffers side by side for ``whole``."""
    width = model.required_memory if whole else model.output_size
    result = np.empty((len(rows), width), dtype)
    height = _height(model)
    with np.errstate(all="ignore"):  # NaN and infinity are values like any other here
        for start in range(0, len(rows), height):
            block = rows[start : start + height].astype(dtype)
            state = State(model, _first_values(model, block))
            evaluate(state)
            kept = state.buffers if whole else state.buffers[-1:]
            np.concatenate(kept, axis=1, out=result[start : start + height])
    return result


def _first_values(model: Model, block: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    flat = np.zeros((len(block), model.required_memory), block.dtype)
    flat[:, : block.shape[1]] = block
    return np.split(flat, model.buffer_starts[1:], axis=1)


def _reference(state: State) -> None:
    for instruction in state.model.instructions:
        instruction.reference(state)


def _reference64(state: State) -> None:
    for instruction in state.model.instructions:
        instruction.reference64(state)
