"""The arrays ``k`` of many models of one structure, written a block at a time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from instjit.kernels.layout import Layout
from instjit.kernels.packing import LINE_FLOATS, Floats, aligned_floats, block_floats, pack_gemm
from instjit.population import Population

Places: TypeAlias = npt.NDArray[np.intp]


@np.errstate(over="ignore")  # a float64 weight beyond float32 is infinity there
def bind_all(models: Population, places: Layout, panel: int, k: Floats) -> Floats:
    """The arrays ``k`` as ``layout.bind`` makes them, (models, floats).

    Parameters
    ----------
    models
        Models of the structure that was laid out, with the maps of ``k``'s model.
    places, panel
        As ``layout.bind``.
    k
        The array of one such model.
    """
    rows = aligned_floats(len(models) * k.size - LINE_FLOATS).reshape(len(models), k.size)
    rows[...] = k
    for vector, at in places.vectors.items():
        values = models.parameters[vector]
        rows[:, at : at + values.shape[1]] = values
    for matrix, at in places.blocks.items():
        weights, bias = models.weights[matrix], models.bias[matrix]
        of_weights, of_bias = gemm_places(weights.shape[1], weights.shape[2], panel)
        rows[:, at + of_weights] = weights
        rows[:, at + of_bias] = bias
    return rows


def gemm_places(outputs: int, depth: int, panel: int) -> tuple[Places, Places]:
    """Where ``pack_gemm`` writes each weight, [outputs][depth], and each bias of a block."""
    count = outputs * depth
    numbers = np.arange(1, count + outputs + 1)  # 0 is padding
    block: Any = np.zeros(block_floats(outputs, depth), numbers.dtype)
    pack_gemm(block, numbers[:count].reshape(outputs, depth), numbers[count:], panel)
    found = np.zeros(count + outputs + 1, np.intp)
    found[block] = np.arange(len(block))
    return found[1 : count + 1].reshape(outputs, depth), found[count + 1 :]
