"""The names of the generated text in plain Python: it runs without Numba and gives the same bits.

Scratch is an array [slot][lane] that starts as NaN, so that a slot read before it is written shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from instjit.arithmetic import NumpyArithmetic
from instjit.kernels.located import CONSTRUCTORS, Located, Place, evaluate
from instjit.kernels.packing import DIRECTORY, Floats, Integers, narrow, padded, panels
from instjit.kernels.plain_product import product_step, split_step, words_step
from instjit.kernels.specs import (
    ColumnsSpec,
    GemmSpec,
    LookupSpec,
    MapSpec,
    ProductSpec,
    ReduceSpec,
    SplitSpec,
    WordsSpec,
)
from instjit.kernels.target import Level
from instjit.summation import maximum_of, product, sum_of

StepFunction: TypeAlias = Callable[..., None]


def namespace(level: Level, *, rows: bool) -> dict[str, Any]:
    """What the generated text sees when it is run as it is; arguments as in ``native``."""
    lanes = 1 if rows else level.lanes
    return {
        **CONSTRUCTORS,
        "gemm": lambda **fields: _gemm(GemmSpec(**fields), level.panel),
        "wide_gemm": lambda **fields: _gemm(GemmSpec(**fields), level.panel),
        "span_gemm": lambda slots, **fields: _span(GemmSpec(**fields), level, slots),
        "tile_scratch": lambda slots: lambda s, tile: s[tile * slots : (tile + 1) * slots],
        "split": lambda **fields: split_step(SplitSpec(**fields)),
        "product": lambda **fields: product_step(ProductSpec(**fields), level.panel, _values),
        "together": _together,
        "begin_tiles": lambda: None,
        "end_tiles": lambda: None,
        "elementwise": lambda **fields: _elementwise(MapSpec(**fields)),
        "reduce": lambda **fields: _reduce(ReduceSpec(**fields)),
        "lookup": lambda **fields: _lookup(LookupSpec(**fields)),
        "columns_in": lambda **fields: _take(ColumnsSpec(**fields), lanes),
        "columns_out": lambda **fields: _give(ColumnsSpec(**fields), lanes),
        "words_in": lambda **fields: words_step(WordsSpec(**fields), lanes),
        "part_in": lambda **fields: _take_part(ColumnsSpec(**fields)),
        "part_out": lambda **fields: _give_part(ColumnsSpec(**fields)),
        "stack": lambda slots: lambda: _empty(slots, np.float32).reshape(slots, 1),
        "address": lambda rows, row: rows.reshape(-1)[row * rows.shape[-1] :],
        "aligned": lambda buffer: buffer[: (len(buffer) - 16) // lanes * lanes].reshape(-1, lanes),
        "release": lambda buffer: None,
        "empty": _empty,
        "float32": np.float32,
    }


def _together(*steps: StepFunction) -> StepFunction:
    def run(s: Floats, k: Floats, n: Integers, *rows: Floats) -> None:
        for step in steps:
            step(s, k, n, *rows)

    return run


def _gemm(spec: GemmSpec, panel: int) -> StepFunction:
    def step(s: Floats, k: Floats, n: Integers, *fetched: Floats) -> None:
        weights, bias = _unpacked(spec, panel, k)
        source = np.ascontiguousarray(s[spec.source : spec.source + spec.depth].T)
        with np.errstate(all="ignore"):
            total = product(weights, bias, source).T
        s[spec.target : spec.target + spec.outputs] = _values(
            spec.value, spec.outputs, s, k, n, total
        )

    return step


def _span(spec: GemmSpec, level: Level, slots: int) -> StepFunction:
    """Units first .. last: all outputs are worked out, those of other spans put back."""
    whole = _gemm(spec, level.panel)

    def one(s: Floats, k: Floats, n: Integers, span: int, tile: int) -> None:
        held = s[tile * slots : (tile + 1) * slots]
        made = held[spec.target : spec.target + spec.outputs]
        before, chosen = made.copy(), slice(level.span * span, level.span * (span + 1))
        whole(held, k, n)
        before[chosen] = made[chosen]
        made[:] = before

    def step(
        s: Floats, k: Floats, n: Integers, tiles: int, pairs: int, first: int, last: int
    ) -> None:
        for unit in range(first, last):
            if unit < pairs:
                for tile, span in itertools.product(range(tiles), (2 * unit, 2 * unit + 1)):
                    one(s, k, n, span, tile)
            else:
                span, tile = divmod(unit - pairs, tiles)
                one(s, k, n, 2 * pairs + span, tile)

    return step


def _unpacked(spec: GemmSpec, panel: int, k: Floats) -> tuple[Floats, Floats]:
    """Weights [outputs][depth] and bias of a packed block."""
    block = k[spec.weights :]
    if narrow(spec.outputs, spec.depth):
        start = padded(spec.outputs)
        weights = block[start : start + spec.outputs * spec.depth].reshape(spec.outputs, spec.depth)
        return weights, block[: spec.outputs]
    held = [
        block[part.at : part.at + part.width * (spec.depth + 1)].reshape(-1, part.width)[
            :, : part.outputs
        ]
        for part in panels(spec.outputs, spec.depth, panel)
    ]
    whole = np.concatenate(held, axis=1)
    return np.ascontiguousarray(whole[1:].T), whole[0]


def _elementwise(spec: MapSpec) -> StepFunction:
    def step(s: Floats, k: Floats, n: Integers, *rows: Floats) -> None:
        target = rows[1][:, None] if spec.into == "y" else s
        target[spec.target : spec.target + spec.count] = _values(
            spec.value, spec.count, s, k, n, rows=rows
        )

    return step


def _reduce(spec: ReduceSpec) -> StepFunction:
    fold = {"add": sum_of, "maximum": maximum_of}[spec.function]

    def step(s: Floats, k: Floats, n: Integers, *rows: Floats) -> None:
        values = np.broadcast_to(
            _values(spec.value, spec.count, s, k, n, rows=rows), (spec.count, s.shape[1])
        )
        with np.errstate(all="ignore"):
            s[spec.target] = fold(np.ascontiguousarray(values.T))

    return step


def _lookup(spec: LookupSpec) -> StepFunction:
    def step(s: Floats, k: Floats, n: Integers, *rows: Floats) -> None:
        for lane, identity in enumerate(s[spec.source].copy()):
            at = _row_at(spec, float(identity), n)
            s[spec.target : spec.target + spec.size, lane] = k[at : at + spec.size]

    return step


def _row_at(spec: LookupSpec, identity: float, n: Integers) -> int:
    """Place in ``k`` of the id's row of values."""
    keys_at, count, first, span, dense_at, values_at, default_at = (
        int(n[spec.directory + e]) for e in range(DIRECTORY)
    )
    key = _key(identity)
    row = 0
    if span:
        row = int(n[dense_at + key - first]) if 0 <= key - first < span else 0
    elif key in (keys := list(n[keys_at : keys_at + count])):
        row = keys.index(key) + 1
    return values_at + (row - 1) * spec.size if row else default_at


