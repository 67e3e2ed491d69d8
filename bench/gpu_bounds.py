"""How far a dense net's outputs may lie from those of float64, by what its products multiply.

Each rounding is taken for an independent random number, so errors add up by their squares (Higham
and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019).
A number rounded to p significant bits is off by at most u = 2^-p of itself, its mean square is
u^2 / 3. Significant bits, by the PTX ISA's chapter on alternate floating-point formats: bfloat16 8,
tf32 11; but cuBLAS may cut off the rest of a float32 instead of rounding, so tf32 counts as 10.

* a product of two such numbers: 2 u^2 / 3.
* bf16x3, a number as the sum of two bfloat16: u = 2^-16 for each factor; the product of both
  rests, each 2^-8 / sqrt(3) of its number, is left out.
* sums on tensor cores are float32 whose last bits are cut off, eight products at a time (Fasi,
  Higham, Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ CS 7, 2021);
  these errors point one way, so they are added up before they are squared.
* bf16 also lets a peer keep its bias, its sums and its outputs in bfloat16.

The tolerance is ``SIGMAS`` standard deviations: random errors reach 6 in a billion outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.jobs import Float32, Float64, Layer

SIGMAS = 8.0
FLOAT32_OUTPUTS = 1e-5
"""Absolute, on sigmoid outputs, for float32 and bf16x3: sums of 300 products stay below 1e-6."""

DOCUMENTED = {"bf16x3": 1e-5, "tf32": 1e-3, "bf16": 1e-2}
"""``instjit.compile``: errors relative to the outputs, by their root mean squares, at most."""

PRODUCTS = {
    "float32": 0.0,
    "bf16x3": (2 / 3 + 1 / 9) * 2.0**-32,
    "tf32": 2 / 3 * 2.0**-20,
    "bf16": 2 / 3 * 2.0**-16,
}
"""Mean square error of a product, relative to it."""

STORED = {"bf16": 2.0**-16 / 3}
"""The same of a number that a layer keeps."""

SLOPES = {"RELU": 1.0, "SIGMOID": 0.25, None: 1.0}
FUNCTION = 2.0**-21
"""Error of an activation's own arithmetic, relative to its result."""


def tolerance(layers: Sequence[Layer], x: Float32, precision: str) -> Float64:
    """Largest error that is right for each output of each row."""
    value = x.astype(np.float64)
    variance = np.zeros_like(value)
    stored = STORED.get(precision, 0.0)
    for layer in layers:
        weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
        squares = weights**2
        norms = value**2 @ squares.T
        result = value @ weights.T + bias
        summed = layer.weights.shape[1] / 8 * 2.0**-23 * (np.abs(bias) + 4 * np.sqrt(norms))
        variance = (
            variance @ squares.T
            + PRODUCTS[precision] * norms
            + (summed * (3 if precision == "bf16x3" else 1)) ** 2
            + stored * (2 * result**2 + bias**2)
        )
        value = activated(result, layer.activation)
        slope = SLOPES[layer.activation]
        variance = slope**2 * variance + (stored + FUNCTION**2) * value**2
    bounds: Float64 = SIGMAS * np.sqrt(variance)
    return bounds


def activated(value: Float64, activation: str | None) -> Float64:
    """An activation in float64."""
    if activation == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(-value)))
    return np.maximum(value, 0.0) if activation == "RELU" else value


def relative(got: Float32, wanted: Float64) -> float:
    """Error relative to the outputs, by their root mean squares."""
    return float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))
