"""NumPy arithmetic: exact fma, float32 everywhere, silent overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ulp_measure import same_bits

from instjit.arithmetic import NumpyArithmetic, fma

M = NumpyArithmetic()
INF, NAN = math.inf, math.nan
TINY = 2.0**-149
GREATEST = float(np.finfo(np.float32).max)
Float32 = npt.NDArray[np.float32]


def f32(*values: float) -> Float32:
    return np.array(values, dtype=np.float32)


def nearest(exact: Fraction) -> float:
    """Round to float32, ties to even, by integer arithmetic only."""
    size = abs(exact)
    if not size:
        return 0.0
    exponent = max(size.numerator.bit_length() - size.denominator.bit_length() - 1, -126)
    if size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    rounded = round(size / unit) * unit  # Fraction rounds half to even
    value = INF if rounded >= Fraction(2) ** 128 else float(rounded)
    return math.copysign(value, exact)


def exact_fma(a: Float32, b: Float32, c: Float32) -> Float32:
    columns = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    return f32(*(nearest(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in columns))


def plain_float64(a: Float32, b: Float32, c: Float32) -> Float32:
    with np.errstate(over="ignore"):
        return (a.astype(np.float64) * b + c).astype(np.float32)


def near_one(count: int) -> tuple[Float32, Float32]:
    """Pairs whose product is 1 but for one part in 2^33 or less."""
    rng = np.random.default_rng(24)
    x = rng.integers(2**23, 2**24, 2**19)
    y = np.rint(2.0**47 / x).astype(np.int64)
    rest = x * y - 2**47
    picked = np.flatnonzero((rest != 0) & (np.abs(rest) < 2**14))[:count]
    return (x[picked] * 2.0**-24).astype(np.float32), (y[picked] * 2.0**-23).astype(np.float32)


def near_midpoints(exponent: int) -> tuple[Float32, Float32, Float32]:
    """Take c with last place 2^exponent, and a * b just about half of that."""
    a, b = near_one(800)
    rng = np.random.default_rng(exponent + 200)
    least = 0 if exponent == -149 else 2**23  # below 2^23 places only subnormal numbers are
    count = rng.integers(least, least + 2**22, len(a)) * rng.choice([-1, 1], len(a))
    half = exponent // 2
    a, b = a * np.float32(2.0**half), b * np.float32(2.0 ** (exponent - 1 - half))
    return a, b, (count * 2.0**exponent).astype(np.float32)


def test_nearest_rounds_like_numpy() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal(2000) * 2.0 ** rng.integers(-155, 126, 2000)
    np.testing.assert_array_equal(f32(*(nearest(Fraction(v)) for v in x)), x.astype(np.float32))


@pytest.mark.parametrize("exponent", [-149, -100, -23, 0, 90])
def test_fma_is_exact_where_plain_float64_lands_on_a_midpoint(exponent: int) -> None:
    a, b, c = near_midpoints(exponent)
    exact = exact_fma(a, b, c)
    assert np.count_nonzero(plain_float64(a, b, c) != exact) >= 350
    assert np.all(np.abs(exact) < 2.0**-126) == (exponent == -149)
    assert same_bits(fma(a, b, c), exact)
    assert same_bits(fma(-a, b, -c), -exact)


@pytest.mark.parametrize("spread", [0, 12, 30, 60])
def test_fma_is_exact_on_random_operands(spread: int) -> None:
    rng = np.random.default_rng(spread)
    a, b, c = (
        (rng.standard_normal(4000) * 2.0 ** rng.integers(-spread, spread + 1, 4000)).astype(
            np.float32
        )
        for _ in range(3)
    )
    c[::3] = (-a[::3].astype(np.float64) * b[::3]).astype(np.float32)  # full cancellation
    b[1::3] = np.round(b[1::3])
    assert same_bits(fma(a, b, c), exact_fma(a, b, c))


def test_fma_is_exact_on_random_subnormal_results() -> None:
    rng = np.random.default_rng(9)
    a, b = ((rng.standard_normal(4000) * 2.0**-68).astype(np.float32) for _ in range(2))
    c = (rng.integers(-5000, 5000, 4000) * TINY).astype(np.float32)
    assert same_bits(fma(a, b, c), exact_fma(a, b, c))


@pytest.mark.parametrize(
    ("a", "b", "c", "wanted"),
    [
        (GREATEST, 1.0, 2.0**103, INF),  # half an ulp above the greatest: a tie, away to infinity
        (GREATEST, 1.0, np.nextafter(np.float32(2.0**103), np.float32(0)), GREATEST),
        (2.0**64, 2.0**64, -GREATEST, 2.0**104),
        (GREATEST, 2.0, -GREATEST, GREATEST),
        (GREATEST, GREATEST, -INF, -INF),
        (INF, 1.0, -INF, NAN),
        (INF, 0.0, 1.0, NAN),
        (INF, 2.0, 1.0, INF),
        (NAN, 1.0, 1.0, NAN),
        (1.0, 1.0, NAN, NAN),
        (0.0, 1.0, -0.0, 0.0),
        (-0.0, 1.0, -0.0, -0.0),
        (1.0, 1.0, -1.0, 0.0),
        (2.0**-149, 0.5, 0.0, 0.0),  # a tie, to even
        (2.0**-149, 0.5, 2.0**-149, 2.0**-148),
        (-(2.0**-100), 2.0**-100, 0.0, -0.0),
    ],
)
def test_fma_special_values(a: float, b: float, c: float, wanted: float) -> None:
    assert same_bits(fma(f32(a), f32(b), f32(c)), f32(wanted))
    scalar = fma(a, b, c)
    assert scalar.dtype == np.float32
    assert scalar.shape == ()


def test_fma_broadcasts() -> None:
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((3, 1, 5), (4, 1), (3, 1, 1)))
    shape = (3, 4, 5)
    wide = [np.broadcast_to(v, shape).ravel() for v in (a, b, c)]
    assert fma(a, b, c).shape == shape
    assert same_bits(fma(a, b, c).ravel(), exact_fma(*wide))


X, Y = f32(1.5, -2.5, 0.1, NAN, -0.0, 3e38), f32(0.5, -2.5, 3.0, 1.0, 0.0, 3e38)


@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (1, 6), (0,)])
@pytest.mark.parametrize(
    "operation",
    [
        *(M.add, M.sub, M.mul, M.div),
        lambda a, b: M.fma(a, b, a),
        lambda a, b: M.sqrt(a),
        lambda a, b: M.rint(a),
        lambda a, b: M.trunc(a),
        lambda a, b: M.neg(a),
        lambda a, b: M.abs(a),
        lambda a, b: M.select(M.lt(a, b), a, M.const(0.1)),
        lambda a, b: M.to_float(M.bits(a)),
        lambda a, b: M.from_bits(M.shl(M.iadd(M.bits(a), M.iconst(7)), 3)),
        lambda a, b: M.mul(a, M.const(1e30)),
    ],
)
def test_float_results_are_float32(operation: Callable[..., Any], shape: tuple[int, ...]) -> None:
    a = np.resize(X, shape) if shape != (0,) else X[:0]
    b = np.resize(Y, shape) if shape != (0,) else Y[:0]
    result = operation(a, b)
    assert result.dtype == np.float32
    assert result.shape == shape


def test_integer_results_wrap_as_int32() -> None:
    top = M.iconst(2**31 - 1)
    cases = [
        (M.iadd(top, M.iconst(1)), -(2**31)),
        (M.isub(M.iconst(-(2**31)), M.iconst(1)), 2**31 - 1),
        (M.iand(M.iconst(-1), M.iconst(0x0FF0)), 0x0FF0),
        (M.ior(M.iconst(-(2**31)), M.iconst(1)), 1 - 2**31),
        (M.shl(M.iconst(3), 31), -(2**31)),
        (M.shr(M.iconst(-5), 1), -3),
        (M.bits(M.const(1.0)), 0x3F800000),
    ]
    for result, wanted in cases:
        assert result.dtype == np.int32
        assert int(result) == wanted


def test_to_int_truncates() -> None:
    x = f32(0.9, -0.9, 1.5, -1.5, 2147483520.0, -2147483648.0, -0.0)
    assert M.to_int(x).tolist() == [0, 0, 1, -1, 2147483520, -(2**31), 0]
    assert M.to_int(x).dtype == np.int32


@pytest.mark.parametrize(
    ("compare", "wanted"),
    [
        (M.lt, [True, False, False, False, False]),
        (M.le, [True, True, False, False, True]),
        (M.gt, [False, False, True, False, False]),
        (M.ge, [False, True, True, False, True]),
        (M.eq, [False, True, False, False, True]),
    ],
)
def test_comparisons_are_ordered(compare: Callable[..., Any], wanted: list[bool]) -> None:
    a, b = f32(1, 2, 3, NAN, -0.0), f32(2, 2, 2, NAN, 0.0)
    assert compare(a, b).tolist() == wanted
    assert M.isnan(a).tolist() == [False, False, False, True, False]


def test_rounding_operations_keep_the_sign_of_zero() -> None:
    x = f32(-0.3, 0.5, 1.5, -2.5)
    assert same_bits(M.rint(x), f32(-0.0, 0.0, 2.0, -2.0))
    assert same_bits(M.trunc(x), f32(-0.0, 0.0, 1.0, -2.0))
    assert same_bits(M.neg(f32(0.0, INF)), f32(-0.0, -INF))
    assert same_bits(M.abs(f32(-0.0, -INF)), f32(0.0, INF))


def test_overflow_and_invalid_operations_are_silent() -> None:
    top = M.const(GREATEST)
    assert M.mul(top, top) == INF
    assert M.add(top, top) == INF
    assert np.isnan(M.sub(M.const(INF), M.const(INF)))
    assert M.div(M.const(1.0), M.const(0.0)) == INF
    assert np.isnan(M.sqrt(M.const(-1.0)))
