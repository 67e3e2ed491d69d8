"""The reference: float64 beside it, the contract's order inside it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from random_models import random_model
from step_interpreter import run_program

import instjit as ij
from instjit import reference
from instjit.lower import lower
from instjit.ops import OPS, Activation
from instjit.program import chains
from instjit.summation import maximum_of, product, sum_of


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, any NaN being equal to any NaN."""
    bits = a.view(np.uint32) == b.view(np.uint32)
    return a.shape == b.shape and bool((bits | (np.isnan(a) & np.isnan(b))).all())


@pytest.mark.parametrize("seed", range(300))
def test_float32_stays_near_the_float64_formulas(seed) -> None:
    model, rows = random_model(seed, smooth=True)
    exact = reference.run64(model, rows)
    largest = 1 + np.abs(exact).max()  # the worst of 1,500 seeds was 4.9e-7 of it
    assert np.abs(reference.run(model, rows) - exact).max() <= 2e-6 * largest


@pytest.mark.parametrize("seed", range(300))
@pytest.mark.parametrize("variant", ["output", "slots"])
def test_lowered_steps_give_the_bits_of_the_reference(seed, variant) -> None:
    model, rows = random_model(seed)
    buffers = reference.run_buffers(model, rows)
    wanted = buffers if variant == "slots" else buffers[:, model.output_start :]
    assert same_bits(run_program(model, lower(model, variant), rows), np.ascontiguousarray(wanted))


def test_random_models_hold_every_instruction_and_activation() -> None:
    seen, activations = set(), set()
    for seed in range(300):
        for instruction in random_model(seed)[0].instructions:
            seen.add(instruction.kind)
            activations.add(getattr(instruction, "activation", None))
    assert seen == set(OPS)
    assert activations >= set(Activation)


