"""Sums in the fixed order of the numerics contract, in NumPy float32.

The order is that of ``program.chains`` and ``program.partials``; the kernels keep it too, so their
bits are these.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from instjit.arithmetic import FloatArray, NumpyArithmetic
from instjit.functions import FUNCTIONS
from instjit.program import PARTIALS, chains, partials


def product(weights: FloatArray, bias: FloatArray, x: FloatArray) -> FloatArray:
    """``bias + x @ weights.T`` with one exact fma for each weight.

    Parameters
    ----------
    weights
        (outputs, depth) float32.
    bias
        (outputs,) float32.
    x
        (rows, depth) float32.

    Returns
    -------
    (rows, outputs) float32.
    """
    arithmetic = NumpyArithmetic()
    outputs, depth = weights.shape
    count = chains(outputs, depth)
    sums = np.full((count, len(x), outputs), np.float32(-0.0))
    sums[0] = bias
    for start in range(0, depth, count):
        taken = weights[:, start : start + count].T[:, None, :]
        factor = x[:, start : start + count].T[:, :, None]
        lanes = len(taken)
        shape = (lanes, len(x), outputs)
        taken, factor = np.broadcast_to(taken, shape), np.broadcast_to(factor, shape)
        sums[:lanes] = arithmetic.fma(taken, factor, sums[:lanes])
    while count > 1:
        count //= 2
        sums[:count] += sums[count : 2 * count]
    total: FloatArray = sums[0]
    return total


def sum_of(x: FloatArray) -> FloatArray:
    """Sum of each row of (rows, count): (rows,)."""
    return _fold(x, lambda a, b: a + b)


def maximum_of(x: FloatArray) -> FloatArray:
    """Largest number of each row of (rows, count): (rows,)."""
    arithmetic = NumpyArithmetic()

    def larger(a: FloatArray, b: FloatArray) -> FloatArray:
        result: FloatArray = FUNCTIONS["maximum"].sequence(arithmetic, a, b)
        return result

    return _fold(x, larger)


def _fold(x: FloatArray, join: Callable[[FloatArray, FloatArray], FloatArray]) -> FloatArray:
    count = partials(x.shape[1])
    folded = x[:, :count].copy()
    for start in range(count, x.shape[1], PARTIALS):
        part = x[:, start : start + PARTIALS]
        lanes = part.shape[1]
        folded[:, :lanes] = join(folded[:, :lanes], part)
    step = PARTIALS // 2
    while step:
        pairs = max(0, min(step, count - step))
        folded[:, :pairs] = join(folded[:, :pairs], folded[:, step : step + pairs])
        step //= 2
    return folded[:, 0].copy()
