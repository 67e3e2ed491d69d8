"""Models that keep float64 constants: kept as they are, rounded once where float32 is computed."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from kernel_check import same_bits

import instjit as ij
from instjit import reference
from instjit.commands.kernel_text import source_text
from instjit.formats.instmodel import decode
from instjit.formats.writing import encode
from instjit.kernels.packing import block_floats, pack_gemm

ROWS = np.random.default_rng(2).normal(size=(40, 6)).astype(np.float32)


def dense(dtype: str = "float64", activation: str | None = "TANH", scale: float = 1.0) -> ij.Model:
    """6 -> 20 -> 3, its weights with all the digits of float64."""
    random = np.random.default_rng(1)
    arrays = [random.normal(size=shape) * scale for shape in ((20, 6), (3, 20), (20,), (3,))]
    if dtype == "rounded":
        arrays, dtype = [array.astype(np.float32) for array in arrays], "float32"
    return ij.Model(
        [6, 20, 3],
        [ij.Dot(0, 1, 0, activation), ij.Dot(1, 2, 1)],
        arrays[:2],
        arrays[2:],
        features=["x[6]"],
        dtype=dtype,
    )


def constants(model: ij.Model) -> list[np.ndarray]:
    return [*model.weights, *model.bias]


@pytest.mark.parametrize(
    "weights", [[], [[[0.5]]], [np.zeros((0, 0))]], ids=["none", "one", "empty"]
)
def test_models_of_another_dtype_are_not_equal(weights) -> None:
    single, double = (ij.Model([1, 1], [], weights, dtype=d) for d in ("float32", "float64"))
    assert single != double
    assert single.digest != double.digest
    assert double.rounded == single


def test_the_constants_keep_every_digit() -> None:
    model = dense()
    assert model.dtype == "float64"
    assert {array.dtype for array in constants(model)} == {np.dtype(np.float64)}
    given = np.random.default_rng(1).normal(size=(20, 6))
    assert model.weights[0].tobytes() == given.tobytes()
    for array in constants(model):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


@pytest.mark.parametrize(
    "again",
    [lambda model: pickle.loads(pickle.dumps(model)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_a_copy_is_the_same_model(again) -> None:
    twin = again(dense())
    assert twin == dense()
    assert twin.dtype == "float64"
    assert constants(twin)[0].tobytes() == constants(dense())[0].tobytes()


def test_models_of_two_dtypes_differ_and_so_do_their_digests() -> None:
    models = [dense(), dense("float32"), dense(scale=1 + 1e-12)]
    assert len({model.digest for model in models}) == 3
    assert len({hash(model) for model in models}) == 3
    assert dense() == dense()
    assert dense("float32") == dense("rounded")
    ones = [ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[1]]], features=["a"], dtype=d) for d in DTYPES]
    assert ones[0] != ones[1]  # though the numbers are equal


DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_joined_models_keep_the_longer_dtype(first, second) -> None:
    tail = ij.Model([3, 1], [ij.Dot(0, 1, 0)], [[[0.1, 0.2, 0.3]]], feature_size=3, dtype=second)
    joined = ij.concatenate([dense(first), tail])
    assert joined.dtype == max(first, second)
    expected = 0.1 if joined.dtype == second == "float64" else np.float32(0.1)
    assert joined.weights[2][0, 0] == expected


@pytest.mark.parametrize("activation", [None, "TANH", "SIGMOID", "RELU", "SOFTMAX"])
def test_kernels_and_the_reference_round_once(activation) -> None:
    model, rounded = dense(activation=activation), dense("rounded", activation)
    expected = reference.run(rounded, ROWS)
    assert same_bits(reference.run(model, ROWS), expected)
    assert same_bits(reference.run_buffers(model, ROWS), reference.run_buffers(rounded, ROWS))
    kernel = ij.compile(model)
    assert same_bits(kernel.predict(ROWS), expected)
    assert same_bits(np.stack([kernel.row(row) for row in ROWS]), expected)


def test_the_kernel_keeps_the_model_and_takes_weights_of_either_dtype() -> None:
    kernel = ij.compile(dense("rounded"))
    again = kernel.with_weights(dense())
    assert again.model.dtype == "float64"
    assert same_bits(again.predict(ROWS), kernel.predict(ROWS))


def test_the_generated_text_is_the_same() -> None:
    assert source_text(dense(), "avx512") == source_text(dense("float32"), "avx512")


def test_the_rounded_twin_is_made_once() -> None:
    model = dense()
    assert model.rounded is model.rounded
    assert model.rounded == dense("rounded")
    assert dense("float32").rounded.rounded.dtype == "float32"
    single = dense("float32")
    assert single.rounded is single


def test_float64_runs_are_nearer_to_the_truth() -> None:
    model = dense(activation=None)
    first, second = (weights.astype(np.longdouble) for weights in model.weights)
    biases = [bias.astype(np.longdouble) for bias in model.bias]
    truth = (ROWS.astype(np.longdouble) @ first.T + biases[0]) @ second.T + biases[1]
    exact = float(np.max(np.abs(reference.run64(model, ROWS) - truth)))
    rounded = float(np.max(np.abs(reference.run64(dense("rounded", None), ROWS) - truth)))
    assert exact < 1e-13
    assert rounded > 1e-8


def huge(dtype: str = "float64") -> ij.Model:
    """Numbers beyond float32, at its edges, and below its least."""
    weights = [[1e39, 0.0], [-1e300, 0.0], [3.4028235677973366e38, 0.0], [1e-60, 0.0]]
    bias = [0.0, 0.0, 0.0, 1e-46]
    return ij.Model([2, 4], [ij.Dot(0, 1, 0)], [weights], [bias], feature_size=2, dtype=dtype)


def test_numbers_beyond_float32_become_infinite_without_a_warning() -> None:
    rows = np.array([[1.0, 1.0], [-2.0, 0.5]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = huge()
        assert np.isfinite(model.weights[0]).all()
        assert model.rounded.weights[0][:, 0].tolist() == [np.inf, -np.inf, np.inf, 0.0]
        expected = reference.run(model, rows)
        assert same_bits(ij.compile(model).predict(rows), expected)
        assert same_bits(ij.compile(huge("float32")).predict(rows), expected)
    assert expected[0].tolist() == [np.inf, -np.inf, np.inf, 0.0]
    assert reference.run64(model, rows)[0].tolist() == [
        1e39,
        -1e300,
        3.4028235677973366e38,
        1e-60 + 1e-46,
    ]


def test_json_rounds_and_says_so_by_the_digest() -> None:
    text = encode(dense())
    assert text == encode(dense("rounded"))
    assert decode(text) == dense("rounded")
    assert decode(text).digest != dense().digest


def test_json_refuses_what_float32_cannot_hold() -> None:
    with pytest.raises(ij.FormatError, match=r"weights\[0\]\[0\]\[0\]") as caught:
        encode(huge())
    assert caught.value.kind == "NonFiniteWeights"


def test_validation_rows_are_compared_in_float32() -> None:
    plain = dense()
    outputs = reference.run(plain, ROWS)
    fields = {name: getattr(plain, name) for name in ("features", "dtype")}
    parts = plain.buffers, plain.instructions, plain.weights, plain.bias
    good = ij.Model(*parts, validation_data=(ROWS, outputs), **fields)
    bad = ij.Model(*parts, validation_data=(ROWS, outputs + 1), **fields)
    assert ij.validate(good) == ()
    assert len(ij.validate(bad)) == len(ROWS)


@pytest.mark.parametrize("dtype", ["float16", "f8", np.int32, None, "FLOAT64"])
def test_no_other_dtype_is_taken(dtype) -> None:
    with pytest.raises(ij.ModelError, match="expected 'float32' or 'float64'"):
        dense(dtype)


@pytest.mark.parametrize(("outputs", "depth"), [(1, 4), (2, 300), (7, 5), (30, 9), (64, 64)])
def test_packing_rounds_straight_into_the_block(outputs, depth) -> None:
    random = np.random.default_rng(outputs)
    weights, bias = random.normal(size=(outputs, depth)), random.normal(size=outputs)
    held = np.zeros((2, block_floats(outputs, depth) + 8), np.float32)
    pack_gemm(held[0], weights, bias, 12)
    pack_gemm(held[1], weights.astype(np.float32), bias.astype(np.float32), 12)
    assert held[0].tobytes() == held[1].tobytes()
    assert not held[0][-8:].any()
