"""A net in NumPy, into arrays that exist: float32 for the race, float64 for the right answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from bench.jobs import Float32, Float64
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

Array: TypeAlias = np.ndarray[Any, Any]
Step: TypeAlias = Callable[[Sequence[Array], Array], object]
"""Values so far and the array to fill."""

SLOTS = 2**22  # float64 slots of all values of a block of rows, for the right answer
JOINS = {"add": np.add, "multiply": np.multiply}


def expected(net: Net, x: Float32) -> Float64:
    """Outputs in float64, a block of rows at a time."""
    run = steps(net, np.float64)
    result = np.empty((len(x), net.outputs))
    height = max(1, SLOTS // sum(net.widths()))
    for start in range(0, len(x), height):
        block = slice(start, start + height)
        values: list[Array] = [x[block].astype(np.float64)]
        for step, op in zip(run, net.operations, strict=True):
            values.append(np.empty((len(values[0]), op.width)))
            step(values, values[-1])
        result[block] = values[-1]
    return result


def steps(net: Net, dtype: Any = np.float32) -> list[Step]:
    """One call an operation, its constants being of that dtype."""
    return [_step(op, dtype) for op in net.operations]


def _step(op: Operation, dtype: Any) -> Step:
    match op:
        case Dense(x, weights, bias, activation):
            matrix, bias = np.ascontiguousarray(weights.T).astype(dtype), bias.astype(dtype)
            return lambda values, out: _dense(values[x], matrix, bias, activation, out)
        case Attention(query, key, weights, bias):
            matrix, bias = np.ascontiguousarray(weights.T).astype(dtype), bias.astype(dtype)
            return lambda values, out: np.multiply(
                _dense(values[key], matrix, bias, "SOFTMAX", out), values[query], out=out
            )
        case Affine(kind, x, vector):
            vector, function = vector.astype(dtype), JOINS[kind]
            return lambda values, out: function(values[x], vector, out=out)
        case Clip(x, low, high):
            low, high = low.astype(dtype), high.astype(dtype)
            return lambda values, out: np.clip(values[x], low, high, out=out)
        case Embed(x, column, keys):
            table, first = op.table.astype(dtype), keys[0] - 1
            return lambda values, out: np.take(
                table, _ids(values[x][:, column], first), axis=0, out=out, mode="clip"
            )
        case _:
            return _without_constants(op)


def _without_constants(op: Activate | Join | Heads | Sum | Concatenate | Pick) -> Step:
    match op:
        case Activate(x, activation):
            return lambda values, out: activate(activation, values[x], out)
        case Join(kind, several):
            return lambda values, out: _join(JOINS[kind], [values[v] for v in several], out)
        case Heads(kind, x, heads, count):
            return lambda values, out: JOINS[kind](
                values[x].reshape(len(out), count, -1),
                values[heads][:, :, None],
                out=out.reshape(len(out), count, -1),
            )
        case Sum(x):
            return lambda values, out: np.sum(values[x], axis=1, keepdims=True, out=out)
        case Concatenate(several):
            return lambda values, out: np.concatenate([values[v] for v in several], 1, out=out)
        case Pick(x, columns):
            if columns == tuple(range(columns[0], columns[-1] + 1)):
                part = slice(columns[0], columns[-1] + 1)
                return lambda values, out: np.copyto(out, values[x][:, part])
            return lambda values, out: np.take(values[x], columns, axis=1, out=out)


def activate(name: str | None, x: Array, out: Array) -> Array:
    """An activation of every row, into ``out``, which may be ``x``.

    Raises
    ------
    NotImplementedError
        There is no such activation here.
    """
    match name:
        case None:
            return out
        case "RELU":
            return np.maximum(x, 0, out=out)
        case "TANH":
            return np.tanh(x, out=out)
        case "SIGMOID":
            np.exp(np.negative(x, out=out), out=out)
            out += 1
            return np.reciprocal(out, out=out)
        case "SOFTMAX":
            np.exp(np.subtract(x, x.max(axis=1, keepdims=True), out=out), out=out)
            out /= out.sum(axis=1, keepdims=True)
            return out
    raise NotImplementedError(f"activation {name}")


def _dense(x: Array, matrix: Array, bias: Array, activation: str | None, out: Array) -> Array:
    np.matmul(x, matrix, out=out)
    out += bias
    return activate(activation, out, out)


def _join(function: Any, values: list[Array], out: Array) -> Array:
    function(values[0], values[1], out=out)
    for value in values[2:]:
        function(out, value, out=out)
    return out


def _ids(column: Array, first: int) -> Array:
    """Rows of the table; below and above it, ``mode="clip"`` finds the default."""
    return column.astype(np.int64) - first
