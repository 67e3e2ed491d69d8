"""A net as ONNX bytes: Gemm, Relu and Sigmoid, for the runtimes that read ONNX."""

from __future__ import annotations

from bench.jobs import Layer

INPUT, OUTPUT = "x", "y"
OPERATORS = {"RELU": "Relu", "SIGMOID": "Sigmoid"}
OPSET = 17  # read by every runtime of the last years
IR_VERSION = 8


def onnx_bytes(layers: tuple[Layer, ...]) -> bytes:
    """Serialise the net, with a free batch axis."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, value = [], [], INPUT
    for index, layer in enumerate(layers):
        weights, bias, total = f"w{index}", f"b{index}", f"s{index}"
        constants.append(numpy_helper.from_array(layer.weights, weights))
        constants.append(numpy_helper.from_array(layer.bias, bias))
        nodes.append(helper.make_node("Gemm", [value, weights, bias], [total], transB=1))
        value = OUTPUT if index == len(layers) - 1 else f"a{index}"
        nodes.append(helper.make_node(OPERATORS[layer.activation], [total], [value]))
    widths = layers[0].weights.shape[1], len(layers[-1].bias)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in zip((INPUT, OUTPUT), widths, strict=True)
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
