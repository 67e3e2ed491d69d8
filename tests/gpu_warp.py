"""The tensor core primitives of the GPU's text in NumPy: what ``instjit.gpu.inline_ptx`` does.

The conversions are of one lane. A product is of a whole warp: each operand is an array of 32, the
registers of its lanes, laid out as PTX's description of ``mma.sync`` has it. Sums here are rounded
once; the hardware keeps fewer bits of a term that is small beside the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.int32]
Sums = npt.NDArray[np.float32]
Rounded = npt.NDArray[Any]

LANES = np.arange(32)
G, T = LANES >> 2, LANES & 3


def pack_bf16(low: np.float32, high: np.float32) -> np.int32:
    """Two numbers rounded to bfloat16, ties to even, in the halves of a word."""
    return np.uint32(_bf16(high) << 16 | _bf16(low)).view(np.int32)


def tf32(a: np.float32) -> np.int32:
    """A number rounded to 10 bits behind the point, ties away from zero; its bits as float32."""
    word = int(a.view(np.uint32))
    if not np.isfinite(a):
        return np.uint32(word).view(np.int32)
    return np.uint32((word + 0x1000) & 0xFFFFE000).view(np.int32)


def mma_bf16(*operands: Any) -> tuple[Sums, ...]:
    """``a0 .. a3, b0, b1, c0 .. c3`` of all lanes -> the four sums: 16 x 8, over 16 k."""
    a0, a1, a2, a3, b0, b1, *c = operands
    left, right = np.zeros((16, 16)), np.zeros((16, 8))
    for half in range(2):
        first, second = 2 * T + half, 2 * T + 8 + half
        left[G, first], left[G + 8, first] = _half(a0, half), _half(a1, half)
        left[G, second], left[G + 8, second] = _half(a2, half), _half(a3, half)
        right[first, G], right[second, G] = _half(b0, half), _half(b1, half)
    return _summed(left, right, c)


def mma_tf32(*operands: Any) -> tuple[Sums, ...]:
    """``a0 .. a3, b0, b1, c0 .. c3`` of all lanes -> the four sums: 16 x 8, over 8 k."""
    a0, a1, a2, a3, b0, b1, *c = (np.asarray(operand).view(np.float32) for operand in operands)
    left, right = np.zeros((16, 8)), np.zeros((8, 8))
    left[G, T], left[G + 8, T], left[G, T + 4], left[G + 8, T + 4] = a0, a1, a2, a3
    right[T, G], right[T + 4, G] = b0, b1
    return _summed(left, right, c)


PRODUCTS = {"mma_bf16": mma_bf16, "mma_tf32": mma_tf32}
CONVERSIONS = {"pack_bf16": pack_bf16, "tf32": tf32}


def _bf16(a: np.float32) -> int:
    """The upper half of a number's bits, rounded."""
    if np.isnan(a):
        return 0x7FFF
    word = int(a.view(np.uint32))
    return (word + 0x7FFF + (word >> 16 & 1)) >> 16


def _half(words: Words, half: int) -> Rounded:
    """The bfloat16 in the lower or the upper half of words."""
    bits = words.view(np.uint32)
    upper = bits & np.uint32(0xFFFF0000) if half else bits << np.uint32(16)
    return upper.view(np.float32)


def _summed(left: Rounded, right: Rounded, c: list[Sums]) -> tuple[Sums, ...]:
    places = [(G, 2 * T), (G, 2 * T + 1), (G + 8, 2 * T), (G + 8, 2 * T + 1)]
    sums = np.zeros((16, 8))
    for place, value in zip(places, c, strict=True):
        sums[place] = value
    with np.errstate(all="ignore"):
        total = (left @ right + sums).astype(np.float32)
    return tuple(total[place] for place in places)
