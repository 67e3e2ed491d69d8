"""Elementary functions as the Rust crate `native_neural_network` approximates them, in float32.

The crate runs without a standard library and brings its own short series. They are worse than
``instjit.functions`` (exp is off by up to 9e-5, cos near pi by 0.2) and serve one purpose: to get
the very numbers that a program with the crate gets. Every function takes and returns a float32
array; one rounding for each operation that is written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray

_F = np.float32
_LOG2_E, _LN_2, _TAU = _F(1.44269504088896), _F(0.693147180559945), _F(6.28318530717959)
_MOST = _F(88)
_NAN, _INF, _ONE, _ZERO = _F("nan"), _F("inf"), _F(1), _F(0)
_LEAST_NORMAL = 2.0**-126
_MANTISSA, _BIAS = 23, 127

_ROOTS: dict[np.dtype[Any], tuple[Any, Any]] = {
    np.dtype(np.float32): (np.uint32, np.uint32(0x5F3759DF)),
    np.dtype(np.float64): (np.uint64, np.uint64(0x5FE6EC85E7DE30DA)),
}


def sqrt(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Square root by two Newton steps from a guess in the bits: off by up to 5e-6.

    Of float32, or of float64 with no better result.
    """
    word, magic = _ROOTS[x.dtype]
    number = x.dtype.type
    with np.errstate(all="ignore"):
        root = (magic - (np.atleast_1d(x).view(word) >> word(1))).view(x.dtype).reshape(x.shape)
        half = number(0.5) * x
        for _ in range(2):
            root = root * (number(1.5) - half * root * root)
        found = np.where(x > 0, x * root, number("nan"))
    result: npt.NDArray[Any] = np.where(x == 0, number(0), found)
    return result


def exp(x: FloatArray) -> FloatArray:
    """e^x for x within +-88, beyond which it stays what it is there; NaN passes."""
    with np.errstate(all="ignore"):
        bounded = np.clip(x, -_MOST, _MOST)
        twos = np.floor(bounded * _LOG2_E)
        r = bounded - twos * _LN_2
        r2 = r * r
        r3 = r2 * r
        r4 = r3 * r
        series = _ONE + r + r2 / _F(2) + r3 / _F(6) + r4 / _F(24) + r4 * r / _F(120)
        scaled = np.ldexp(series.astype(np.float64), np.nan_to_num(twos).astype(np.int32))
        flushed = np.where(scaled < _LEAST_NORMAL, 0.0, scaled)
    result: FloatArray = flushed.astype(np.float32)
    return result


def ln(x: FloatArray) -> FloatArray:
    """Logarithm: four terms of a series in (m - 1) / (m + 1); NaN at 0 and below."""
    bits = np.atleast_1d(x).view(np.int32).reshape(x.shape)
    exponent = ((bits >> _MANTISSA) - _BIAS).astype(np.float32)
    fraction = (bits & 0x7FFFFF) | (_BIAS << _MANTISSA)
    m = np.atleast_1d(fraction.astype(np.int32)).view(np.float32).reshape(x.shape)
    with np.errstate(all="ignore"):
        y = (m - _ONE) / (m + _ONE)
        y2 = y * y
        y3 = y2 * y
        y5 = y3 * y2
        series = y + y3 / _F(3) + y5 / _F(5) + y5 * y2 / _F(7)
        result: FloatArray = np.where(x > 0, _F(2) * series + exponent * _LN_2, _NAN)
    return result


def power(x: FloatArray, y: FloatArray) -> FloatArray:
    """x^y as exp(y ln x); NaN below 0, unless y is 0."""
    with np.errstate(all="ignore"):
        of_zero = np.where(y > 0, _ZERO, _INF)
        result = np.where(x < 0, _NAN, exp(y * ln(x)))
    result = np.where(x == 0, of_zero, result)
    result = np.where((x == 1) | (y == 0), _ONE, result)
    final: FloatArray = np.where(np.isnan(x) | np.isnan(y), _NAN, result)
    return final


def rounded(x: FloatArray) -> FloatArray:
    """Whole numbers by way of int32: half away from zero, saturated, NaN as 0."""
    bounds = np.iinfo(np.int32)
    with np.errstate(all="ignore"):
        away = np.trunc(x + np.copysign(_F(0.5), x)).astype(np.float64)
    whole = np.clip(np.where(np.isnan(away), 0.0, away), bounds.min, bounds.max)
    result: FloatArray = whole.astype(np.float32)
    return result


def sin(x: FloatArray) -> FloatArray:
    """Sine by four terms of its series over half a turn to both sides."""
    with np.errstate(all="ignore"):
        r = _reduced(x)
        r2 = r * r
        r3 = r2 * r
        r5 = r3 * r2
        result: FloatArray = r - r3 / _F(6) + r5 / _F(120) - r5 * r2 / _F(5040)
    return result


def cos(x: FloatArray) -> FloatArray:
    """Cosine by four terms of its series over half a turn to both sides."""
    with np.errstate(all="ignore"):
        r = _reduced(x)
        r2 = r * r
        r4 = r2 * r2
        result: FloatArray = _ONE - r2 / _F(2) + r4 / _F(24) - r4 * r2 / _F(720)
    return result


def tanh(x: FloatArray) -> FloatArray:
    """Hyperbolic tangent from e^2x."""
    with np.errstate(all="ignore"):
        squared = exp(x + x)
        result: FloatArray = (squared - _ONE) / (squared + _ONE)
    return result


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + e^-x), from the e^ that is below 1."""
    with np.errstate(all="ignore"):
        positive = _ONE / (_ONE + exp(-x))
        small = exp(x)
        result: FloatArray = np.where(x >= 0, positive, small / (_ONE + small))
    return result


def relu(x: FloatArray) -> FloatArray:
    """The number where it is above 0, else 0; NaN gives 0."""
    with np.errstate(invalid="ignore"):
        result: FloatArray = np.where(x > 0, x, _ZERO)
    return result


def _reduced(x: FloatArray) -> FloatArray:
    result: FloatArray = x - rounded(x / _TAU) * _TAU
    return result
