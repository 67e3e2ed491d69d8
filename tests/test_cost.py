"""What a model takes: work, bytes, and whether a batch fits into a budget."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

import instjit as ij
from instjit.formats import rmd1

HUGE = 10**5000  # str refuses these


def dense(dtype: str = "float32") -> ij.Model:
    """3 -> 2 -> 1: 2*3+2 and 1*2+1 numbers, a sigmoid at the end."""
    return ij.Model(
        [3, 2, 1],
        [ij.Dot(0, 1, weights=0), ij.Dot(1, 2, weights=1)],
        [np.ones((2, 3)), np.ones((1, 2))],
        feature_size=3,
        dtype=dtype,
    )


def shared() -> ij.Model:
    """Two products with one 2x2 matrix, one vector twice."""
    return ij.Model(
        [2, 2, 2],
        [
            ij.Dot(0, 1, weights=0),
            ij.Dot(1, 2, weights=0),
            ij.AddElementwise(2, 0),
            ij.MulElementwise(2, 0),
        ],
        [np.ones((2, 2))],
        parameters=[[1, 2]],
        feature_size=2,
    )


def table() -> ij.Model:
    """A map of three ids, two numbers each: the ids are no parameters."""
    return ij.Model(
        [1, 2],
        [ij.MapTransform(0, 1, 0, 0, 0, 2, (0, 0))],
        maps=[{1: [1, 2], 5: [3, 4], 9: [5, 6]}],
        feature_size=1,
    )


def copy() -> ij.Model:
    return ij.Model([4, 4], [ij.Copy(0, 1)], feature_size=4)


@pytest.mark.parametrize(
    ("model", "parameters", "parameter_bytes", "row_bytes", "flops"),
    [
        (dense(), 11, 44, 24, 16),
        (dense("float64"), 11, 88, 24, 16),
        (shared(), 8, 32, 24, 20),
        (table(), 6, 24, 12, 0),
        (copy(), 0, 0, 32, 0),
    ],
    ids=["dense", "float64", "shared", "table", "copy"],
)
@pytest.mark.parametrize("batch", [1, 7, 10**30])
def test_a_batch_is_its_rows_and_the_parameters_once(
    model, parameters, parameter_bytes, row_bytes, flops, batch
) -> None:
    cost = ij.cost(model, batch=batch)
    assert (cost.parameters, cost.parameter_bytes) == (parameters, parameter_bytes)
    assert (cost.row_bytes, cost.batch_bytes) == (row_bytes, batch * row_bytes)
    assert (cost.flops, cost.batch_flops) == (flops, batch * flops)
    assert cost.memory == parameter_bytes + batch * row_bytes
    assert cost.intensity == pytest.approx(batch * flops / cost.memory)


@pytest.mark.parametrize(
    ("batch", "budget", "fits", "headroom"),
    [
        (1, 68, True, 0),
        (1, 67, False, 0),
        (1, 100, True, 32),
        (10, 284, True, 0),
        (10, 283, False, 0),
        (1, 0, False, 0),
        (10**30, 10**32, True, 76 * 10**30 - 44),
        (1, None, None, None),
    ],
)
def test_a_budget_is_kept_to_the_byte(batch, budget, fits, headroom) -> None:
    cost = ij.cost(dense(), batch=batch, budget=budget)
    assert (cost.fits, cost.headroom) == (fits, headroom)


@pytest.mark.parametrize(
    ("sizes", "memory"),
    [
        ({}, 88 + 2 * 24),
        ({"parameter_bytes": 2}, 22 + 2 * 24),
        ({"activation_bytes": 8}, 88 + 2 * 48),
        ({"parameter_bytes": 1, "activation_bytes": 1}, 11 + 2 * 6),
        ({"parameter_bytes": np.int64(4)}, 44 + 2 * 24),
    ],
)
def test_the_bytes_of_a_number_can_be_given(sizes, memory) -> None:
    assert ij.cost(dense("float64"), batch=2, **sizes).memory == memory


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch": 0},
        {"batch": -1},
        {"batch": 1.0},
        {"batch": True},
        {"batch": None},
        {"batch": -HUGE},
        {"parameter_bytes": 0},
        {"parameter_bytes": "4"},
        {"activation_bytes": 0},
        {"activation_bytes": None},
        {"budget": -1},
        {"budget": 1.5},
    ],
)
def test_what_is_no_profile_is_refused_by_name(arguments) -> None:
    (name,) = arguments
    with pytest.raises(ij.InputError, match=f"^{name}: expected an integer of at least") as caught:
        ij.cost(dense(), **arguments)
    assert caught.value.kind == "InvalidProfile"


@pytest.mark.parametrize("name", ["batch", "budget", "parameter_bytes", "activation_bytes"])
def test_sizes_have_128_bits(name) -> None:
    for over in (2**128, HUGE):
        with pytest.raises(ij.InputError, match=f"^{name}: expected an integer of at most") as no:
            ij.cost(dense(), **{name: over})
        assert no.value.kind == "Overflow"
    cost = ij.cost(dense(), **{name: 2**128 - 1})
    assert repr(cost).startswith("ModelCost(")
    assert cost.batch_flops >= 16


def test_layers_that_share_ranges_of_a_file_count_each_its_own() -> None:
    layers = [rmd1.Layer(2, 2, 0, 0, rmd1.DenseActivation.RELU)] * 3
    shared_range = rmd1.Dense.of(layers, [1, 2, 3, 4], [5, 6], "float32")
    assert ij.cost(ij.load(rmd1.pack_dense(shared_range))).parameters == 3 * 6


def test_a_model_of_nothing_takes_nothing() -> None:
    cost = ij.cost(ij.Model([0], [], feature_size=0), budget=0)
    assert (cost.memory, cost.fits, cost.intensity) == (0, True, 0.0)


def test_rows_of_unequal_length_are_counted_too() -> None:
    ragged = ij.Model([2, 2], [], [[[1], [1, 2]]], [[0, 0]], feature_size=2)
    assert (ij.cost(ragged).parameters, ij.cost(ragged).parameter_bytes) == (5, 20)


def test_an_instruction_that_names_nothing_is_told() -> None:
    broken = ij.Model([2, 2], [ij.Copy(0, 1), ij.Dot(0, 1, weights=3)], feature_size=2)
    with pytest.raises(ij.ModelError, match="instruction 1 names") as caught:
        ij.cost(broken)
    assert caught.value.problems[0].instruction == 1


def test_the_work_of_a_row_stands_alone_and_adds_up() -> None:
    cost = ij.cost(shared(), batch=100, budget=5)
    assert cost.row == ij.Cost(multiply_adds=8, operations=4, moved=0, constants=16)
    assert cost.row == sum((each.cost(shared()) for each in shared().instructions), ij.Cost())
    assert cost.flops == cost.row.flops == 2 * cost.multiply_adds + cost.operations


def test_it_is_a_frozen_record_that_pickles() -> None:
    cost = ij.cost(dense(), batch=3)
    assert pickle.loads(pickle.dumps(cost)) == cost != ij.cost(dense())
    with pytest.raises(dataclasses.FrozenInstanceError):
        cost.batch = 4
