"""Dense networks evaluated without a kernel: in instjit's own arithmetic, or in the crate's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from instjit.counted import shown
from instjit.errors import FormatError, InputError, Problem
from instjit.formats import crate_math
from instjit.formats.chain import ACTIVATIONS
from instjit.formats.dense import (
    Dense,
    DenseActivation,
    Layer,
    activation_problems,
    chain_problems,
    range_problems,
)
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.rmd1_bytes import unpack
from instjit.summation import product

Math = Literal["exact", "crate"]
Rows = npt.NDArray[Any]

BLOCK = 2**18
"""Numbers of the widest buffer of a block of rows; an exact fma needs some ten arrays as large."""

_CRATE: dict[DenseActivation, Callable[[Rows], Rows]] = {
    DenseActivation.IDENTITY: lambda x: x,
    DenseActivation.RELU: crate_math.relu,
    DenseActivation.SIGMOID: crate_math.sigmoid,
    DenseActivation.TANH: crate_math.tanh,
}


def validate_plan(dense: Dense) -> None:
    """Whether the network can run.

    Raises
    ------
    FormatError
        The first of EmptyPlan, InvalidShape, InvalidRange, InvalidActivation, IncompatibleChain.
    InputError
        InvalidPlan: no network at all.
    """
    if not isinstance(dense, Dense):
        message = f"expected a Dense, got {shown(dense)}"
        raise InputError(Problem("InvalidPlan", message))
    for problem in _plan_problems(dense):
        raise FormatError(problem)


def run(
    network: bytes | Dense, inputs: Any, math: Math = "exact", *, limits: Limits = DEFAULT
) -> Rows:
    """Outputs of a network for one row or many.

    Parameters
    ----------
    network
        The bytes of an RMD1 file, or what ``unpack`` made of them.
    inputs
        (input size,) for one row, (rows, input size) for many.
    math
        "exact": in the network's dtype; float32 has the bits of ``instjit.reference.run`` and of
        kernels. "crate": the crate's approximate functions and sums in the order of the inputs,
        float32.
    limits
        Bounds on what the bytes may ask for.

    Returns
    -------
    (output size,) or (rows, output size), in the network's dtype. A row's bits depend on the row
    alone.

    Raises
    ------
    FormatError
        As ``unpack`` and ``validate_plan``.
    InputError
        ShapeMismatch: rows of another width, or none. InputType: no numbers. DtypeMismatch: crate
        math for float64. InvalidMath. BadBytes: neither bytes nor a network.
    """
    dense = _network(network, limits)
    validate_plan(dense)
    if not isinstance(math, str) or math not in ("exact", "crate"):
        message = f"expected math 'exact' or 'crate', got {shown(math)}"
        raise InputError(Problem("InvalidMath", message))
    if math == "crate" and dense.dtype != "float32":
        message = "crate math is float32, the network's numbers are float64"
        raise InputError(Problem("DtypeMismatch", message))
    rows, single = _rows(dense, inputs)
    widest = max(max(layer.input_size, layer.output_size) for layer in dense.layers)
    height = max(1, BLOCK // widest)
    result = np.empty((len(rows), dense.layers[-1].output_size), rows.dtype)
    with np.errstate(all="ignore"):  # NaN and infinity are values like any other here
        for start in range(0, len(rows), height):
            values = rows[start : start + height]
            for layer in dense.layers:
                values = _layer(dense, layer, values, math)
            result[start : start + height] = values
    return result[0] if single else result


def _network(given: Any, limits: Limits) -> Dense:
    if isinstance(given, Dense):
        return given
    try:
        memoryview(given)
    except TypeError as error:
        message = f"expected the bytes of an RMD1 file or a Dense, got {shown(given)}"
        raise InputError(Problem("BadBytes", message)) from error
    return unpack(given, limits)


def _plan_problems(dense: Dense) -> Iterator[Problem]:
    layers = dense.layers
    if not layers:
        yield from chain_problems(layers)
    for problem in range_problems(layers, dense.weights.count, dense.biases.count):
        layer = layers[problem.fields["layer"]]
        kind = "InvalidShape" if min(layer.input_size, layer.output_size) < 1 else "InvalidRange"
        yield Problem(kind, problem.message, fields=problem.fields)
    yield from activation_problems(layers)
    yield from chain_problems(layers)


def _rows(dense: Dense, inputs: Any) -> tuple[Rows, bool]:
    dtype = np.dtype(dense.dtype)
    try:
        given = np.asarray(inputs)
    except ValueError as error:  # rows of unequal length
        raise InputError(
            Problem("ShapeMismatch", f"expected rows of one width: {error}")
        ) from error
    if given.dtype.kind not in "biuf":
        message = f"expected numbers, got an array of {given.dtype}"
        raise InputError(Problem("InputType", message))
    with np.errstate(over="ignore", invalid="ignore"):
        # 1e39 is infinity in float32; a signalling NaN is a quiet one
        array = given.astype(dtype, copy=False)
    width = dense.layers[0].input_size
    if array.ndim not in (1, 2) or array.shape[-1] != width or not array.size:
        message = f"expected {width} inputs or rows of {width}, got an array of shape {array.shape}"
        raise InputError(Problem("ShapeMismatch", message, fields={"shape": array.shape}))
    return array.reshape(-1, width), array.ndim == 1


def _layer(dense: Dense, layer: Layer, x: Rows, math: Math) -> Rows:
    weights, bias = dense.matrix(layer), dense.bias(layer)
    if math == "crate":
        return _CRATE[layer.activation](_in_order(weights, bias, x))
    activation = ACTIVATIONS[layer.activation]
    if dense.dtype == "float64":
        sums = _in_order(weights, bias, x)
        return sums if activation is None else activation.float64(sums)
    sums = product(weights, bias, x)
    return sums if activation is None else activation.reference(sums)


def _in_order(weights: Rows, bias: Rows, x: Rows) -> Rows:
    """``bias + w0 x0 + w1 x1 + ...``, every product and every sum rounded."""
    sums = np.broadcast_to(bias, (len(x), len(bias)))
    for column, values in zip(weights.T, x.T, strict=True):
        sums = sums + column * values[:, None]
    return sums
