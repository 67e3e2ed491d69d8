"""A net as ONNX bytes, for the runtimes that read ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.nets import Net
from bench.onnx_graph import INPUT, IR_VERSION, OPSET, OUTPUT
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

ACTIVATIONS = {"RELU": "Relu", "SIGMOID": "Sigmoid", "TANH": "Tanh", "SOFTMAX": "Softmax"}
JOINS = {"add": "Add", "multiply": "Mul"}


def onnx_bytes(net: Net) -> bytes:
    """Serialise the net, with a free batch axis."""
    return _Graph(net).bytes()


class _Graph:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names = [INPUT]
        self._count = 0

    def bytes(self) -> bytes:
        from onnx import TensorProto, helper

        for op in self._net.operations:
            self._names.append(self._add(op))
        self._nodes[-1].output[0] = OUTPUT
        widths = self._net.width, self._net.outputs
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
            for name, width in zip((INPUT, OUTPUT), widths, strict=True)
        ]
        graph = helper.make_graph(self._nodes, "net", ends[:1], ends[1:], self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(model.SerializeToString())

    def _add(self, op: Operation) -> str:
        names = self._names
        match op:
            case Dense(x, weights, bias, activation):
                return self._activated(activation, self._gemm(names[x], weights, bias))
            case Attention(query, key, weights, bias):
                gate = self._activated("SOFTMAX", self._gemm(names[key], weights, bias))
                return self._node("Mul", gate, names[query])
            case Activate(x, activation):
                return self._activated(activation, names[x])
            case Join(kind, values):
                total = names[values[0]]
                for value in values[1:]:
                    total = self._node(JOINS[kind], total, names[value])
                return total
            case Affine(kind, x, vector):
                return self._node(JOINS[kind], names[x], self._constant(vector))
            case Clip(x, low, high):
                raised = self._node("Max", names[x], self._constant(low))
                return self._node("Min", raised, self._constant(high))
            case Heads(kind, x, heads, count, width):
                data = self._shaped(names[x], -1, count, width // count)
                several = self._shaped(names[heads], -1, count, 1)
                return self._shaped(self._node(JOINS[kind], data, several), -1, width)
            case Sum(x):
                return self._node("ReduceSum", names[x], self._integers(1), keepdims=1)
            case Concatenate(values):
                return self._node("Concat", *(names[value] for value in values), axis=1)
            case Pick(x, columns):
                return self._columns(names[x], columns)
            case Embed(x, column, keys):
                return self._embedded(names[x], column, keys[0] - 1, op.table)

    def _gemm(self, x: str, weights: Any, bias: Any) -> str:
        return self._node("Gemm", x, self._constant(weights), self._constant(bias), transB=1)

    def _activated(self, activation: str | None, x: str) -> str:
        if activation is None:
            return x
        attributes = {"axis": 1} if activation == "SOFTMAX" else {}
        return self._node(ACTIVATIONS[activation], x, **attributes)

    def _columns(self, x: str, columns: tuple[int, ...]) -> str:
        first, end = columns[0], columns[-1] + 1
        if columns == tuple(range(first, end)):
            bounds = self._integers(first), self._integers(end), self._integers(1)
            return self._node("Slice", x, *bounds)
        return self._node("Gather", x, self._integers(*columns), axis=1)

    def _embedded(self, x: str, column: int, first: int, table: Any) -> str:
        from onnx import TensorProto

        picked = self._node("Gather", x, self._constant(np.array(column)), axis=1)
        low = self._constant(np.array(first, np.float32))
        high = self._constant(np.array(first + len(table) - 1, np.float32))
        place = self._node("Sub", self._node("Clip", picked, low, high), low)
        ids = self._node("Cast", place, to=TensorProto.INT32)
        return self._node("Gather", self._constant(table), ids, axis=0)

    def _shaped(self, x: str, *shape: int) -> str:
        return self._node("Reshape", x, self._integers(*shape))

    def _integers(self, *numbers: int) -> str:
        return self._constant(np.array(numbers, np.int64))

    def _constant(self, array: Any) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(array, self._fresh()))
        return str(self._constants[-1].name)

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = self._fresh()
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _fresh(self) -> str:
        self._count += 1
        return f"v{self._count}"
