"""The crate's approximate functions: every bit of the table, and the edges it leaves out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rnn_golden

from instjit.formats import crate_math

FUNCTIONS = {
    "expf": crate_math.exp,
    "tanhf": crate_math.tanh,
    "sigmoid": crate_math.sigmoid,
    "sinf": crate_math.sin,
    "cosf": crate_math.cos,
    "sqrtf": crate_math.sqrt,
    "lnf": crate_math.ln,
}
INF, NAN = math.inf, math.nan


def single(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_table_has_every_function() -> None:
    assert {row.function for row in rnn_golden.MATH} == set(FUNCTIONS)
    assert len(rnn_golden.MATH) == 209


@pytest.mark.parametrize("row", rnn_golden.MATH, ids=lambda row: row.id)
def test_a_function_gives_the_bits_of_the_table(row) -> None:
    got = FUNCTIONS[row.function](np.array([row.x]))
    assert got.dtype == np.float32
    assert int(got.view(np.uint32)[0]) == row.bits


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_rows_at_once_and_any_shape_give_the_same_bits(name) -> None:
    x = np.array([row.x for row in rnn_golden.MATH if row.function == name])
    bits = [row.bits for row in rnn_golden.MATH if row.function == name]
    whole = FUNCTIONS[name](x.reshape(-1, 11))
    assert whole.view(np.uint32).ravel().tolist() == bits
    assert FUNCTIONS[name](np.array(x[0])).shape == ()


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("expf", NAN, NAN),
        ("expf", 100, crate_math.exp(single(88))[0]),
        ("expf", INF, crate_math.exp(single(88))[0]),
        ("expf", -87.3365478515625, 2**-126),  # the least normal number
        ("expf", -87.33655548095703, 0),  # the next x: below it
        ("expf", -88, 0),
        ("expf", -INF, 0),
        ("lnf", 0, NAN),
        ("lnf", -1, NAN),
        ("lnf", NAN, NAN),
        ("lnf", 1, 0),
        ("sqrtf", 0, 0),
        ("sqrtf", -1, NAN),
        ("sqrtf", NAN, NAN),
        ("tanhf", INF, 1),
        ("tanhf", -INF, -1),
        ("tanhf", NAN, NAN),
        ("sigmoid", INF, 1),
        ("sigmoid", -INF, 0),
        ("sigmoid", NAN, NAN),
        ("sinf", NAN, NAN),
        ("cosf", INF, NAN),
    ],
)
def test_an_edge(name, x, y) -> None:
    np.testing.assert_array_equal(FUNCTIONS[name](single(x)), single(y))


@pytest.mark.parametrize(
    ("x", "y", "result"),
    [
        (NAN, 1, NAN),
        (1, NAN, NAN),
        (0, 2, 0),
        (0, 0, 1),
        (0, -2, INF),
        (1, 5, 1),
        (-3, 0, 1),
        (-3, 2, NAN),
        (2, 0.5, crate_math.exp(single(0.5) * crate_math.ln(single(2)))[0]),
    ],
)
def test_a_power(x, y, result) -> None:
    np.testing.assert_array_equal(crate_math.power(single(x), single(y)), single(result))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (0.5, 1),
        (-0.5, -1),
        (1.5, 2),
        (2.4, 2),
        (-2.5, -3),
        (NAN, 0),
        (1e20, 2**31),
        (-INF, -(2**31)),
    ],
)
def test_rounding_goes_by_way_of_int32(x, y) -> None:
    np.testing.assert_array_equal(crate_math.rounded(single(x)), single(y))


@pytest.mark.parametrize(
    ("name", "low", "high", "exact", "relative", "absolute"),
    [
        ("expf", -10, 10, np.exp, 8.7e-5, 0),
        ("lnf", 1e-3, 1e3, np.log, 0, 1.3e-5),
        ("sqrtf", 1e-3, 1e3, np.sqrt, 6e-6, 0),
        ("sinf", -100, 100, np.sin, 0, 0.08),
        ("cosf", -100, 100, np.cos, 0, 0.22),
    ],
)
def test_errors_are_as_large_as_stated_and_no_larger(
    name, low, high, exact, relative, absolute
) -> None:
    x = np.linspace(low, high, 400_001, dtype=np.float32)
    wanted = exact(x.astype(np.float64))
    error = np.abs(FUNCTIONS[name](x) - wanted)
    bound = relative * np.abs(wanted) + absolute
    assert (error <= bound).all()
    assert (error > bound / 2).any()


def test_the_float64_root_is_no_better_than_the_float32_one() -> None:
    x = np.linspace(1e-3, 1e3, 100_001)
    error = np.abs(crate_math.sqrt(x) / np.sqrt(x) - 1)
    assert 2e-6 < error.max() < 6e-6
    assert crate_math.sqrt(x).dtype == np.float64


def test_relu_of_nan_is_0() -> None:
    got = crate_math.relu(single(NAN, -1, 0, 2, INF))
    np.testing.assert_array_equal(got, single(0, 0, 0, 2, INF))
