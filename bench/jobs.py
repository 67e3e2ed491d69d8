"""The nets, their data and their right answers: the same in every process, from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

REFERENCE_ROWS = 8192  # rows evaluated in float64 at a time


@dataclass(frozen=True)
class Layer:
    """``activation(weights @ x + bias)``; weights are ``(outputs, inputs)``."""

    weights: Float32
    bias: Float32
    activation: str


@dataclass(frozen=True)
class Job:
    """One net and how many rows go through it, all in one batch or one call per row."""

    widths: tuple[int, ...]
    rows: int
    one_by_one: bool = False

    @property
    def name(self) -> str:
        """Widths and rows, as in the table."""
        net = "-".join(map(str, self.widths))
        return f"{net}, {self.rows:,} {'single rows' if self.one_by_one else 'rows'}"

    @property
    def flops(self) -> int:
        """Multiplications and additions of the products over all rows."""
        return (
            2 * self.rows * sum(a * b for a, b in zip(self.widths, self.widths[1:], strict=False))
        )

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """RELU layers with a SIGMOID one at the end."""
        random = np.random.default_rng(sum(self.widths))
        activations = ["RELU"] * (len(self.widths) - 2) + ["SIGMOID"]
        return tuple(
            Layer(
                (random.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
                (0.1 * random.standard_normal(outputs)).astype(np.float32),
                activation,
            )
            for inputs, outputs, activation in zip(
                self.widths, self.widths[1:], activations, strict=False
            )
        )

    def inputs(self, seed: int) -> Float32:
        """``(rows, inputs)`` normal figures."""
        random = np.random.default_rng(seed)
        return random.standard_normal((self.rows, self.widths[0]), dtype=np.float32)

    def quick(self) -> Job:
        """A tenth of the rows."""
        return replace(self, rows=max(1, self.rows // 10))


def expected(layers: tuple[Layer, ...], x: Float32) -> Float64:
    """Evaluate in float64, a block of rows at a time."""
    result = np.empty((len(x), len(layers[-1].bias)))
    for start in range(0, len(x), REFERENCE_ROWS):
        block = slice(start, start + REFERENCE_ROWS)
        value = x[block].astype(np.float64)
        for layer in layers:
            value = value @ layer.weights.T.astype(np.float64) + layer.bias
            sigmoid = layer.activation == "SIGMOID"
            value = 1.0 / (1.0 + np.exp(-value)) if sigmoid else np.maximum(value, 0.0)
        result[block] = value
    return result


def document(layers: tuple[Layer, ...]) -> dict[str, Any]:
    """Write the net as an instruction model."""
    return {
        "feature_size": layers[0].weights.shape[1],
        "buffer_sizes": [layers[0].weights.shape[1], *(len(layer.bias) for layer in layers)],
        "instructions": [
            {
                "type": "DOT",
                "input": index,
                "output": index + 1,
                "weights": index,
                "activation": layer.activation,
            }
            for index, layer in enumerate(layers)
        ],
        "weights": [layer.weights.tolist() for layer in layers],
        "bias": [layer.bias.tolist() for layer in layers],
    }
