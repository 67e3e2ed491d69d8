"""What multiplies the wide products of a kernel that is not float32: a unit and a precision.

Weights are packed once, for the unit. ``avx512_bf16`` has the panels of float32 (``packing``) with
a word for two k, where its micro-kernel broadcasts single words. ``amx`` has the bias, then for
each 32 outputs ``[32 k][16 outputs][part]`` the tiles of 16 outputs by 16 words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.kernels.bf16 import PARTS, PRODUCTS, Floats, Products, Words, paired, split
from instjit.kernels.packing import block_floats, pack_gemm
from instjit.program import Gemm, Step

OUTPUTS, DEPTH = 16, 16
"""Narrower or shallower products stay float32: they would be mostly padding. On avx512_bf16 layers
of 16 by 16 take 0.7 of float32's time, of 8 by 8 0.8, of 128 by 128 0.52."""

SIDE = 16
"""Rows of a tile, and words in a row of it."""

MACRO = 2 * SIDE
"""Outputs that AMX makes at once."""


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A precision of ``bf16.PARTS``, and "amx" or "avx512_bf16"."""

    precision: str
    unit: str

    @property
    def parts(self) -> int:
        """bfloat16 numbers that stand for one float32 number."""
        return PARTS[self.precision]

    @property
    def products(self) -> Products:
        """Which parts of weights and activations are multiplied, in this order."""
        return PRODUCTS[self.parts]

    def pairs(self, depth: int) -> int:
        """Words for ``depth`` numbers in one part; AMX takes 16 at a time."""
        return tiles(depth, 2 * SIDE) * SIDE if self.unit == "amx" else -(-depth // 2)

    def slots(self, depth: int) -> int:
        """Slots of scratch that the words of ``depth`` slots take."""
        return self.parts * self.pairs(depth)

    def block_floats(self, outputs: int, depth: int) -> int:
        """Entries of ``k`` for a Gemm."""
        if not wide(outputs, depth):
            return block_floats(outputs, depth)
        if self.unit != "amx":
            return block_floats(outputs, self.pairs(depth))
        return tiles(outputs, SIDE) * SIDE * (1 + self.slots(depth))

    def pack(
        self, k: Floats, weights: npt.NDArray[Any], bias: npt.NDArray[Any], panel: int
    ) -> None:
        """Write a Gemm's block to the head of ``k``; arguments as ``packing.pack_gemm``."""
        if not wide(*weights.shape):
            pack_gemm(k, weights, bias, panel)
        elif self.unit != "amx":
            pack_gemm(k, self._words(weights)[0].T.view(np.float32), bias, panel)
        else:
            self._pack_tiles(k, weights, bias)

    def _words(self, weights: npt.NDArray[Any]) -> list[Words]:
        """For each part the words of the weights, [pair][output]."""
        with np.errstate(over="ignore"):  # as in pack_gemm
            columns = weights.T.astype(np.float32)
        pairs = self.pairs(weights.shape[1])
        return [paired(part, pairs) for part in split(columns, self.parts)]

    def _pack_tiles(self, k: Floats, weights: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
        outputs = len(weights)
        across = tiles(outputs, SIDE)
        with np.errstate(over="ignore"):
            k[:outputs] = bias
        words = np.stack(self._words(weights))  # [part][pair][output]
        padded = np.zeros((*words.shape[:2], across * SIDE), np.uint32)
        padded[..., :outputs] = words
        blocks = padded.reshape(self.parts, -1, SIDE, across, SIDE).transpose(3, 1, 0, 4, 2)
        at = across * SIDE
        for first in range(0, across, MACRO // SIDE):
            held = blocks[first : first + MACRO // SIDE].swapaxes(0, 1)
            k[at : at + held.size] = np.ascontiguousarray(held).view(np.float32).ravel()
            at += held.size


def wide(outputs: int, depth: int) -> bool:
    """Whether a product is large enough for bfloat16 to pay."""
    return outputs >= OUTPUTS and depth >= DEPTH


def wide_step(step: Step) -> bool:
    """The same of a step."""
    return isinstance(step, Gemm) and wide(step.target.count, step.source.count)


def tiles(count: int, each: int) -> int:
    """How many of ``each`` hold ``count``."""
    return -(-count // each)
