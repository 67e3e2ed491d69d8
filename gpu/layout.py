"""Constants in the order the GPU reads them: a float32 array ``k``, an int32 array ``n``.

As ``instjit.kernels.layout``, but a Gemm's block is ``[bias of every output][depth][output]``: both
parts start at a multiple of 4 floats, and so do the outputs of each k where there are 4 or more.
Thus a thread gets the weights of four outputs by one load, and a block copies them 16 bytes at a
time. Padding is zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.gpu.tile import row_floats, whole_vectors
from instjit.kernels.layout import Layout, bind_with
from instjit.kernels.layout import layout as laid_out
from instjit.kernels.packing import Floats, Integers
from instjit.model import Model
from instjit.program import Program

__all__ = ["bind", "layout", "weights_at"]


def layout(program: Program, model: Model) -> Layout:
    """Lay out what the program's steps refer to, each constant once."""
    return laid_out(program, model, _block_floats)


def bind(program: Program, model: Model, places: Layout) -> tuple[Floats, Integers]:
    """The arrays ``k`` and ``n`` for a model's numbers."""
    return bind_with(program, model, places, _pack_gemm)


def weights_at(block: int, outputs: int) -> int:
    """Place in ``k`` of the first weight of a Gemm whose block starts at ``block``."""
    return block + whole_vectors(outputs)


def _block_floats(outputs: int, depth: int) -> int:
    return weights_at(0, outputs) + row_floats(outputs) * depth


@np.errstate(over="ignore")  # a float64 weight beyond float32 is infinity there
def _pack_gemm(k: Floats, weights: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
    outputs, depth = weights.shape
    k[:outputs] = bias
    start, row = weights_at(0, outputs), row_floats(outputs)
    k[start : start + row * depth].reshape(depth, row)[:, :outputs] = weights.T
