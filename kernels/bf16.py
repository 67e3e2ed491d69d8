"""bfloat16 in NumPy: rounding as x86 converts, and float32 as a sum of one, two or three parts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint32]
Products: TypeAlias = "tuple[tuple[int, int], ...]"

PARTS = {"bf16": 1, "bf16x3": 2, "bf16x6": 3}
"""Parts of a factor by precision."""

PRODUCTS: dict[int, Products] = {
    1: ((0, 0),),
    2: ((0, 1), (0, 0), (1, 0)),
    3: ((2, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 0)),
}
"""Part of the weights and part of the activations of each product, by number of parts.

Each differs from the one before in one factor, so that the other stays in its register.
"""

HIGH = np.uint32(0xFFFF0000)


def rounded(x: npt.NDArray[Any]) -> Halves:
    """The upper halves of float32 numbers rounded to bfloat16, as ``vcvtneps2bf16`` gives them.

    To nearest, ties to even; a subnormal number counts as zero of its sign, what is beyond 3.39e38
    becomes infinite, and a NaN stays one (its quiet bit set).
    """
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    high = bits >> 16
    nearest = (bits + np.uint32(0x7FFF) + (high & 1)) >> 16  # no NaN: its sum may wrap
    subnormal = (bits & np.uint32(0x7F800000)) == 0
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    chosen = np.where(subnormal, high & 0x8000, np.where(nan, high | 0x40, nearest))
    return chosen.astype(np.uint16)


def widened(halves: npt.NDArray[Any]) -> Floats:
    """The float32 numbers of upper halves."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def split(x: npt.NDArray[Any], parts: int) -> list[Halves]:
    """``parts`` bfloat16 numbers whose sum is near x, the first being x rounded."""
    rest = np.ascontiguousarray(x, np.float32)
    found = []
    with np.errstate(all="ignore"):
        for _ in range(parts):
            found.append(rounded(rest))
            rest = rest - widened(found[-1])
    return found


def paired(halves: Halves, pairs: int) -> Words:
    """Entries 2 i and 2 i + 1 of the first axis as lower and upper half of word i.

    Missing ones of ``pairs`` words are zeros.
    """
    whole = np.zeros((2 * pairs, *halves.shape[1:]), np.uint32)
    whole[: len(halves)] = halves
    words: Words = whole[0::2] | (whole[1::2] << 16)
    return words


def unpaired(words: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """The float32 numbers of the lower and of the upper halves of words, given as any 32 bits."""
    bits = np.ascontiguousarray(words).view(np.uint32)
    return (bits << 16).view(np.float32), (bits & HIGH).view(np.float32)
