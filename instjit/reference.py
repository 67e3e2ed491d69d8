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
"""Numbers in the widest buffer of a block of rows; an exact fma needs some ten such arrays."""


def run(model: Model, rows: Any) -> FloatArray:
    """Output of every row.

    Parameters
    ----------
    model
        A model without problems.
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
    return run_buffers(model, rows)[:, model.output_start :]


def run_buffers(model: Model, rows: Any) -> FloatArray:
    """Every buffer's final value, one after the other: (rows, required_memory) float32."""
    return _run(model, as_rows(model, rows), np.dtype(np.float32), _reference)


def run64(model: Model, rows: Any) -> npt.NDArray[np.float64]:
    """Output of every row by plain float64 formulas: (rows, output_size) float64."""
    buffers = _run(model, as_rows(model, rows), np.dtype(np.float64), _reference64)
    return buffers[:, model.output_start :]


def _run(
    model: Model, rows: FloatArray, dtype: np.dtype[Any], evaluate: Callable[[State], None]
) -> npt.NDArray[Any]:
    result = np.empty((len(rows), model.required_memory), dtype)
    height = max(1, BLOCK // max(buffer.size for buffer in model.buffers))
    with np.errstate(all="ignore"):  # NaN and infinity are values like any other here
        for start in range(0, len(rows), height):
            block = rows[start : start + height].astype(dtype)
            state = State(model, _first_values(model, block))
            evaluate(state)
            np.concatenate(state.buffers, axis=1, out=result[start : start + height])
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
