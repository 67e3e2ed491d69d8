"""What the float32 functions are measured with: samples, float64 references, errors in ulps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LEAST_NORMAL = 2.0**-126
GREATEST = float(np.finfo(np.float32).max)
SOFTPLUS_THRESHOLD = np.float32(13.942385)

BOUNDS = {
    "exp": (0.9, 2.0),
    "ln": (1.1, 2.0),
    "tanh": (1.83, 2.0),
    "erf": (1.5, 2.0),
    "log": (1.1, 2.0),
    "log10": (1.3, 2.0),
    "sigmoid": (2.5, 3.0),
    "softplus": (2.2, 4.0),
    "exp_activation": (0.9, 2.0),
}
"""Ulps: the largest error over all 2^32 arguments whose exact value is a normal float32 number,
rounded up, and what the numerics contract allows."""

GELU_BOUND = 3.1e-7
"""The largest error of GELU over all arguments, divided by max(1, |x|); the contract is 1e-6."""

SOFTMAX_EXP_BOUNDS = 1.2e-7, 4e-7
"""Largest errors of softmax_exp at or below 0: absolute, and relative while e^x is normal."""

THRESHOLDS = (
    *(0.55, 0.57, 1.0, 2.4, 3.87, 3.9, 5.1, 9.01, 9.25, 13.942385),  # where a sequence changes form
    *(80.0, 87.0, 87.33, 88.0, 88.722, 88.73, 89.0, 103.97, 104.0),  # ends of the exponential
    *(1 / 3, 0.3336, 0.6668, 1.3336, 4 / 3, 2.0, math.sqrt(0.5), math.sqrt(2.0)),
    *(math.log(2) * (k + 0.5) for k in range(8)),  # where e^x takes the next power of two
    *(2.0**k for k in (-149, -126, -75, -63, -24, -23, -12, 23, 24, 63, 127)),
)
"""Positive numbers near which a sequence is most likely to go wrong."""


def near(centre: float, reach: int = 64) -> Float32:
    """The float32 numbers within `reach` steps of a positive `centre`, both signs."""
    bits = np.float32(centre).view(np.int32) + np.arange(-reach, reach + 1, dtype=np.int32)
    positive = bits[bits >= 0].view(np.float32)
    return np.concatenate([positive, -positive])


def specials() -> Float32:
    """Zeros, infinities, NaN, the ends of the normal and subnormal numbers, and all thresholds."""
    plain = [0.0, math.inf, math.nan, 2.0**-149, LEAST_NORMAL - 2.0**-149, LEAST_NORMAL, GREATEST]
    fixed = np.array([s * v for v in plain for s in (1, -1)], dtype=np.float32)
    return np.concatenate([fixed, *(near(t) for t in THRESHOLDS)])


def sample(step: int = 4099) -> Float32:
    """Every `step`-th of the 2^32 bit patterns, and the special numbers."""
    patterns = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([patterns.view(np.float32), specials()])


def everything(chunk: int = 2**22) -> Iterator[Float32]:
    """All 2^32 bit patterns in chunks."""
    for start in range(0, 2**32, chunk):
        yield np.arange(start, start + chunk, dtype=np.uint64).astype(np.uint32).view(np.float32)


def same_bits(a: Float32, b: Float32) -> bool:
    """Equal bit for bit, any NaN equal to any NaN."""
    return bool(np.all((a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))))


def ulps(result: Float32, exact: Float64) -> Float64:
    """Error of each result in units of the last place of the exact value, as a float32."""
    exponent = np.maximum(np.frexp(exact)[1], -125)
    with np.errstate(invalid="ignore", over="ignore"):
        error: Float64 = np.ldexp(np.abs(result.astype(np.float64) - exact), 24 - exponent)
    return error


def is_normal(exact: Float64) -> npt.NDArray[np.bool_]:
    """True where the exact value is a normal float32 number."""
    return (np.abs(exact) >= LEAST_NORMAL) & (np.abs(exact) <= GREATEST)


def worst(function: Callable[[Float32], Float32], name: str, x: Float32) -> tuple[float, float]:
    """Largest error in ulps over the normal exact values of ``EXACT[name]``, and where it is."""
    exact = EXACT[name](x)
    counted = is_normal(exact)
    errors = ulps(function(x)[counted], exact[counted])
    if not errors.size:
        return 0.0, math.nan
    at = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    return float(errors[at]), float(x[counted][at])


def softmax_exp_error(function: Callable[[Float32], Float32], x: Float32) -> tuple[float, float]:
    """Largest absolute error at or below 0, and relative one where e^x is normal; NaN left out."""
    x = x[x <= 0]
    exact = np.exp(x.astype(np.float64))
    errors = np.abs(function(x) - exact)
    errors[np.isnan(errors)] = np.inf
    normal = exact >= LEAST_NORMAL
    relative = errors[normal] / exact[normal]
    return float(errors.max(initial=0)), float(relative.max(initial=0))


def _wide(formula: Callable[[Float64], Any]) -> Callable[[Float32], Float64]:
    def exact(x: Float32) -> Float64:
        with np.errstate(all="ignore"):
            return np.asarray(formula(x.astype(np.float64)), dtype=np.float64)

    return exact


def _after_one(formula: Callable[[Float64], Any]) -> Callable[[Float32], Float64]:
    """The formula on the float32 sum x + 1 where x > 0, else 0."""

    def exact(x: Float32) -> Float64:
        with np.errstate(all="ignore"):
            return np.where(x > 0, formula((x + np.float32(1)).astype(np.float64)), 0.0)

    return exact


def _sigmoid(x: Float64) -> Float64:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Float64) -> Float64:
    low = np.where(x < -SOFTPLUS_THRESHOLD, np.exp(x), np.log1p(np.exp(x)))
    return np.where(x > SOFTPLUS_THRESHOLD, x, low)


def _gelu(x: Float64) -> Float64:
    return 0.5 * x * np.asarray(_erfc(-x / math.sqrt(2.0)), dtype=np.float64)


_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)

EXACT: dict[str, Callable[[Float32], Float64]] = {
    "exp": _wide(np.exp),
    "ln": _wide(np.log),
    "tanh": _wide(np.tanh),
    "erf": _wide(_erf),
    "sigmoid": _wide(_sigmoid),
    "softplus": _wide(_softplus),
    "exp_activation": _wide(lambda x: np.exp(np.clip(x, -88.0, 88.0))),
    "log": _after_one(np.log),
    "log10": _after_one(np.log10),
    "gelu": _wide(_gelu),
}
"""Float64 value of each function at float32 arguments."""
