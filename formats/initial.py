"""First weights of dense networks, as the Rust crate draws them; and its sample network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from instjit.counted import shown, whole
from instjit.errors import InputError, Problem
from instjit.formats import crate_math
from instjit.formats.dense import U32_MAX, Dense, DenseActivation, element_type
from instjit.formats.dense_sizes import contiguous, validate_topology

Kind = Literal["zeros", "constant", "xavier", "he"]

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_DOUBLE_SEED = 0xC6A4A7935BD1E995
"""What the crate adds to the seed of float64 weights."""
_BITS = {"float32": 24, "float64": 53}


def split_mix(seed: int, count: int) -> npt.NDArray[np.uint64]:
    """The first ``count`` numbers of SplitMix64."""
    steps = np.arange(1, count + 1, dtype=np.uint64)
    state = np.uint64(seed & _MASK) + steps * np.uint64(_GOLDEN)  # modulo 2^64, as arrays wrap
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return result


def uniform(words: npt.NDArray[np.uint64], dtype: str) -> npt.NDArray[Any]:
    """Numbers in [0, 1) from the top bits: 24 for float32, 53 for float64; all of them exact."""
    bits = _BITS[dtype]
    top = (words >> np.uint64(64 - bits)).astype(np.float64)
    result: npt.NDArray[Any] = (top / 2.0**bits).astype(dtype)
    return result


def initial(
    topology: Iterable[int],
    kind: Kind = "xavier",
    *,
    seed: int = 0,
    value: float = 0.0,
    hidden: DenseActivation | str = DenseActivation.RELU,
    output: DenseActivation | str = DenseActivation.IDENTITY,
    dtype: str = "float32",
) -> Dense:
    """A network of these widths with first weights; its biases are 0.

    Parameters
    ----------
    topology
        Widths, the input first, of at most 2^32 - 1 weights: no file holds more.
    kind
        "zeros"; "constant": every weight is ``value``; "xavier": uniform within
        sqrt(6 / (inputs + outputs)); "he": uniform within sqrt(6 / inputs).
    seed
        Of "xavier" and "he", modulo 2^64: the same seed draws the same weights, in the crate too.
    value
        Of "constant"; it is rounded to the dtype.
    hidden, output
        Activation of all layers but the last, and of the last.
    dtype
        "float32" or "float64", which draws other weights.

    Raises
    ------
    InputError
        InvalidShape (the topology), NonFinite (the value, once it is rounded, or what is no
        number), InvalidSeed, InvalidActivation, InvalidDtype, InvalidInitializer.
    """
    widths = validate_topology(topology, "InvalidShape")
    layers = contiguous(widths, hidden, output)
    number = element_type(dtype).type
    if not isinstance(kind, str) or kind not in get_args(Kind):
        message = f"expected one of {', '.join(get_args(Kind))}, got {shown(kind)}"
        raise InputError(Problem("InvalidInitializer", message))
    count = sum(layer.weights for layer in layers)
    if count > U32_MAX:
        message = f"topology: takes more than {U32_MAX:,} weights, which no file holds"
        raise InputError(Problem("InvalidShape", message, fields={"max": U32_MAX}))
    if kind in ("zeros", "constant"):
        weights = np.full(count, _constant(value, number) if kind == "constant" else 0, number)
    else:
        weights = _drawn(widths, kind, _seed(seed), dtype)
    return Dense.of(layers, weights, np.zeros(sum(widths[1:]), number), dtype)


def sample(dtype: str = "float32") -> Dense:
    """The network of the crate's first lines of documentation: y = 2 x0 - x1 + 0.5."""
    layers = contiguous([2, 1], output=DenseActivation.IDENTITY)
    return Dense.of(layers, [2.0, -1.0], [0.5], dtype)


def _constant(value: Any, number: type[Any]) -> Any:
    """The value in the dtype: what is finite there, not what was so before."""
    rounded = number(math.nan)
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            with np.errstate(over="ignore"):
                rounded = number(float(value))
        except OverflowError:  # an integer that no float holds
            pass
    if not math.isfinite(rounded):
        message = f"value: expected a finite {number.__name__}, got {shown(value)}"
        raise InputError(Problem("NonFinite", message))
    return rounded


def _seed(seed: Any) -> int:
    try:
        return whole(seed)
    except TypeError as error:
        message = f"seed: expected an integer, got {shown(seed)}"
        raise InputError(Problem("InvalidSeed", message)) from error


def _drawn(widths: tuple[int, ...], kind: Kind, seed: int, dtype: str) -> npt.NDArray[Any]:
    number = element_type(dtype).type
    count = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    start = seed if dtype == "float32" else seed + _DOUBLE_SEED
    numbers = uniform(split_mix(start, count), dtype)
    weights: npt.NDArray[Any] = number(2) * numbers - number(1)  # exact
    place = 0
    for inputs, outputs in pairwise(widths):
        fan = inputs + outputs if kind == "xavier" else inputs
        limit = crate_math.sqrt(np.array([number(6) / number(fan)], number))
        weights[place : place + inputs * outputs] *= limit
        place += inputs * outputs
    return weights
