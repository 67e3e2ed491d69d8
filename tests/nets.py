"""Small models that cover every form of a step: products, folds, tables, index maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import instjit as ij

DOTS = [
    (1, 300),
    (3, 17),
    (4, 16),
    (5, 70),
    (16, 64),
    (33, 65),
    (48, 64),
    (49, 64),
    (97, 30),
    (200, 7),
]
"""Outputs x depth: with 8, 4, 2 and 1 chains, and around the panels of every level."""

SOFTMAXES = (1, 2, 15, 16, 17, 31, 33, 100)


def _rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def dense(*widths: int, activation: str = "RELU", last: str | None = "SIGMOID") -> ij.Model:
    """Layers of those widths, the first being the input."""
    rng = _rng(*widths)
    layers = list(zip(widths[1:], widths, strict=False))
    steps = [
        ij.Dot(k, k + 1, k, activation if k + 1 < len(layers) else last) for k in range(len(layers))
    ]
    weights = [rng.normal(0, depth**-0.5, (outputs, depth)) for outputs, depth in layers]
    bias = [rng.normal(size=outputs) for outputs, _ in layers]
    return ij.Model(widths, steps, weights, bias, feature_size=widths[0])


def softmax(width: int) -> ij.Model:
    """A softmax over the input."""
    return ij.Model([width], [ij.Activate(0, "SOFTMAX")], feature_size=width)


def gated() -> ij.Model:
    """Attention, heads, both joins, a sum, bounds."""
    rng = _rng(5)
    return ij.Model(
        [12, 20, 4, 12, 12, 12, 3],
        [
            ij.Dot(1, 2, 1, "TANH"),
            ij.Attention(0, 1, 3, 0),
            ij.MultiplyBufferHeads((3, 2), 4),
            ij.AddElementwiseBuffers((0, 3, 4), 5),
            ij.MultiplyElementwiseBuffers((5, 5, 4), 4),
            ij.ClipElementwise(4, 0, 1),
            ij.ReduceSum(4, 6),
            ij.CopyMasked(5, 6, (11, -3)),
            ij.ReduceSum(5, 6),
        ],
        [rng.normal(size=(12, 20)), rng.normal(size=(4, 20))],
        parameters=[rng.normal(-2, 1, 12), [2.5]],
        feature_size=32,
    )


def tables() -> ij.Model:
    """Tables indexed directly and searched, at the border between them, and without entries.

    Every key is a float32, or the end of int32 that one is saturated to, so that ids can hit it.
    """
    rng = _rng(6)
    sizes = 2.0 ** rng.uniform(0, 30.9, 300) * rng.choice([-1, 1], 300)
    ends = {-(2**31): [1, 2], 2**31 - 1: [3, 4]}
    sparse = {int(key): rng.normal(size=2) for key in np.rint(sizes).astype(np.float32)} | ends
    return ij.Model(
        [4, 3, 2, 1, 9],
        [
            ij.MapTransform(0, 1, 0, 0, 0, 3, (-1, -2, -3)),
            ij.MapTransform(0, 2, 1, 0, 1, 2, (0.5, 0.25)),
            ij.MapTransform(0, 3, 0, 0, 2, 1, (9,)),
            ij.Copy(1, 4, 0),
            ij.Copy(2, 4, 3),
            ij.Copy(3, 4, 5),
            ij.MapTransform(1, 4, 0, 6, 2, 1, (8,)),
            ij.MapTransform(0, 4, 2, 7, 3, 1, (7,)),
            ij.MapTransform(0, 4, 3, 8, 4, 1, (6,)),
        ],
        maps=[
            {k: rng.normal(size=3) for k in range(-5, 40)},
            sparse,
            {},
            *({-1000: [1], -7: [2], 900: [3], span - 1001: [4]} for span in (4096, 4097)),
        ],
        feature_size=4,
    )


def elementwise() -> ij.Model:
    """Every activation that works slot by slot, one after the other, on part of the sum."""
    names = [a.value for a in ij.Activation if a.value != "SOFTMAX"]
    width = 21
    steps: list[ij.Instruction] = []
    for k, name in enumerate(names, 1):
        steps += [ij.Copy(0, k), ij.AddElementwise(k, 0), ij.Activate(k, name)]
    steps.append(ij.AddElementwiseBuffers(tuple(range(len(names) + 1)), len(names) + 1))
    return ij.Model(
        [width] * (len(names) + 2),
        steps,
        parameters=[_rng(7).normal(size=width)],
        feature_size=width,
    )


NETS: dict[str, Callable[[], ij.Model]] = {
    "layers": lambda: dense(64, 100, 30),
    "chains": lambda: _joined_dots(),
    "softmaxes": lambda: _softmaxes(),
    "gated": gated,
    "tables": tables,
    "elementwise": elementwise,
}


def _joined_dots() -> ij.Model:
    """One product of each shape over the same input, side by side in the output."""
    rng = _rng(8)
    deepest = max(depth for _, depth in DOTS)
    sizes, steps = [deepest], []
    for number, (outputs, depth) in enumerate(DOTS):
        sizes += [depth, outputs]
        steps += [
            ij.CopyMasked(0, 2 * number + 1, tuple(range(depth))),
            ij.Dot(2 * number + 1, 2 * number + 2, number, "TANH" if number % 2 else None),
        ]
    sizes.append(sum(outputs for outputs, _ in DOTS))
    at = 0
    for number, (outputs, _) in enumerate(DOTS):
        steps.append(ij.Copy(2 * number + 2, len(sizes) - 1, at))
        at += outputs
    weights = [rng.normal(0, depth**-0.5, (outputs, depth)) for outputs, depth in DOTS]
    bias = [rng.normal(size=outputs) for outputs, _ in DOTS]
    return ij.Model(sizes, steps, weights, bias, feature_size=deepest)


def _softmaxes() -> ij.Model:
    """A softmax and a sum of each width, side by side in the output."""
    sizes, steps = [max(SOFTMAXES)], []
    for number, width in enumerate(SOFTMAXES, 1):
        sizes.append(width)
        steps += [
            ij.CopyMasked(0, number, tuple(range(width))),
            ij.Activate(number, "SOFTMAX"),
        ]
    sizes.append(sum(SOFTMAXES) + len(SOFTMAXES))
    last, at = len(sizes) - 1, 0
    for number, width in enumerate(SOFTMAXES, 1):
        steps.append(ij.Copy(number, last, at))
        at += width
    for number in range(1, len(SOFTMAXES) + 1):
        sizes.append(1)
        steps += [ij.ReduceSum(number, len(sizes) - 1), ij.Copy(len(sizes) - 1, last, at)]
        at += 1
    return _with_last(sizes, steps, last)


def _with_last(sizes: list[int], steps: list[ij.Instruction], output: int) -> ij.Model:
    sizes.append(sizes[output])
    steps.append(ij.Copy(output, len(sizes) - 1))
    return ij.Model(sizes, steps, feature_size=sizes[0])


def rows_for(model: ij.Model, count: int, seed: int = 0) -> np.ndarray:
    """Rows with whole numbers and a few special values; half of the ids hit an entry."""
    rng = _rng(count, seed)
    rows = rng.normal(0, 3, (count, model.input_size)).astype(np.float32)
    whole = rng.random(rows.shape) < 0.2
    rows[whole] = np.rint(rows[whole])
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-42, 3e9, -3e9, 2.5, -0.5], np.float32)
    spots = rng.random(rows.shape) < 0.001
    rows[spots] = rng.choice(special, int(spots.sum()))
    for instruction in model.instructions:
        if isinstance(instruction, ij.MapTransform) and instruction.input == 0:
            keys = model.maps[instruction.map].keys
            ids_into(rows[:, instruction.internal_input_index], np.asarray(keys), rng)
    return rows


def ids_into(column: np.ndarray, keys: np.ndarray, rng: np.random.Generator) -> None:
    """Make half of a column ids of entries, up to 0.4 away, a quarter beside one or odd."""
    ends = [-(2.0**31), 2.0**31, -(2.0**33), np.nan, np.inf, -np.inf, -0.5, 0.5, 2.5]
    kind = rng.integers(4, size=len(column))
    if len(keys):
        some = rng.choice(keys, len(column))
        column[kind < 2] = (some + rng.uniform(-0.4, 0.4, len(column)))[kind < 2]
        beside = some + rng.choice([-1, -0.6, -0.5, 0.5, 0.6, 1], len(column))
        ends = np.concatenate([beside, np.repeat(ends, 1 + len(column) // 20)])
    column[kind == 2] = rng.choice(ends, int((kind == 2).sum()))