@pytest.mark.parametrize(
    ("outputs", "depth"),
    [(1, 1), (3, 15), (3, 16), (4, 37), (16, 64), (17, 64), (48, 67), (49, 70)],
)
def test_products_are_summed_in_the_order_of_the_contract(outputs, depth) -> None:
    rng = np.random.default_rng(outputs * 100 + depth)
    weights = rng.normal(size=(outputs, depth)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    x = rng.normal(size=(2, depth)).astype(np.float32)

    def fma(a, b, c):  # exact in integers of 2^-200, rounded once by the division
        total = sum(
            math.prod(int(math.ldexp(float(v), 100)) for v in pair) for pair in ((a, b), (c, 1.0))
        )
        return np.float32(round_once(total))

    count = chains(outputs, depth)
    wanted = np.empty((2, outputs), np.float32)
    for row in range(2):
        for output in range(outputs):
            sums = [np.float32(-0.0)] * count
            sums[0] = bias[output]
            for k in range(depth):
                sums[k % count] = fma(weights[output, k], x[row, k], sums[k % count])
            step = count
            while step > 1:
                step //= 2
                sums = [np.float32(a + b) for a, b in zip(sums[:step], sums[step:], strict=True)]
            wanted[row, output] = sums[0]
    assert same_bits(product(weights, bias, x), wanted)


def round_once(units: int) -> float:
    """``units`` * 2^-200 as the nearest float32, ties to even."""
    if units == 0:
        return 0.0
    excess = max(0, abs(units).bit_length() - 24)
    low, rest = abs(units) >> excess, abs(units) & ((1 << excess) - 1)
    half = (1 << excess) >> 1
    low += rest > half or (excess and rest == half and low & 1)
    return math.copysign(math.ldexp(low, excess - 200), units)


@pytest.mark.parametrize("count", [1, 2, 7, 15, 16, 17, 31, 32, 33, 100])
def test_sums_and_maxima_have_sixteen_partials_and_a_fixed_tree(count) -> None:
    x = np.random.default_rng(count).normal(size=(3, count)).astype(np.float32)
    for row, total in zip(x, sum_of(x), strict=True):
        partials: list[np.float32 | None] = [None] * 16
        for k, value in enumerate(row):
            old = partials[k % 16]
            partials[k % 16] = value if old is None else np.float32(old + value)
        for step in (8, 4, 2, 1):
            for p in range(step):
                one, other = partials[p], partials[p + step]
                if one is not None and other is not None:
                    partials[p] = np.float32(one + other)
        assert total == partials[0]
    assert maximum_of(x).tolist() == x.max(axis=1).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_a_row_has_the_same_bits_alone_and_in_a_batch(seed) -> None:
    model, rows = random_model(seed)
    together = reference.run(model, rows)
    alone = np.concatenate([reference.run(model, row[None]) for row in rows])
    assert same_bits(together, alone)


def test_blocks_of_rows_join_up(monkeypatch) -> None:
    model, rows = random_model(11)
    whole = reference.run(model, rows)
    monkeypatch.setattr(reference, "BLOCK", 1)
    assert same_bits(reference.run(model, rows), whole)


def test_rows_do_not_share_slots_that_nothing_wrote() -> None:
    count_up = ij.Model([1, 1], [ij.AddElementwise(1, 0)], parameters=[[3]], feature_size=1)
    assert reference.run(count_up, [[1], [2], [3]]).tolist() == [[3], [3], [3]]


def test_no_rows_give_no_rows() -> None:
    model, _ = random_model(3)
    assert reference.run(model, np.zeros((0, model.input_size))).shape == (0, model.output_size)
    assert reference.run(model, []).shape == (0, model.output_size)


@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("RELU", [-1, -0.0, 0, 2, math.nan], [0, 0, 0, 2, 0]),
        ("SQRT", [-4, 0, 4, math.nan, math.inf], [0, 0, 2, 0, math.inf]),
        ("LOG", [-1, 0, 1e-30, math.nan, math.e - 1], [0, 0, 0, 0, 1]),
        ("LOG10", [-1, 0, 9, 99, math.nan], [0, 0, 1, 2, 0]),
        ("INVERSE", [0, 1, 2, -1, math.inf], [1, 0, -1, 2, -math.inf]),
        ("SIGN", [-3, -0.0, 0, 5, math.nan], [-1, 0, 0, 1, math.nan]),
        (
            "EXP",
            [-1000, -88, 0, 88, 1000],
            [6.0546019e-39, 6.0546019e-39, 1, 1.6516363e38, 1.6516363e38],
        ),
        ("SOFTPLUS", [-20, 0, 20, 1000, math.nan], [2.0611537e-9, math.log(2), 20, 1000, math.nan]),
        ("SIGMOID", [-200, 0, 200, math.nan, 1], [0, 0.5, 1, math.nan, 0.7310586]),
        ("SOFTMAX", [math.nan, 0, 0, 0, 0], [math.nan] * 5),
        ("SOFTMAX", [-math.inf, 0, 0, 0, 0], [0, 0.25, 0.25, 0.25, 0.25]),
        ("SOFTMAX", [math.inf, 0, 0, 0, 0], [math.nan] * 5),
    ],
)
def test_activations_at_their_edges(name, x, wanted) -> None:
    model = ij.Model([5], [ij.Activate(0, name)], feature_size=5)
    np.testing.assert_allclose(reference.run(model, [x])[0], wanted, 2e-6, 1e-45)


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ([2.5, 3.49, 3.0], 3),
        ([-2.5, -3.49], -3),
        ([0.49999997, -0.3, math.nan, -0.0], 0),
        ([0.5, 1.4999999], 1),
        ([8388609.0], 8388609),
        ([3e9, math.inf, 2147483648.0], 2**31 - 1),
        ([-3e9, -math.inf], -(2**31)),
    ],
)
def test_ids_round_half_away_from_zero_and_saturate(ids, key) -> None:
    look_up = ij.MapTransform(0, 1, 0, 0, 0, 1, (-1,))
    model = ij.Model([1, 1], [look_up], maps=[{key: [7]}], feature_size=1)
    assert reference.run(model, [[x] for x in ids]).tolist() == [[7]] * len(ids)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 7)), "X has 7 columns, the model takes 2: a, b"),
        (
            np.zeros(2),
            "X has 1 dimension, expected rows x 2; for one row: row(x), or X.reshape(1, 2)",
        ),
        (np.zeros((1, 2, 3)), "X has 3 dimensions, expected rows x 2"),
        ([[1, 2], [3]], "X must be rows of numbers of equal length"),
        ([["a", "b"]], "X must be rows of numbers of equal length"),
    ],
)
def test_rows_of_another_shape_are_refused_in_one_sentence(x, message) -> None:
    model = ij.Model([2], [ij.Activate(0, "RELU")], features=["a", "b"])
    with pytest.raises(ij.InputError, match=re.escape(message)):
        reference.run(model, x)


def test_arrays_for_the_leading_buffers_are_taken_in_order() -> None:
    add = ij.Model([2, 1, 2, 1], [ij.Copy(1, 2), ij.ReduceSum(0, 3)], feature_size=3)
    arrays = [np.array([[1, 2], [3, 4]]), np.array([[5], [6]])]
    buffers = reference.run_buffers(add, arrays)
    assert buffers[:, :5].tolist() == [[1, 2, 5, 5, 0], [3, 4, 6, 6, 0]]
    with pytest.raises(
        ij.InputError, match=r"X holds 1 arrays, the model takes 2, of widths \[2, 1\]"
    ):
        reference.run(add, arrays[:1])
    with pytest.raises(ij.InputError, match=r"X\[1\] has shape \(1, 1\), buffer 1 takes \(2, 1\)"):
        reference.run(add, [arrays[0], arrays[1][:1]])
