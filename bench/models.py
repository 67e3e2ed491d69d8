"""A net as an instruction model, as the exporters of the model family write it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

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
    operands,
)

if TYPE_CHECKING:
    from instjit import Model


def model(net: Net) -> Model:
    """Every value has a buffer of its own, but those that are changed in place."""
    return _Writer(net).model()


class _Writer:
    def __init__(self, net: Net) -> None:
        import instjit

        self._ij, self._net, self._widths = instjit, net, net.widths()
        self._reads = Counter(value for op in net.operations for value in operands(op))
        self._sizes = [net.width]
        self._home = [0]  # the buffer of every value
        self._steps: list[Any] = []
        self._weights: list[Any] = []
        self._bias: list[Any] = []
        self._parameters: list[Any] = []
        self._maps: list[Any] = []

    def model(self) -> Model:
        for op in self._net.operations:
            self._home.append(self._write(op))
        last = self._home[-1]
        if last != len(self._sizes) - 1:  # the output is the last buffer
            self._steps.append(self._ij.Copy(last, self._buffer(self._net.outputs)))
        return self._ij.Model(
            self._sizes,
            self._steps,
            self._weights,
            self._bias,
            parameters=self._parameters,
            maps=self._maps,
            feature_size=self._net.width,
        )

    def _write(self, op: Operation) -> int:
        ij, home = self._ij, self._home
        if isinstance(op, Activate | Affine | Clip):
            return self._in_place(op)
        target = self._buffer(op.width)
        match op:
            case Dense(x, weights, bias, activation):
                step = ij.Dot(home[x], target, self._matrix(weights, bias), activation)
            case Attention(query, key, weights, bias):
                matrix = self._matrix(weights, bias)
                step = ij.Attention(home[query], home[key], target, matrix)
            case Join(kind, values):
                add = ij.AddElementwiseBuffers, ij.MultiplyElementwiseBuffers
                step = add[kind == "multiply"](tuple(home[value] for value in values), target)
            case Heads(kind, x, heads):
                several = ij.AddBufferHeads, ij.MultiplyBufferHeads
                step = several[kind == "multiply"]((home[x], home[heads]), target)
            case Sum(x):
                step = ij.ReduceSum(home[x], target)
            case Pick(x, columns):
                step = ij.CopyMasked(home[x], target, columns)
            case Embed(x, column, keys, values, default):
                self._maps.append({k: v for k, v in zip(keys, values.tolist(), strict=True)})
                number, row = len(self._maps) - 1, tuple(default.tolist())
                step = ij.MapTransform(home[x], target, column, 0, number, len(row), row)
            case Concatenate(values):
                place = 0
                for value in values:
                    self._steps.append(ij.Copy(home[value], target, place))
                    place += self._widths[value]
                return target
        self._steps.append(step)
        return target

    def _in_place(self, op: Activate | Affine | Clip) -> int:
        ij, buffer = self._ij, self._home[op.x]
        if op.x == 0 or self._reads[op.x] > 1:  # others read it too
            buffer = self._buffer(op.width)
            self._steps.append(ij.Copy(self._home[op.x], buffer))
        match op:
            case Activate(_, activation):
                step: Any = ij.Activate(buffer, activation)
            case Affine(kind, _, vector):
                apply = ij.MulElementwise if kind == "multiply" else ij.AddElementwise
                step = apply(buffer, self._vector(vector))
            case Clip(_, low, high):
                step = ij.ClipElementwise(buffer, self._vector(low), self._vector(high))
        self._steps.append(step)
        return buffer

    def _buffer(self, size: int) -> int:
        self._sizes.append(size)
        return len(self._sizes) - 1

    def _matrix(self, weights: Any, bias: Any) -> int:
        self._weights.append(weights)
        self._bias.append(bias)
        return len(self._weights) - 1

    def _vector(self, vector: Any) -> int:
        self._parameters.append(vector)
        return len(self._parameters) - 1
