"""The fixed sequences: accuracy in ulps, special values, cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ulp_measure import (
    BOUNDS,
    EXACT,
    GELU_BOUND,
    GREATEST,
    SOFTMAX_EXP_BOUNDS,
    near,
    same_bits,
    sample,
    softmax_exp_error,
    worst,
)

from instjit.arithmetic import NumpyArithmetic
from instjit.functions import FUNCTIONS

M = NumpyArithmetic()
INF, NAN = math.inf, math.nan
TINY = 2.0**-149
Float32 = npt.NDArray[np.float32]


def f32(*values: float) -> Float32:
    return np.array(values, dtype=np.float32)


def apply(name: str, *operands: Float32) -> Float32:
    result: Float32 = np.asarray(FUNCTIONS[name].sequence(M, *operands))
    return result


@pytest.fixture(scope="module")
def arguments() -> Float32:
    return sample()


@pytest.mark.parametrize("name", BOUNDS)
def test_error_in_ulps(name: str, arguments: Float32) -> None:
    bound, contract = BOUNDS[name]
    assert bound <= contract
    error, at = worst(lambda x: apply(name, x), name, arguments)
    assert error <= bound, f"{name}({at!r}) is {error:.3f} ulp off"


def test_gelu_is_within_a_third_of_its_bound(arguments: Float32) -> None:
    x = arguments[np.isfinite(arguments)]
    error = np.abs(apply("gelu", x) - EXACT["gelu"](x)) / np.maximum(1.0, np.abs(x))
    assert error.max() <= GELU_BOUND <= 1e-6 / 3


def test_softmax_exp_is_within_its_bounds(arguments: Float32) -> None:
    absolute, relative = softmax_exp_error(lambda x: apply("softmax_exp", x), arguments)
    assert absolute <= SOFTMAX_EXP_BOUNDS[0] <= 1e-6 / 8
    assert relative <= SOFTMAX_EXP_BOUNDS[1]


def test_softmax_exp_is_zero_where_the_power_of_two_is_no_normal_number() -> None:
    x = near(126.5 * math.log(2.0))
    result = apply("softmax_exp", x[x < 0])
    assert set(np.unique(result > 0)) == {False, True}
    assert (np.diff((result > 0)[np.argsort(x[x < 0])].astype(int)) >= 0).all()
    assert result[result > 0].min() == pytest.approx(8.312e-39, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("exp", -87.5, 9.9824e-39),
        ("exp", -100.0, 3.7835e-44),
        ("exp_activation", -88.0, 6.0546e-39),
        ("exp_activation", -300.0, 6.0546e-39),
        ("exp_activation", 300.0, 1.6516363e38),
        ("softplus", -95.0, 5.5211e-42),
    ],
)
def test_subnormal_and_clamped_exponentials(name: str, x: float, wanted: float) -> None:
    result = apply(name, f32(x))
    assert abs(float(result[0]) - float(EXACT[name](f32(x))[0])) <= max(TINY, 1e-7 * wanted)
    assert float(result[0]) == pytest.approx(wanted, rel=1e-3, abs=TINY)


def test_subnormal_results_are_within_one_step() -> None:
    x = np.linspace(-103.9, -87.34, 20001).astype(np.float32)
    assert np.abs(apply("exp", x) - EXACT["exp"](x)).max() <= TINY
    assert np.abs(apply("softplus", x) - EXACT["softplus"](x)).max() <= TINY


SPECIAL = [
    ("exp", [-INF, -104.5, -0.0, 0.0, 88.8, INF, NAN], [0, 0, 1, 1, INF, INF, NAN]),
    ("softmax_exp", [-INF, -1e30, -88.0, -87.7, -0.0, 0.0, NAN], [0, 0, 0, 0, 1, 1, NAN]),
    ("ln", [-INF, -TINY, -0.0, 0.0, 1.0, INF, NAN], [NAN, NAN, -INF, -INF, 0, INF, NAN]),
    ("tanh", [-INF, -9.1, -TINY, -0.0, 0.0, 9.1, INF, NAN], [-1, -1, -TINY, -0.0, 0, 1, 1, NAN]),
    ("erf", [-INF, -4.0, -0.0, 0.0, 4.0, INF, NAN], [-1, -1, -0.0, 0, 1, 1, NAN]),
    ("sigmoid", [-INF, -100.0, -0.0, 0.0, 20.0, INF, NAN], [0, 0, 0.5, 0.5, 1, 1, NAN]),
    ("relu", [-INF, -1.0, -0.0, 0.0, 2.0, INF, NAN], [0, 0, 0, 0, 2, INF, 0]),
    ("sqrt", [-INF, -1.0, -0.0, 0.0, 4.0, INF, NAN], [0, 0, 0, 0, 2, INF, 0]),
    ("log", [-INF, -1.0, -0.0, 0.0, 1e-30, INF, NAN], [0, 0, 0, 0, 0, INF, 0]),
    ("log10", [-INF, -1.0, -0.0, 0.0, 1e-30, 9.0, INF, NAN], [0, 0, 0, 0, 0, 1, INF, 0]),
    ("inverse", [-INF, 3.0, -0.0, 1.0, INF, NAN], [INF, -2, 1, 0, -INF, NAN]),
    ("gelu", [-INF, -20.0, -0.0, 0.0, 20.0, INF, NAN], [NAN, 0, 0, 0, 20, INF, NAN]),
    ("softplus", [-INF, -200.0, 13.95, 1e30, INF, NAN], [0, 0, 13.95, 1e30, INF, NAN]),
    ("sign", [-INF, -TINY, -0.0, 0.0, TINY, INF, NAN], [-1, -1, 0, 0, 1, 1, NAN]),
    ("exp_activation", [-0.0, 0.0, NAN], [1, 1, NAN]),
]


@pytest.mark.parametrize(("name", "x", "wanted"), SPECIAL, ids=[row[0] for row in SPECIAL])
def test_special_values(name: str, x: list[float], wanted: list[float]) -> None:
    result = apply(name, f32(*x))
    assert same_bits(result, f32(*wanted)), result


@pytest.mark.parametrize(
    ("name", "a", "b", "wanted"),
    [
        ("add", 1.5, 2.0, 3.5),
        ("sub", 1.5, 2.0, -0.5),
        ("mul", 1.5, -2.0, -3.0),
        ("div", 1.0, -0.0, -INF),
        ("max", 1.0, 2.0, 2.0),
        ("max", 2.0, 1.0, 2.0),
        ("max", NAN, 1.0, NAN),
        ("max", 1.0, NAN, 1.0),
        ("max", -0.0, 0.0, -0.0),  # equal: the first stays
        ("min", 1.0, 2.0, 1.0),
        ("min", 2.0, 1.0, 1.0),
        ("min", NAN, 1.0, NAN),
        ("min", 1.0, NAN, 1.0),
        ("min", 0.0, -0.0, 0.0),
        ("maximum", -INF, -INF, -INF),
        ("maximum", NAN, -INF, NAN),
        ("maximum", -3.0, -INF, -3.0),
        ("maximum", -3.0, -2.0, -2.0),
    ],
)
def test_binary_functions(name: str, a: float, b: float, wanted: float) -> None:
    assert same_bits(apply(name, f32(a), f32(b)), f32(wanted))


def test_clip_with_crossed_bounds_gives_the_upper_one() -> None:
    x = f32(-9.0, 0.0, 9.0, NAN)
    clipped = apply("min", apply("max", x, f32(5.0)), f32(1.0))
    assert same_bits(clipped, f32(1.0, 1.0, 1.0, NAN))


@pytest.mark.parametrize("name", ["tanh", "erf", "sign"])
def test_odd_functions_are_odd_bit_for_bit(name: str, arguments: Float32) -> None:
    x = arguments[arguments != 0]
    assert same_bits(apply(name, -x) + np.float32(0), -apply(name, x) + np.float32(0))


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid"])
def test_saturating_functions_never_pass_their_limits(name: str, arguments: Float32) -> None:
    result = apply(name, arguments[~np.isnan(arguments)])
    assert result.max() == 1.0
    assert result.min() == (0.0 if name == "sigmoid" else -1.0)


def test_sigmoid_falls_to_zero_once_e_to_minus_x_overflows() -> None:
    x = near(88.722839)
    result = apply("sigmoid", x[x < 0])
    assert set(np.unique(result > 0)) == {False, True}
    assert result[result > 0].min() == pytest.approx(2.9387e-39, rel=1e-3)


def test_softplus_follows_the_thresholds() -> None:
    t = np.float32(13.942385)
    above, below = np.nextafter(t, np.float32(20)), np.nextafter(-t, np.float32(-20))
    x = np.array([above, below, -t])
    result, e = apply("softplus", x), apply("exp", x)
    assert result[0] == above
    assert result[1] == e[1]
    assert result[2] < e[2]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_results_are_float32_of_the_argument_shape(name: str, shape: tuple[int, ...]) -> None:
    x = np.full(shape, GREATEST, dtype=np.float32)
    result = apply(name, *[x] * FUNCTIONS[name].arity)
    assert result.dtype == np.float32
    assert result.shape == shape


class Counter:
    """Counts the operations of a sequence; constants and bit casts are free."""

    def __init__(self) -> None:
        self.count = 0
        self.divisions = 0

    def __getattr__(self, name: str) -> Any:
        def operation(*operands: Any) -> None:
            self.count += name not in {"const", "iconst", "bits", "from_bits"}
            self.divisions += name == "div"

        return operation


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_cost_is_the_number_of_operations(function: Any) -> None:
    counter = Counter()
    function.sequence(counter, *[None] * function.arity)
    assert counter.count == function.cost
    assert counter.divisions <= 1


def test_every_function_is_listed_under_its_name() -> None:
    assert [f.name for f in FUNCTIONS.values()] == list(FUNCTIONS)
