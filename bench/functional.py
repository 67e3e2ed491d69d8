"""A net as one function of arrays that are never changed, for the compilers of Python.

A ``Space`` is what Torch, JAX and TensorFlow call the few functions that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol

import numpy as np

from bench.nets import Net
from bench.operations import (
    Activate,
    Affine,
    Attention,
    Clip,
    Concatenate,
    Dense,
    Embed,
    Heads,
    Join,
    Operation,
    Pick,
    Sum,
)


class Space(Protocol):
    """One library's functions of its arrays."""

    def constant(self, array: Any) -> Any: ...
    def dense(self, x: Any, matrix: Any, bias: Any) -> Any: ...
    def activate(self, name: str, x: Any) -> Any: ...
    def clip(self, x: Any, low: Any, high: Any) -> Any: ...
    def sum(self, x: Any) -> Any: ...
    def reshape(self, x: Any, *shape: int) -> Any: ...
    def concatenate(self, values: list[Any]) -> Any: ...
    def columns(self, x: Any, columns: Any) -> Any: ...
    def rows(self, table: Any, ids: Any, first: int) -> Any: ...


def function(net: Net, space: Space) -> Callable[[Any], Any]:
    """``y = f(x)`` over the space's arrays."""
    steps = [_step(op, space) for op in net.operations]

    def run(x: Any) -> Any:
        values = [x]
        for step in steps:
            values.append(step(values))
        return values[-1]

    return run


def _step(op: Operation, space: Space) -> Callable[[list[Any]], Any]:
    match op:
        case Dense(x, weights, bias, name):
            matrix, offset = _constants(space, weights, bias)
            if name is None:
                return lambda values: space.dense(values[x], matrix, offset)
            return lambda values: space.activate(name, space.dense(values[x], matrix, offset))
        case Attention(query, key, weights, bias):
            matrix, offset = _constants(space, weights, bias)
            return lambda values: (
                space.activate("SOFTMAX", space.dense(values[key], matrix, offset)) * values[query]
            )
        case Affine(kind, x, vector):
            numbers = space.constant(vector)
            return lambda values: _joined(kind, values[x], numbers)
        case Clip(x, low, high):
            bounds = space.constant(low), space.constant(high)
            return lambda values: space.clip(values[x], *bounds)
        case Embed(x, column, keys):
            table, first = space.constant(op.table), keys[0] - 1
            return lambda values: space.rows(table, values[x][:, column], first)
        case _:
            return _without_constants(op, space)


def _without_constants(
    op: Activate | Join | Heads | Sum | Concatenate | Pick, space: Space
) -> Callable[[list[Any]], Any]:
    match op:
        case Activate(x, name):
            return lambda values: space.activate(name, values[x])
        case Join(kind, several):
            return lambda values: reduce(
                lambda a, b: _joined(kind, a, b), [values[v] for v in several]
            )
        case Heads(kind, x, heads, count, width):
            return lambda values: space.reshape(
                _joined(
                    kind,
                    space.reshape(values[x], -1, count, width // count),
                    space.reshape(values[heads], -1, count, 1),
                ),
                -1,
                width,
            )
        case Sum(x):
            return lambda values: space.sum(values[x])
        case Concatenate(several):
            return lambda values: space.concatenate([values[v] for v in several])
        case Pick(x, columns):
            first, last = columns[0], columns[-1]
            if columns == tuple(range(first, last + 1)):
                return lambda values: values[x][:, first : last + 1]
            indexes = space.constant(np.array(columns))
            return lambda values: space.columns(values[x], indexes)


def _constants(space: Space, weights: Any, bias: Any) -> tuple[Any, Any]:
    return space.constant(np.ascontiguousarray(weights.T)), space.constant(bias)


def _joined(kind: str, a: Any, b: Any) -> Any:
    return a + b if kind == "add" else a * b
