"""Scalar functions, each one fixed sequence of float32 operations over an `Arithmetic`.

The same sequence runs in NumPy, in LLVM vectors and in every later back end, so a result has the
same bits everywhere. Sequences are straight lines: no calls, no branches, at most one division.
Every polynomial is a minimax fit of the relative error (absolute for GELU) whose coefficients were
rounded to float32 one after the other, lowest power first, with a new fit of the rest each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .arithmetic import Arithmetic, B, F, I

__all__ = ["FUNCTIONS", "Function"]


@dataclass(frozen=True, slots=True)
class Function:
    """A named sequence.

    Attributes
    ----------
    name : what expression trees call it.
    arity : number of float32 operands.
    sequence : called as ``sequence(m, *operands)``; returns a float32 value of arithmetic ``m``.
    cost : operations of one evaluation; constants and bit casts count nothing.
    """

    name: str
    arity: int
    sequence: Callable[..., Any]
    cost: int


_LOG2_E = 1.442695
_LN2_HIGH, _LN2_LOW = 0.6931472, -1.9046542e-9
_LOG10_E = 0.4342945
_LOG10_2_HIGH, _LOG10_2_LOW = 0.30103, -1.4320989e-8
_ERF_CLAMP, _GELU_CLAMP = 3.9, 5.1
_ROUND = 12582912.0
"""1.5 * 2^23: a float32 of this size has a last bit worth 1, so adding it rounds to an integer."""

# e^r on |r| <= ln(2)/2, highest power first; relative error 3.1e-9.
_EXP = (0.0013820895, 0.008368671, 0.041668262, 0.16666521, 0.49999994, 1.0, 1.0)
# The same in five steps; relative error 9.2e-8.
_SOFTMAX_EXP = (0.008289718, 0.04189784, 0.16667648, 0.4999915, 0.9999997, 1.0)
# 2 e^-r, exactly.
_TWICE_EXP_NEG = tuple(-2 * c if k % 2 else 2 * c for k, c in enumerate(_EXP))
# (ln(1+f) - f) / f^2 on -0.3332 <= f <= 0.3336; relative error of the logarithm 2.6e-8.
_LN = (
    0.1397414,
    -0.15388392,
    0.14008012,
    -0.16415776,
    0.2001024,
    -0.25007856,
    0.3333322,
    -0.49999934,
)
# (log10(1+f) - f * float32(log10 e)) / f^2 on the same; relative error 3.1e-8.
_LOG10 = (
    0.06116384,
    -0.06634308,
    0.060675006,
    -0.07139749,
    0.08692184,
    -0.108600944,
    0.14476353,
    -0.21714708,
)
# (ln(1+e) - e) / e^2 on 0 <= e <= 1; relative error of the logarithm 3.3e-8.
_LOG1P = (
    0.0053654225,
    -0.0300683,
    0.07920883,
    -0.13754188,
    0.19153848,
    -0.24857217,
    0.3332133,
    -0.49999648,
)
# (tanh(x) / x - 1) / x^2 in x^2 on |x| <= 0.57; relative error of tanh 5.2e-8.
_TANH_SMALL = (0.016110923, -0.052499432, 0.13318035, -0.3333283)
# e^2r on |r| <= ln(2)/4, fitted to the error of 1 - 2 / (e^2t + 1), t >= 0.57: that is 2.6e-8.
_EXP_TWICE = (0.2650802, 0.67027557, 1.3334209, 1.9999684, 1.9999993, 1.0)
# (erf(x) / x - 1) in x^2 on |x| <= 1; relative error of erf 4.1e-8.
_ERF_SMALL = (-0.0005619973, 0.004914916, -0.026709218, 0.112801135, -0.3761232, 0.12837912)
# erf(t) in t - 2.4 on 1 <= t <= 3.87; relative error 3.3e-8.
_ERF_LARGE = (
    -9.077535e-06,
    3.197973e-05,
    3.247648e-05,
    -0.00032716754,
    0.0005618725,
    0.000234056,
    -0.0031128502,
    0.007894229,
    -0.012107284,
    0.0124678705,
    -0.00853485,
    0.0035556888,
    0.9993115,
)
# erf(x / sqrt 2) / (2 x) in x^2 - 13 on |x| <= 5.1; absolute error of half the erf 2.0e-7.
_GELU = (
    3.323872e-17,
    -1.1458646e-15,
    1.525017e-14,
    -2.819493e-13,
    8.72717e-12,
    -1.9460125e-10,
    3.5945256e-09,
    -6.447768e-08,
    1.1110317e-06,
    -1.8311775e-05,
    0.00030052732,
    -0.0053088777,
    0.13863184,
)
_INF = float("inf")
_LEAST_NORMAL = 2.0**-126


def _horner(m: Arithmetic[F, I, B], x: F, coefficients: tuple[float, ...]) -> F:
    """Polynomial with the coefficient of the highest power first."""
    total = m.const(coefficients[0])
    for coefficient in coefficients[1:]:
        total = m.fma(total, x, m.const(coefficient))
    return total


def _at_least(m: Arithmetic[F, I, B], x: F, low: float) -> F:
    """max(x, low); NaN passes."""
    return maximum(m, x, m.const(low))


def _at_most(m: Arithmetic[F, I, B], x: F, high: float) -> F:
    """min(x, high); NaN passes."""
    return minimum(m, x, m.const(high))


# Arithmetic


def add(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`a + b`."""
    return m.add(a, b)


