"""Constants in the order the kernels read them: a float32 array ``k``, an int32 array ``n``.

A Gemm's block in ``k`` is a list of panels, each ``[bias of the panel][k][outputs]``: the tile's
micro-kernel broadcasts single weights of it, the row form reads whole vectors. A Gemm of few
outputs with interleaved chains (``narrow``) is ``[bias][output][k]`` instead, so that the row form
reads vectors of k. Integers are index lists, then one directory of ``DIRECTORY`` entries for each
lookup, then keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.program import chains

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

DIRECTORY = 7
"""Entries of a lookup's directory: the keys' place and count, the first dense key, the dense
index's length and place, the places of the values and of the default."""

DENSE_SPAN, DENSE_EACH, SMALL_SPAN = 32_768, 128, 4096
"""A table is indexed directly, three times as fast as searched, where its keys span no more than
four times their number, or SMALL_SPAN, or DENSE_SPAN and DENSE_EACH for each: the index then takes
128 KiB, of a second-level cache of 512 KiB or more, and 512 bytes for each key of a file."""

LINE_FLOATS = 16
"""Floats of a cache line; blocks in ``k`` start at multiples of it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Outputs ``first .. first + outputs`` of a Gemm, stored ``width`` wide, a multiple of 4."""

    first: int
    outputs: int
    width: int
    at: int


def narrow(outputs: int, depth: int) -> bool:
    """Whether a Gemm's block is row-major [output][k]."""
    return chains(outputs, depth) == 8


def padded(outputs: int) -> int:
    """``outputs`` rounded up to a multiple of 4."""
    return -(-outputs // 4) * 4


def panels(outputs: int, depth: int, panel: int) -> list[Panel]:
    """The panels of a Gemm that is not narrow; ``at`` counts floats from the start of its block."""
    found, at = [], 0
    for first in range(0, outputs, panel):
        size = min(panel, outputs - first)
        found.append(Panel(first, size, padded(size), at))
        at += padded(size) * (depth + 1)
    return found


def block_floats(outputs: int, depth: int) -> int:
    """Floats of a Gemm's block, whatever the panel width."""
    if narrow(outputs, depth):
        return padded(outputs) + outputs * depth
    return padded(outputs) * (depth + 1)


@np.errstate(over="ignore")  # a float64 weight beyond float32 is infinity there
def pack_gemm(k: Floats, weights: npt.NDArray[Any], bias: npt.NDArray[Any], panel: int) -> None:
    """Write a Gemm's block: the one copy on the way from a file's weights to the kernel's.

    Parameters
    ----------
    k
        Zeros; the block is written to its first ``block_floats``.
    weights
        [outputs][depth], float32 or float64, which is rounded here.
    bias
        [outputs], of the same dtype.
    panel
        Outputs of a full panel (``Level.panel``), a multiple of 4.
    """
    outputs, depth = weights.shape
    block = k[: block_floats(outputs, depth)]
    if narrow(outputs, depth):
        block[:outputs] = bias
        block[padded(outputs) :].reshape(outputs, depth)[...] = weights
        return
    for part in panels(outputs, depth, panel):
        held = block[part.at : part.at + part.width * (depth + 1)].reshape(depth + 1, part.width)
        chosen = slice(part.first, part.first + part.outputs)
        held[0, : part.outputs] = bias[chosen]
        held[1:, : part.outputs] = weights[chosen].T


def aligned_floats(count: int) -> Floats:
    """Zeros that start at a cache line and may be read a cache line past their end."""
    whole = np.zeros(count + 32, dtype=np.float32)
    start = (-whole.ctypes.data // 4) % LINE_FLOATS
    return whole[start : start + count + LINE_FLOATS]


@dataclass(frozen=True, slots=True)
class PackedTable:
    """A map's keys, its rows of values, and, where the keys lie close, 1 + the row of each key."""

    keys: Integers
    first: int
    dense: Integers
    values: Floats


def pack_table(keys: Integers, values: Floats) -> PackedTable:
    """Pack a map whose keys ascend; every lookup in it shares the result.

    Parameters
    ----------
    keys
        int32 [entries], ascending.
    values
        float32 [entries][size].
    """
    span = int(keys[-1]) - int(keys[0]) + 1 if len(keys) else 0
    direct = max(SMALL_SPAN, 4 * len(keys), min(DENSE_SPAN, DENSE_EACH * len(keys)))
    if span == 0 or span > direct:
        return PackedTable(keys, 0, np.zeros(0, dtype=np.int32), values)
    dense = np.zeros(span, dtype=np.int32)
    dense[keys.astype(np.int64) - int(keys[0])] = np.arange(1, len(keys) + 1, dtype=np.int32)
    return PackedTable(keys, int(keys[0]), dense, values)
