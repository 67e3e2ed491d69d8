"""The meaning of wide products in plain Python, with the bits of the units as they are specified.

``vdpbf16ps`` adds the product of the upper halves to a sum, then that of the lower ones. AMX sums
16 pairs of each kind on their own and adds both sums at once. Either rounds every sum to float32.
The units count subnormal sums as zero, which is the one thing that differs here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from instjit.kernels.bf16 import Floats, paired, split, unpaired
from instjit.kernels.multiplier import MACRO, SIDE, tiles
from instjit.kernels.packing import Integers, panels
from instjit.kernels.specs import ProductSpec, SplitSpec, WordsSpec

Halved: TypeAlias = "tuple[Floats, Floats]"
"""The numbers of the lower and of the upper halves of words."""

Values: TypeAlias = Callable[..., Any]


def split_step(spec: SplitSpec) -> Callable[..., None]:
    """``f(s, k, n)``."""

    def step(s: Floats, k: Floats, n: Integers, *rows: Floats) -> None:
        write_words(spec.multiplier, s[spec.source : spec.source + spec.count], s, spec.target)

    return step


def words_step(spec: WordsSpec, lanes: int) -> Callable[[Floats, int, Floats], None]:
    """``f(x, row, s)``."""

    def step(x: Floats, row: int, s: Floats) -> None:
        held = x[row : row + lanes, spec.column : spec.column + spec.count]
        write_words(spec.multiplier, np.ascontiguousarray(held.T), s, spec.target)

    return step


def write_words(multiplier: Any, values: Floats, s: Floats, at: int) -> None:
    """Write the words of [slot][lane] from slot ``at`` on."""
    pairs = multiplier.pairs(len(values))
    for part, halves in enumerate(split(values, multiplier.parts)):
        start = at + part * pairs
        s[start : start + pairs] = paired(halves, pairs).view(np.float32)


def product_step(spec: ProductSpec, panel: int, values: Values) -> Callable[..., None]:
    """``f(s, k, n)``; ``values(spec.value, count, s, k, n, total)`` evaluates the epilogue."""
    multiplier = spec.multiplier
    pairs = multiplier.pairs(spec.depth)

    def step(s: Floats, k: Floats, n: Integers, *fetched: int) -> None:
        words = s[spec.pairs : spec.pairs + multiplier.parts * pairs]
        lanes = unpaired(words.reshape(multiplier.parts, pairs, -1))
        with np.errstate(all="ignore"):
            total = (_amx if spec.unit == "amx" else _pairs)(spec, panel, k, lanes)
        found = np.broadcast_to(
            values(spec.value, spec.outputs, s, k, n, total), (spec.outputs, s.shape[1])
        )
        if spec.kept:
            s[spec.target : spec.target + spec.outputs] = found
        if spec.following >= 0:
            write_words(multiplier, np.ascontiguousarray(found), s, spec.following)

    return step


def _pairs(spec: ProductSpec, panel: int, k: Floats, lanes: Halved) -> Floats:
    pairs = spec.multiplier.pairs(spec.depth)
    block = k[spec.weights :]
    held = [
        block[part.at : part.at + part.width * (pairs + 1)].reshape(-1, part.width)[
            :, : part.outputs
        ]
        for part in panels(spec.outputs, pairs, panel)
    ]
    whole = np.concatenate(held, axis=1)
    low, high = unpaired(whole[1:])
    total = np.repeat(whole[0][:, None], lanes[0].shape[-1], axis=1)
    for pair in range(pairs):
        total = total + high[pair][:, None] * lanes[1][0, pair]
        total = total + low[pair][:, None] * lanes[0][0, pair]
    return total


def _amx(spec: ProductSpec, panel: int, k: Floats, lanes: Halved) -> Floats:
    bias, weights = _unpacked_tiles(spec, k)
    count = lanes[0].shape[-1]
    total = np.zeros((len(bias), count), np.float32)
    for begin in range(0, spec.multiplier.pairs(spec.depth), SIDE):
        for part, other in spec.multiplier.products:
            sums = [np.zeros_like(total), np.zeros_like(total)]
            for pair in range(begin, begin + SIDE):
                for kind in range(2):
                    column = weights[kind][part, :, pair][:, None]
                    sums[kind] = sums[kind] + column * lanes[kind][other, pair]
            total = total + (sums[0] + sums[1])
    return (bias[:, None] + total)[: spec.outputs]


def _unpacked_tiles(spec: ProductSpec, k: Floats) -> tuple[Floats, Halved]:
    """Bias, and weights as [part][output][pair], both with padded outputs."""
    multiplier = spec.multiplier
    outputs, parts = tiles(spec.outputs, SIDE) * SIDE, multiplier.parts
    pairs = multiplier.pairs(spec.depth)
    at = spec.weights + outputs
    macros = []
    for first in range(0, outputs, MACRO):
        across = min(MACRO, outputs - first) // SIDE
        size = across * SIDE * parts * pairs
        held = k[at : at + size].reshape(pairs // SIDE, across, parts, SIDE, SIDE)
        macros.append(held.transpose(2, 1, 3, 0, 4).reshape(parts, across * SIDE, pairs))
        at += size
    words = np.ascontiguousarray(np.concatenate(macros, axis=1))
    return k[spec.weights : spec.weights + outputs], unpaired(words)
