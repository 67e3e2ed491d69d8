"""bfloat16: rounding, parts, words, packed weights, and the plain meaning of wide products."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from nets import dense
from plain_run import run_tiles, same_bits
from random_models import random_model

import instjit as ij
from instjit import reference
from instjit.kernels import multiplier
from instjit.kernels.bf16 import PARTS, paired, rounded, split, unpaired, widened
from instjit.kernels.multiplier import Multiplier, wide
from instjit.kernels.target import LEVELS
from instjit.lower import lower
from instjit.passes import PASSES, apply
from instjit.variant import Compiled

UNITS = [("amx", precision) for precision in PARTS] + [("avx512_bf16", "bf16")]
BITS = {"bf16": 8, "bf16x3": 16, "bf16x6": 24}
"""Bits of a factor that its parts keep."""

EVERY_HALF = np.arange(2**16, dtype=np.uint32)


def form_of(
    model, unit: str, precision: str, vectors: int = 2, passes=PASSES, variant="output"
) -> Compiled:
    level = replace(LEVELS["avx512"], vectors=vectors)
    return Compiled(model, ij.cost(model), level, variant, passes, Multiplier(precision, unit))


def square(sizes, steps, inputs: int = 32) -> ij.Model:
    """A model with one matrix of 32 by 32."""
    weights = np.random.default_rng(7).normal(0, 0.2, (1, 32, 32))
    return ij.Model(sizes, steps, weights, np.zeros((1, 32)), feature_size=inputs)


def residual() -> ij.Model:
    return square([32, 32, 32], [ij.Dot(0, 1, 0), ij.AddElementwiseBuffers((0, 1), 2)])


def changed() -> ij.Model:
    return square([32, 32], [ij.Activate(0, "RELU"), ij.Dot(0, 1, 0)])


def joined() -> ij.Model:
    copies = [ij.Copy(0, 2, 0), ij.Copy(1, 2, 16)]
    return square([16, 16, 32, 32], [*copies, ij.Dot(2, 3, 0)])


def rows_of(model, count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, model.input_size), np.float32)


def test_every_bfloat16_is_its_own_rounding() -> None:
    x = (EVERY_HALF << 16).view(np.float32)
    subnormal = (EVERY_HALF & 0x7F80) == 0
    quiet = np.isnan(x) * np.uint32(0x40)
    assert (rounded(x) == np.where(subnormal, EVERY_HALF & 0x8000, EVERY_HALF | quiet)).all()


@pytest.mark.parametrize("low", [0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_rounding_is_to_nearest_ties_to_even(low) -> None:
    x = (EVERY_HALF << 16 | low).view(np.float32)
    ordinary = np.isfinite(x) & (np.abs(x) >= 2.0**-126)
    found = rounded(x)
    up = (low > 0x8000) | ((low == 0x8000) & (EVERY_HALF & 1 == 1))
    assert (found[ordinary] == (EVERY_HALF + up)[ordinary]).all()  # past the largest: infinity
    assert np.isnan(widened(found[np.isnan(x)])).all()
    assert (widened(found[~ordinary & ~np.isnan(x)]) == 0).all()


@pytest.mark.parametrize("precision", PARTS)
def test_the_parts_of_a_number_add_up_to_it(precision) -> None:
    x = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    total = sum(widened(part).astype(np.float64) for part in split(x, PARTS[precision]))
    assert np.abs(total / x - 1).max() <= 2.0 ** -BITS[precision]
    if precision == "bf16x6":
        assert (total == x).all()


def test_words_hold_two_numbers_and_zeros_at_the_end() -> None:
    halves = np.arange(1, 6, dtype=np.uint16)[:, None]
    words = paired(halves, 4)
    assert words.ravel().tolist() == [0x20001, 0x40003, 0x5, 0]
    low, high = unpaired(words)
    assert (low == widened(np.array([[1], [3], [5], [0]]))).all()
    assert (high == widened(np.array([[2], [4], [0], [0]]))).all()


@pytest.mark.parametrize(("unit", "precision"), UNITS)
@pytest.mark.parametrize("widths", [(32, 16), (33, 17), (65, 47, 33), (40, 100, 20, 64, 31)])
def test_an_error_is_within_its_bound(unit, precision, widths) -> None:
    """Linear layers: a sum of depth products, each off by the bits that the parts lose."""
    model = dense(*widths, activation=None, last=None)
    rows = rows_of(model, 40)
    found = run_tiles(form_of(model, unit, precision), rows)
    size = np.abs(rows).astype(np.float64)
    bound = np.zeros_like(size)
    for weights, bias, (depth, outputs) in zip(
        model.weights, model.bias, pairwise(widths), strict=True
    ):
        each = 3 * 2.0 ** -BITS[precision] + (depth + 8) * 2.0**-24
        each = each if wide(outputs, depth) else depth * 2.0**-24
        size = size @ np.abs(weights).T + np.abs(bias)
        bound = bound @ np.abs(weights).T + each * size
    error = np.abs(found - reference.run64(model, rows))
    assert (error <= bound).all()
    assert error.max() > 0


@pytest.mark.parametrize("widths", [(64, 64, 32), (250, 100, 40), (784, 16)])
def test_six_products_are_as_accurate_as_float32(widths) -> None:
    model = dense(*widths)
    rows = rows_of(model, 200)
    wanted = reference.run64(model, rows)
    found = run_tiles(form_of(model, "amx", "bf16x6"), rows)
    assert np.abs(found - wanted).max() <= np.abs(reference.run(model, rows) - wanted).max()


@pytest.mark.parametrize("widths", [(64, 64, 32), (250, 300, 200)])
def test_three_products_are_within_the_tolerance_of_validation(widths) -> None:
    model = dense(*widths)
    rows = rows_of(model, 64)
    found = run_tiles(form_of(model, "amx", "bf16x3"), rows)
    assert np.abs(found - reference.run64(model, rows)).max() <= 1e-5


@pytest.mark.parametrize(("unit", "precision"), UNITS)
@pytest.mark.parametrize("rows", [1, 31, 33])
def test_a_row_does_not_depend_on_its_neighbours(unit, precision, rows) -> None:
    form = form_of(dense(33, 40, 17), unit, precision)
    x = np.random.default_rng(1).standard_normal((40, 33), np.float32)
    assert (run_tiles(form, x)[:rows] == run_tiles(form, x[:rows])).all()


@pytest.mark.parametrize(("unit", "precision"), UNITS)
def test_what_is_not_finite_stays_in_its_row(unit, precision) -> None:
    form = form_of(dense(33, 40, 17, activation=None, last=None), unit, precision)
    x = np.ones((4, 33), np.float32)
    plain = run_tiles(form, x)
    x[1, 32], x[2, 5] = np.nan, np.inf
    found = run_tiles(form, x)
    assert (found[[0, 3]] == plain[[0, 3]]).all()
    assert np.isnan(found[1]).all()
    assert not np.isfinite(found[2]).any()


def test_products_that_are_not_wide_stay_float32() -> None:
    text = form_of(dense(33, 16, 40, 15, 32), "amx", "bf16").source.text
    assert text.count(" = product(") == 2
    assert text.count(" = gemm(") == 2


def test_the_words_of_a_layer_are_made_by_the_one_before() -> None:
    text = form_of(dense(64, 65, 33, 40), "amx", "bf16x3").source.text
    assert text.count(" = split(") == 1
    assert text.count("kept=False") == 2
    assert "begin_tiles()" in text
    assert "end_tiles()" in text


@pytest.mark.parametrize(
    ("model", "straight", "taken"),
    [
        (dense(33, 40, 17), True, "()"),
        (dense(33, 15, 17, 20), False, "((0, 0, 33),)"),  # the first wide source is no input
        (residual(), True, "((0, 0, 32),)"),
        (changed(), False, "((0, 0, 32),)"),
        (joined(), False, "((0, 0, 16), (16, 16, 16),)"),
    ],
    ids=["input", "inner", "read by another", "changed before", "two buffers"],
)
def test_the_words_of_columns_of_the_input_come_from_its_rows(model, straight, taken) -> None:
    form = form_of(model, "amx", "bf16x6")
    text = form.source.text
    assert ("take_words(x, row, s)" in text) == straight
    assert f"take = columns_in(width={model.input_size}, columns={taken})" in text
    rows = rows_of(model, 40)
    assert np.abs(run_tiles(form, rows) - reference.run64(model, rows)).max() < 1e-4
    assert same_bits(run_tiles(form, rows)[:5], run_tiles(form, rows[:5]))


def test_the_text_of_a_precision_stays_as_it_is(golden) -> None:
    golden("source/amx-bf16x3.py.txt", form_of(dense(40, 33, 17), "amx", "bf16x3").source.text)


def test_a_source_of_several_products_is_split_once() -> None:
    rng = np.random.default_rng(3)
    steps = [ij.Dot(0, 1, 0), ij.Dot(0, 2, 1), ij.AddElementwiseBuffers((1, 2), 3)]
    weights = [rng.normal(size=(20, 40)) for _ in range(2)]
    model = ij.Model([40, 20, 20, 20], steps, weights, np.zeros((2, 20)), feature_size=40)
    form = form_of(model, "amx", "bf16x6")
    assert form.source.text.count(" = split(") == 1
    rows = rows_of(model, 5)
    assert np.abs(run_tiles(form, rows) - reference.run64(model, rows)).max() < 1e-5


@pytest.mark.parametrize("passes", [(), PASSES])
def test_a_source_that_changes_is_split_again(passes) -> None:
    halves = [ij.Copy(0, 2, 0), ij.Copy(1, 2, 16)]
    steps = [*halves, ij.Dot(2, 3, 0), ij.Copy(0, 2, 16), ij.Dot(2, 4, 0)]
    steps.append(ij.AddElementwiseBuffers((3, 4), 5))
    model = square([16, 16, 32, 32, 32, 32], steps)
    form = form_of(model, "amx", "bf16x6", passes=passes)
    assert form.source.text.count(" = split(") == 2
    rows = rows_of(model, 5)
    assert np.abs(run_tiles(form, rows) - reference.run64(model, rows)).max() < 1e-5


def test_values_that_something_else_reads_are_kept() -> None:
    rng = np.random.default_rng(4)
    steps = [ij.Dot(0, 1, 0), ij.Dot(1, 2, 1), ij.AddElementwiseBuffers((1, 2), 3)]
    weights = [rng.normal(0, 0.2, size=(32, 32)) for _ in range(2)]
    model = ij.Model([32, 32, 32, 32], steps, weights, np.zeros((2, 32)), feature_size=32)
    for unit, precision in UNITS:
        form = form_of(model, unit, precision)
        assert "kept=False" not in form.source.text
        rows = rows_of(model, 5)
        error = np.abs(run_tiles(form, rows) - reference.run64(model, rows)).max()
        assert error < {"bf16": 0.1}.get(precision, 1e-4)


@pytest.mark.parametrize("model", [dense(15, 64, 15), dense(200, 15)])
def test_a_model_without_a_wide_product_is_refused(model) -> None:
    with pytest.raises(ij.CompileError, match='take precision "float32"') as raised:
        form_of(model, "amx", "bf16")
    assert raised.value.kind == "Unsupported"


@pytest.mark.parametrize("seeds", [range(90), range(90, 180)])
def test_no_choice_of_passes_or_variant_changes_a_bit(seeds, monkeypatch) -> None:
    """Models with any product counted as wide."""
    monkeypatch.setattr(multiplier, "OUTPUTS", 5)  # as many as make no row-major block
    monkeypatch.setattr(multiplier, "DEPTH", 2)
    tried = 0
    for seed in seeds:
        model, rows = random_model(seed, smooth=True)
        if not any(map(multiplier.wide_step, apply(lower(model), PASSES).steps)):
            continue
        tried += 1
        for unit, precision in UNITS[1:]:
            outputs = run_tiles(form_of(model, unit, precision), rows)
            assert same_bits(outputs, run_tiles(form_of(model, unit, precision, passes=()), rows))
            whole = run_tiles(form_of(model, unit, precision, variant="slots"), rows)
            assert same_bits(outputs, whole[:, -model.output_size :])
    assert tried > 5
