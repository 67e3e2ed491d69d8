"""Softmax: accuracy against float64 on hostile rows, what is not finite, bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_run import run_form
from gpu_words import run_words
from nets import softmax
from plain_run import form_of, run_row, run_tiles, same_bits

import instjit as ij
from instjit import gpu, reference
from instjit.gpu.generic import plain_functions
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES

INF, NAN = np.inf, np.nan
WIDTHS = (1, 2, 7, 16, 33, 100, 256)
RNG = np.random.default_rng(11)

ROWS = {
    "normal": lambda n: RNG.standard_normal(n),
    "spread over 60": lambda n: RNG.standard_normal(n) * 20,
    "spread over the powers of two": lambda n: -np.linspace(0, 90, n),
    "huge": lambda n: RNG.standard_normal(n) * 1e37,
    "greatest and least": lambda n: np.where(np.arange(n) % 2, 3.4028235e38, -3.4028235e38),
    "all equal": lambda n: np.full(n, -7.25),
    "subnormal": lambda n: RNG.standard_normal(n) * 1e-42,
    "zeros of both signs": lambda n: np.where(np.arange(n) % 2, -0.0, 0.0),
    "one far above": lambda n: np.where(np.arange(n) == n // 2, 100.0, 0.0),
    "powers that are subnormal": lambda n: np.where(np.arange(n) == 0, 0.0, -87.5),
    "powers that are zero": lambda n: np.where(np.arange(n) == 0, 0.0, -87.7),
    "one minus infinity": lambda n: np.where(np.arange(n) == n // 2, -INF, 1.0),
}
"""Rows by what is hard about them; the softmax of a single minus infinity is NaN."""

NOT_FINITE = {
    "infinity": lambda n: np.where(np.arange(n) == n // 2, INF, 1.0),
    "infinities": lambda n: np.full(n, INF),
    "minus infinities": lambda n: np.full(n, -INF),
    "NaN first": lambda n: np.where(np.arange(n) == 0, NAN, 1.0),
    "NaN last": lambda n: np.where(np.arange(n) == n - 1, NAN, 1.0),
    "NaN that hides the largest": lambda n: np.where(np.arange(n) == n // 2, NAN, np.arange(n)),
}


def rows_of(kinds, width: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.stack([row(width) for row in kinds.values()]).astype(np.float32)


def exact(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("width", [width for width in WIDTHS if width > 1])
def test_hostile_rows_are_within_a_fifth_of_1e_6(width) -> None:
    x = rows_of(ROWS, width)
    assert np.abs(reference.run(softmax(width), x) - exact(x)).max() <= 2e-7


@pytest.mark.parametrize(("width", "bound"), [(2000, 3e-8), (30_000, 6e-7)])
def test_wide_rows_are_as_near_as_their_sum_of_powers(width, bound) -> None:
    x = np.random.default_rng(5).standard_normal((3, width)).astype(np.float32) * np.float32(4)
    result = reference.run(softmax(width), x)
    assert np.abs(result - exact(x)).max() <= bound <= 1e-6
    assert np.abs(result.sum(axis=1, dtype=np.float64) - 1).max() <= 4 * bound


@pytest.mark.parametrize("width", WIDTHS)
def test_a_row_that_has_no_softmax_is_nan_all_over(width) -> None:
    assert np.isnan(reference.run(softmax(width), rows_of(NOT_FINITE, width))).all()


def test_minus_infinity_among_numbers_gives_zero_and_leaves_the_others() -> None:
    (result,) = reference.run(softmax(4), np.array([[-INF, 0, 0, -INF]], np.float32))
    assert result.tolist() == [0, 0.5, 0.5, 0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_text_gives_the_bits_of_the_reference(width, level) -> None:
    x, model = rows_of(ROWS | NOT_FINITE, width), softmax(width)
    wanted, form = reference.run(model, x), form_of(model, level, "output", PASSES)
    assert same_bits(run_tiles(form, x), wanted)
    for number, row in enumerate(x):
        assert same_bits(run_row(form, row), wanted[number])


@pytest.mark.parametrize("width", WIDTHS)
def test_kernels_give_the_bits_of_the_reference(width) -> None:
    x, model = rows_of(ROWS | NOT_FINITE, width), softmax(width)
    wanted, kernel = reference.run(model, x), ij.compile(model)
    assert same_bits(kernel.predict(x), wanted)
    assert same_bits(np.stack([kernel.row(row) for row in x]), wanted)


@pytest.mark.parametrize("width", [1, 16, 33])
def test_packed_words_give_the_bits_of_the_reference(width) -> None:
    x, model = rows_of(ROWS | NOT_FINITE, width), softmax(width)
    words = gpu.pack([model]).words
    assert same_bits(run_words(plain_functions(), words, 0, x), reference.run(model, x))


@pytest.mark.parametrize("form", ["thread", "block"])
def test_the_text_for_a_gpu_gives_the_bits_of_the_reference(form) -> None:
    x, model = rows_of(ROWS | NOT_FINITE, 17), softmax(17)
    assert same_bits(run_form(model, x, form=form), reference.run(model, x))
