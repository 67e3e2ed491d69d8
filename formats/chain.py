"""Dense networks <-> models: a chain of DOT instructions, each on the one before."""

from __future__ import annotations

from itertools import pairwise

from instjit.errors import FormatError, Problem
from instjit.formats.dense import (
    Dense,
    DenseActivation,
    Layer,
    element_type,
    floats_of,
    widths_of,
)
from instjit.model import Model
from instjit.ops import Activate, Activation, Dot, Instruction

ACTIVATIONS = {
    DenseActivation.IDENTITY: None,
    DenseActivation.RELU: Activation.RELU,
    DenseActivation.SIGMOID: Activation.SIGMOID,
    DenseActivation.TANH: Activation.TANH,
}
_NUMBERS = {activation: number for number, activation in ACTIVATIONS.items()}


def to_model(dense: Dense) -> Model:
    """The model of a network: buffer 0 is the input, layer k goes from buffer k to k + 1.

    Its arrays are views of the file's bytes.

    Parameters
    ----------
    dense
        A network whose ranges are all within its payloads.

    Raises
    ------
    FormatError
        EmptyPlan, IncompatibleChain.
    """
    sizes = widths_of(dense.layers)
    steps = pairwise(range(len(sizes)))  # buffers, each number one object: there may be 65,536
    return Model(
        sizes,
        (
            Dot(number, following, number, ACTIVATIONS[layer.activation])
            for (number, following), layer in zip(steps, dense.layers, strict=True)
        ),
        map(dense.matrix, dense.layers),
        map(dense.bias, dense.layers),
        feature_size=sizes[0],
        dtype=dense.dtype,
    )


def to_dense(model: Model) -> Dense:
    """The network of a model, its ranges one after the other.

    An ACTIVATION in place behind its DOT is taken into the layer.

    Parameters
    ----------
    model
        A model without problems.

    Raises
    ------
    FormatError
        NotADenseChain, with the first instruction that stands in the way.
    """
    layers: list[Layer] = []
    used: list[int] = []
    weight_offset = bias_offset = 0
    for number, instruction in enumerate(model.instructions):
        last = layers[-1] if layers else None
        if last is not None and _follows(instruction, len(layers)) and not last.activation:
            layers[-1] = _activated(last, number, instruction)
            continue
        dot = _dot(model, number, instruction, len(layers))
        outputs, inputs = model.weights[dot.weights].shape
        kind = _number(number, dot.activation)
        layers.append(Layer(inputs, outputs, weight_offset, bias_offset, kind))
        used.append(dot.weights)
        weight_offset += inputs * outputs
        bias_offset += outputs
    _check_whole(model, layers)
    dtype = element_type(model.dtype)
    return Dense(
        tuple(layers),
        floats_of([model.weights[weights] for weights in used], dtype),
        floats_of([model.bias[weights] for weights in used], dtype),
    )


def _check_whole(model: Model, layers: list[Layer]) -> None:
    if not layers:
        raise _refusal("the model has no instructions")
    if len(layers) != len(model.buffers) - 1:
        message = f"the model has {len(model.buffers)} buffers for {len(layers)} layers"
        raise _refusal(f"{message}, a chain has one more than layers")
    if model.input_size != model.buffers[0].size:
        message = f"a row has {model.input_size} columns, buffer 0 holds {model.buffers[0].size}"
        raise _refusal(f"{message}, a dense chain starts with its input")


def _dot(model: Model, number: int, instruction: Instruction, source: int) -> Dot:
    if not isinstance(instruction, Dot):
        raise _refusal(
            f"instruction {number} ({instruction.kind}) is no layer of a dense chain", number
        )
    if (instruction.input, instruction.output) != (source, source + 1):
        message = f"goes from buffer {instruction.input} to {instruction.output}"
        wanted = f"layer {source} of a dense chain goes from {source} to {source + 1}"
        raise _refusal(f"instruction {number} (DOT) {message}, {wanted}", number)
    return instruction


def _follows(instruction: Instruction, buffer: int) -> bool:
    return isinstance(instruction, Activate) and instruction.output == buffer


def _activated(layer: Layer, number: int, instruction: Instruction) -> Layer:
    activation = _number(number, getattr(instruction, "activation", None))
    offsets = layer.weight_offset, layer.bias_offset
    return Layer(layer.input_size, layer.output_size, *offsets, activation)


def _number(number: int, activation: Activation | None) -> DenseActivation:
    if activation not in _NUMBERS:
        known = ", ".join(each.value for each in _NUMBERS if each is not None)
        name = "none" if activation is None else activation.value
        message = f"instruction {number}: the format has no activation {name}, it has {known}"
        raise _refusal(message, number)
    return _NUMBERS[activation]


def _refusal(message: str, number: int | None = None) -> FormatError:
    return FormatError(Problem("NotADenseChain", message, number))