def sub(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`a - b`."""
    return m.sub(a, b)


def mul(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`a * b`."""
    return m.mul(a, b)


def div(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`a / b`."""
    return m.div(a, b)


def maximum(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`b` where a < b, else `a`: a NaN in `a` stays, one in `b` is passed over."""
    return m.select(m.lt(a, b), b, a)


def minimum(m: Arithmetic[F, I, B], a: F, b: F) -> F:
    """`b` where a > b, else `a`: a NaN in `a` stays, one in `b` is passed over."""
    return m.select(m.gt(a, b), b, a)


# Exponentials


def _two_to(m: Arithmetic[F, I, B], biased: I) -> F:
    """2^n from an integer whose low nine bits are n + 127."""
    return m.from_bits(m.shl(biased, 23))


def _exp(m: Arithmetic[F, I, B], x: F) -> F:
    """e^x for -104 <= x <= 89.3, also where the result is subnormal or overflows.

    n = rint(x / ln 2) sits in the low bits of x / ln 2 + 1.5 * 2^23. The factor 2^n is applied in
    two steps, 2^floor(n/2) and the rest, so that each is a normal number and only the last rounds.
    """
    shift = m.const(_ROUND + 2 * 127)
    shifted = m.fma(x, m.const(_LOG2_E), shift)
    n = m.sub(shifted, shift)
    r = m.fma(n, m.const(-_LN2_HIGH), x)
    r = m.fma(n, m.const(-_LN2_LOW), r)
    both = m.bits(shifted)
    half = m.shr(both, 1)
    scaled = m.mul(_horner(m, r, _EXP), _two_to(m, half))
    return m.mul(scaled, _two_to(m, m.isub(both, half)))


def exp(m: Arithmetic[F, I, B], x: F) -> F:
    """e^x."""
    # e^-104 is below half the least subnormal, e^89 above the greatest float32.
    return _exp(m, _at_most(m, _at_least(m, x, -104.0), 89.0))


def exp_activation(m: Arithmetic[F, I, B], x: F) -> F:
    """EXP: e^x with x clamped to -88 .. 88."""
    return _exp(m, _at_most(m, _at_least(m, x, -88.0), 88.0))


def softmax_exp(m: Arithmetic[F, I, B], x: F) -> F:
    """e^x for x <= 0; 0 where x is below -87.68. A NaN stays, the rest above 0 has no meaning.

    What softmax takes of a number less the largest: the relative error grows to 4e-7 at the lower
    end, because ln 2 is one float32 number here, but that is below 1.2e-7 of the largest, 1.
    """
    # -88 / ln 2 rounds to n = -127, whose factor is +0; for all others 2^n is normal.
    x = _at_least(m, x, -88.0)
    shift = m.const(_ROUND + 127)
    shifted = m.fma(x, m.const(_LOG2_E), shift)
    r = m.fma(m.sub(shifted, shift), m.const(-_LN2_HIGH), x)
    return m.mul(_horner(m, r, _SOFTMAX_EXP), _two_to(m, m.bits(shifted)))


def sigmoid(m: Arithmetic[F, I, B], x: F) -> F:
    """1 / (1 + e^-x); 0 where e^-x overflows, below -88.72."""
    # e^-x = (2 e^-r) * 2^(n-1): with n from -115 to 128 one factor is enough.
    x = _at_most(m, _at_least(m, x, -89.0), 80.0)
    shift = m.const(_ROUND + 127 - 1)
    shifted = m.fma(x, m.const(-_LOG2_E), shift)
    n = m.sub(shifted, shift)
    r = m.fma(n, m.const(_LN2_HIGH), x)
    r = m.fma(n, m.const(_LN2_LOW), r)
    e = m.mul(_horner(m, r, _TWICE_EXP_NEG), _two_to(m, m.bits(shifted)))
    one = m.const(1.0)
    return m.div(one, m.add(one, e))


def softplus(m: Arithmetic[F, I, B], x: F) -> F:
    """ln(1 + e^x), but x above and e^x below the thresholds +-13.942385 (= -(ln eps + 2))."""
    minus = m.neg(m.abs(x))
    e = _exp(m, _at_least(m, minus, -104.0))
    log = m.fma(m.mul(e, e), _horner(m, e, _LOG1P), e)
    smooth = m.add(_at_least(m, x, 0.0), log)
    low = m.select(m.lt(x, m.const(-13.942385)), e, smooth)
    return m.select(m.gt(x, m.const(13.942385)), x, low)


# Saturating functions


def _with_sign(m: Arithmetic[F, I, B], value: F, x: F) -> F:
    """`value`, not negative, with the sign of `x`."""
    sign = m.iand(m.bits(x), m.iconst(-(2**31)))
    return m.from_bits(m.ior(m.bits(value), sign))


def tanh(m: Arithmetic[F, I, B], x: F) -> F:
    """Hyperbolic tangent: 1 - 2 / (e^2t + 1) of t = |x|, a polynomial below 0.57."""
    t = m.abs(x)
    capped = _at_most(m, t, 9.25)  # from 9.011 on the result is 1
    shift = m.const(_ROUND + 127)
    shifted = m.fma(capped, m.const(2 * _LOG2_E), shift)
    r = m.fma(m.sub(shifted, shift), m.const(-_LN2_HIGH / 2), capped)
    e = m.mul(_horner(m, r, _EXP_TWICE), _two_to(m, m.bits(shifted)))
    one = m.const(1.0)
    large = m.sub(one, m.div(m.const(2.0), m.add(e, one)))
    s = m.mul(t, t)
    small = m.fma(m.mul(s, _horner(m, s, _TANH_SMALL)), t, t)
    return _with_sign(m, m.select(m.lt(t, m.const(0.57)), small, large), x)


def erf(m: Arithmetic[F, I, B], x: F) -> F:
    """Error function; exactly +-1 from the clamp on."""
    t = m.abs(x)
    small = m.fma(_horner(m, m.mul(t, t), _ERF_SMALL), t, t)
    u = m.sub(_at_most(m, t, _ERF_CLAMP), m.const(2.4))
    large = _horner(m, u, _ERF_LARGE)
    return _with_sign(m, m.select(m.lt(t, m.const(1.0)), small, large), x)


def gelu(m: Arithmetic[F, I, B], x: F) -> F:
    """GELU: x (1 + erf(x / sqrt 2)) / 2; the half erf is exactly +-1/2 from the clamp on.

    So large negative x give -0 or 0, and minus infinity NaN.
    """
    c = _at_most(m, _at_least(m, x, -_GELU_CLAMP), _GELU_CLAMP)
    half = m.mul(c, _horner(m, m.fma(c, c, m.const(-13.0)), _GELU))
    return m.fma(x, half, m.mul(x, m.const(0.5)))


# Logarithms


def _split(m: Arithmetic[F, I, B], x: F) -> tuple[F, F]:
    """Split into k * 2^23 and f, x = 2^k (1 + f), where 0.6668 <= 1 + f < 1.3336; `x` is normal."""
    bits = m.bits(x)
    # 0x3f2ab368 is 0.6668: log10 then cancels only from 1.3336 on, where it is above 1/8 and has
    # coarser ulps. The mask keeps the exponent field.
    k = m.iand(m.isub(bits, m.iconst(0x3F2AB368)), m.iconst(-(1 << 23)))
    f = m.sub(m.from_bits(m.isub(bits, k)), m.const(1.0))
    return m.to_float(k), f


def ln(m: Arithmetic[F, I, B], x: F) -> F:
    """Natural logarithm; minus infinity at 0, NaN below."""
    tiny = m.lt(x, m.const(_LEAST_NORMAL))
    k, f = _split(m, m.select(tiny, m.mul(x, m.const(2.0**23)), x))
    k = m.fma(k, m.const(2.0**-23), m.select(tiny, m.const(-23.0), m.const(0.0)))
    log = m.fma(m.mul(f, f), _horner(m, f, _LN), f)
    log = m.fma(k, m.const(_LN2_HIGH), log)
    zero = m.const(0.0)
    positive = m.select(m.lt(x, m.const(_INF)), log, x)
    below = m.select(m.lt(x, zero), m.const(float("nan")), positive)
    return m.select(m.eq(x, zero), m.const(-_INF), below)


def log(m: Arithmetic[F, I, B], x: F) -> F:
    """LOG: ln(x + 1) of the float32 sum where x > 0, else 0; NaN gives 0."""
    y = m.add(x, m.const(1.0))
    k, f = _split(m, y)
    log = m.fma(m.mul(f, f), _horner(m, f, _LN), f)
    log = m.fma(k, m.const(_LN2_HIGH * 2.0**-23), log)
    return _gate(m, x, m.select(m.lt(y, m.const(_INF)), log, y))


def log10(m: Arithmetic[F, I, B], x: F) -> F:
    """LOG10: log10(x + 1) of the float32 sum where x > 0, else 0; NaN gives 0."""
    y = m.add(x, m.const(1.0))
    k, f = _split(m, y)
    log = m.mul(m.mul(f, f), _horner(m, f, _LOG10))
    log = m.fma(k, m.const(_LOG10_2_LOW * 2.0**-23), log)
    log = m.fma(f, m.const(_LOG10_E), log)
    log = m.fma(k, m.const(_LOG10_2_HIGH * 2.0**-23), log)
    return _gate(m, x, m.select(m.lt(y, m.const(_INF)), log, y))


# Gates and the rest


def _gate(m: Arithmetic[F, I, B], x: F, value: F) -> F:
    """`value` where x > 0, else +0; so NaN and -0 give +0."""
    zero = m.const(0.0)
    return m.select(m.gt(x, zero), value, zero)


def relu(m: Arithmetic[F, I, B], x: F) -> F:
    """RELU: x where x > 0, else +0."""
    return _gate(m, x, x)


def sqrt(m: Arithmetic[F, I, B], x: F) -> F:
    """SQRT: square root where x > 0, else +0."""
    return _gate(m, x, m.sqrt(x))


def inverse(m: Arithmetic[F, I, B], x: F) -> F:
    """INVERSE: 1 - x."""
    return m.sub(m.const(1.0), x)


def sign(m: Arithmetic[F, I, B], x: F) -> F:
    """SIGN: -1, +0 or 1; NaN stays."""
    zero = m.const(0.0)
    # x - x is +0 for either zero and NaN for NaN.
    rest = m.select(m.lt(x, zero), m.const(-1.0), m.sub(x, x))
    return m.select(m.gt(x, zero), m.const(1.0), rest)


FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("add", 2, add, 1),
        Function("sub", 2, sub, 1),
        Function("mul", 2, mul, 1),
        Function("div", 2, div, 1),
        Function("max", 2, maximum, 2),
        Function("min", 2, minimum, 2),
        Function("maximum", 2, maximum, 2),
        Function("relu", 1, relu, 2),
        Function("sigmoid", 1, sigmoid, 18),
        Function("tanh", 1, tanh, 26),
        Function("sqrt", 1, sqrt, 3),
        Function("log", 1, log, 20),
        Function("log10", 1, log10, 22),
        Function("inverse", 1, inverse, 1),
        Function("gelu", 1, gelu, 20),
        Function("softplus", 1, softplus, 36),
        Function("exp_activation", 1, exp_activation, 20),
        Function("sign", 1, sign, 5),
        Function("exp", 1, exp, 20),
        Function("softmax_exp", 1, softmax_exp, 12),
        Function("ln", 1, ln, 26),
        Function("erf", 1, erf, 27),
    )
}
"""Every function by the name that expression trees use."""