def _key(identity: float) -> int:
    if identity != identity:
        return 0
    if abs(identity) >= 2**31:
        return 2**31 - 1 if identity > 0 else -(2**31)
    whole = int(identity)
    return whole + (abs(identity - whole) >= 0.5) * (1 if identity > 0 else -1)


def _values(
    value: Located,
    count: int,
    s: Floats,
    k: Floats,
    n: Integers,
    total: Any = None,
    rows: Sequence[Floats] = (),
) -> Floats:
    """Elements 0 .. count - 1 over all lanes: [count][lanes], or what broadcasts to it."""
    elements = np.arange(count)
    areas: dict[str, Callable[[], Floats]] = {
        "s": lambda: s,
        "k": lambda: k[:, None],
        "x": lambda: rows[0][:, None],
    }

    def leaf(place: Place) -> Floats:
        if place.index == "fixed":
            entries = np.zeros(1, dtype=np.int64)
        elif place.index == "gather":
            entries = n[place.listed + elements].astype(np.int64)
        else:
            entries = elements // place.every
        held: Floats = areas[place.area]()[place.at + entries]
        return held

    result: Floats = evaluate(value, NumpyArithmetic(), leaf, total)
    return result


def _take(spec: ColumnsSpec, lanes: int) -> Callable[[Floats, int, Floats], None]:
    part = _take_part(spec)
    return lambda x, row, s: part(np.atleast_2d(x), row, lanes, 0, spec.width, s)


def _give(spec: ColumnsSpec, lanes: int) -> Callable[[Floats, int, Floats], None]:
    part = _give_part(spec)
    return lambda y, row, s: part(y[None, :] if y.ndim == 1 else y, row, lanes, 0, spec.width, s)


def _take_part(spec: ColumnsSpec) -> Callable[[Floats, int, int, int, int, Floats], None]:
    def move(x: Floats, row: int, count: int, start: int, stop: int, s: Floats) -> None:
        rows = row + np.minimum(np.arange(s.shape[1]), count - 1)
        for column, slot, columns in spec.columns:
            first, last = max(column, start), min(column + columns, stop)
            if first < last:
                s[slot + first - column : slot + last - column] = x[
                    rows, first - start : last - start
                ].T

    return move


def _give_part(spec: ColumnsSpec) -> Callable[[Floats, int, int, int, int, Floats], None]:
    def move(y: Floats, row: int, count: int, start: int, stop: int, s: Floats) -> None:
        for column, slot, columns in spec.columns:
            first, last = max(column, start), min(column + columns, stop)
            if first < last:
                held = s[slot + first - column : slot + last - column, :count]
                y[row : row + count, first - start : last - start] = held.T

    return move


def _empty(count: int, dtype: Any) -> Floats:
    return np.full(count, np.nan, dtype=dtype)
