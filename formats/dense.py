r"""Dense networks as RMD1 and RNN\0 files hold them: layer records over two flat payloads.

Records may leave gaps, stand in any order and share ranges. The rules and the kinds of their
problems are those of the Rust crate `native_neural_network` 0.1 to 0.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arrays import vector
from instjit.collecting import refuse
from instjit.counted import shown
from instjit.errors import FormatError, InputError, Problem
from instjit.formats.limits import Limits
from instjit.formats.reader import F32, F64, Floats, Reader

RECORD_BYTES = 20
"""A layer record: four u32 (sizes, offsets), the activation, three reserved bytes."""

U32_MAX = 2**32 - 1

DTYPES = {0: F32, 1: F64}
"""Element type of both payloads by its number in a file."""


class DenseActivation(IntEnum):
    """Activations by their number in a file."""

    IDENTITY = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """One record.

    The weight from input i to output o is number ``weight_offset + o * input_size + i``.
    """

    input_size: int
    output_size: int
    weight_offset: int
    bias_offset: int
    activation: DenseActivation

    @property
    def weights(self) -> int:
        """Numbers of the matrix."""
        return self.input_size * self.output_size


@dataclass(frozen=True, slots=True)
class Dense:
    """Layer records and the numbers that they refer to.

    Attributes
    ----------
    layers
        The records, in order.
    weights, biases
        Both payloads; float32 or float64, the same for both.
    """

    layers: tuple[Layer, ...]
    weights: Floats
    biases: Floats

    @property
    def dtype(self) -> str:
        """Dtype of the numbers: "float32" or "float64"."""
        return "float64" if self.weights.dtype == F64 else "float32"

    @classmethod
    def of(cls, layers: Iterable[Layer], weights: Any, biases: Any, dtype: str) -> Dense:
        """A network from records and two flat lists of numbers, rounded to the dtype.

        Raises
        ------
        ModelError
            InvalidArray: no flat list of numbers.
        InputError
            InvalidDtype.
        """
        target = element_type(dtype)
        payloads = {"weights": weights, "biases": biases}
        flat = [vector(numbers, what, target) for what, numbers in payloads.items()]
        return cls(tuple(layers), *(floats_of([numbers], target) for numbers in flat))

    def matrix(self, layer: Layer) -> npt.NDArray[Any]:
        """Weights of a layer, [output][input]: a view."""
        return self.weights.view(layer.weight_offset, layer.output_size, layer.input_size)

    def bias(self, layer: Layer) -> npt.NDArray[Any]:
        """Biases of a layer: a view."""
        return self.biases.view(layer.bias_offset, layer.output_size)


def element_type(dtype: str) -> np.dtype[Any]:
    """The element type of that name; InputError (InvalidDtype) for any other."""
    for known in DTYPES.values():
        if isinstance(dtype, str) and dtype == known.name:
            return known
    message = f"expected dtype 'float32' or 'float64', got {shown(dtype)}"
    raise InputError(Problem("InvalidDtype", message))


def floats_of(arrays: Iterable[Any], dtype: np.dtype[Any]) -> Floats:
    """The numbers of some arrays, one after the other, rounded to the dtype."""
    with np.errstate(over="ignore"):  # 1e39 is infinity in float32
        content = b"".join([np.asarray(array, dtype, order="C").data for array in arrays])
    return Floats(content, 0, len(content) // dtype.itemsize, dtype)


def check_layer_count(layers: int, limits: Limits) -> None:
    """Refuse more layers than a model may have instructions, arrays, or buffers, one of which more.

    Raises
    ------
    FormatError
        LimitExceeded.
    """
    for name, actual, most in (
        ("instructions", layers, limits.instructions),
        ("arrays", layers, limits.arrays),
        ("buffers", layers + 1, limits.buffers),
    ):
        if actual > most:
            message = f"{layers} layers are {actual} {name}, the limit is {most}"
            fields = {"name": name, "actual": actual, "max": most}
            raise FormatError(Problem("LimitExceeded", message, fields=fields))


def read_layers(reader: Reader, count: int) -> tuple[Layer, ...]:
    """``count`` records.

    Raises
    ------
    FormatError
        The reader's kind when the bytes run out; InvalidActivation.
    """
    rows = reader.u32_rows(count, RECORD_BYTES // 4, "the layer records")
    layers = []
    for number, (inputs, outputs, weight_offset, bias_offset, activation) in enumerate(rows):
        known = _ACTIVATIONS.get(activation & 0xFF)  # the reserved bytes are not read
        if known is None:
            raise FormatError(_unknown_activation(number, activation & 0xFF))
        layers.append(Layer(inputs, outputs, weight_offset, bias_offset, known))
    return tuple(layers)


def record(layer: Layer) -> bytes:
    """The bytes of a record whose numbers all fit into 32 bits."""
    numbers = (layer.input_size, layer.output_size, layer.weight_offset, layer.bias_offset)
    words = b"".join(number.to_bytes(4, "little") for number in numbers)
    return words + bytes((layer.activation, 0, 0, 0))


def describe_layers(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """The records as JSON values, for ``inspect``."""
    return [
        {
            "input_size": layer.input_size,
            "output_size": layer.output_size,
            "weight_offset": layer.weight_offset,
            "bias_offset": layer.bias_offset,
            "activation": layer.activation.name.lower(),
        }
        for layer in layers
    ]


def described_ranges(dense: Dense) -> dict[str, Any]:
    """How the layers' ranges lie in both payloads, for ``inspect``.

    ``gapped``: numbers that no layer uses. ``shared``: numbers that two layers use.
    """
    weights = [(layer.weight_offset, layer.weights) for layer in dense.layers]
    biases = [(layer.bias_offset, layer.output_size) for layer in dense.layers]
    return {
        "weights": _coverage(weights, dense.weights.count),
        "biases": _coverage(biases, dense.biases.count),
    }


def unused_numbers(dense: Dense) -> Iterator[str]:
    """Phrases for numbers that no layer uses."""
    for what, payload in described_ranges(dense).items():
        if payload["gapped"]:
            unused = "number" if payload["unused"] == 1 else "numbers"
            yield f"{payload['unused']} {unused} of the {what} that no layer uses"


def _coverage(ranges: Iterable[tuple[int, int]], held: int) -> dict[str, Any]:
    end, gap, shared = 0, 0, False
    for offset, count in sorted(ranges):
        gap += max(0, offset - end)
        shared |= offset < end
        end = max(end, offset + count)
    unused = gap + held - end
    return {"gapped": unused > 0, "unused": unused, "shared": shared}


def range_problems(layers: Sequence[Layer], weights: int, biases: int) -> Iterator[Problem]:
    """InvalidLayer for every record with a zero size, or a range past the end of its payload."""
    for number, layer in enumerate(layers):
        if min(layer.input_size, layer.output_size) < 1:
            message = f"sizes are {layer.input_size} -> {layer.output_size}, both must be above 0"
            yield _invalid_layer(number, message)
        for what, offset, count, held in (
            ("weights", layer.weight_offset, layer.weights, weights),
            ("biases", layer.bias_offset, layer.output_size, biases),
        ):
            if offset < 0 or offset + count > held:
                message = f"takes {what} {offset} to {offset + count}, there are {held}"
                yield _invalid_layer(number, message)


def activation_problems(layers: Sequence[Layer]) -> Iterator[Problem]:
    """InvalidActivation for records that were not read from a file."""
    for number, layer in enumerate(layers):
        known = isinstance(layer.activation, int) and layer.activation in _ACTIVATIONS
        if not known or isinstance(layer.activation, bool):
            yield _unknown_activation(number, layer.activation)


def chain_problems(layers: Sequence[Layer]) -> Iterator[Problem]:
    """EmptyPlan without layers; IncompatibleChain where inputs are not the outputs before."""
    if not layers:
        yield Problem("EmptyPlan", "the network has no layers")
    for number in range(1, len(layers)):
        given, taken = layers[number - 1].output_size, layers[number].input_size
        if given != taken:
            message = f"layer {number}: takes {taken} values, layer {number - 1} gives {given}"
            fields = {"layer": number, "given": given, "taken": taken}
            yield Problem("IncompatibleChain", message, fields=fields)


def widths_of(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Sizes of the input and of every layer's output.

    Raises
    ------
    FormatError
        EmptyPlan, IncompatibleChain.
    """
    refuse(chain_problems(layers))
    return (layers[0].input_size, *(layer.output_size for layer in layers))


_ACTIVATIONS = {member.value: member for member in DenseActivation}


def _unknown_activation(number: int, activation: Any) -> Problem:
    known = ", ".join(f"{member.value} {member.name.lower()}" for member in DenseActivation)
    message = f"layer {number}: there is no activation {shown(activation)}, expected one of {known}"
    fields = {"layer": number, "activation": activation}
    return Problem("InvalidActivation", message, fields=fields)


def _invalid_layer(number: int, message: str) -> Problem:
    return Problem("InvalidLayer", f"layer {number}: {message}", fields={"layer": number})
