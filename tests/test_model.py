"""Models as values: typed in, frozen, equal by content."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import instjit as ij


def two_layers(**changes) -> ij.Model:
    arguments = {
        "buffers": [2, 2, 1],
        "instructions": [
            ij.Dot(0, 1, weights=0, activation="RELU"),
            ij.Dot(1, 2, weights=1, activation="SIGMOID"),
        ],
        "weights": [[[2, 0.5], [-2, -0.5]], [[0.5, -1]]],
        "bias": [[0.25, -0.25], [2]],
        "features": ["a", "b"],
    }
    return ij.Model(**{**arguments, **changes})


def test_a_typed_model_has_no_problems() -> None:
    assert ij.validate(two_layers()) == ()


def test_figures_follow_from_the_buffers() -> None:
    model = two_layers()
    assert (model.input_size, model.output_size, model.required_memory) == (2, 1, 5)
    assert (model.buffer_starts, model.output_start) == ((0, 2, 4), 4)


def test_constants_are_read_only_float32_copies() -> None:
    weights = np.ones((1, 2))
    model = ij.Model([2, 1], [ij.Dot(0, 1, 0)], [weights], feature_size=2)
    weights[:] = 7
    assert model.weights[0].dtype == np.float32
    assert model.weights[0].flags.c_contiguous
    assert model.weights[0].tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0][0, 0] = 2


def test_arrays_over_bytes_that_are_not_aligned_are_copied() -> None:
    content = bytes(1) + np.array([1, 2, 3], "<f4").tobytes()  # 13 bytes
    line, row = (np.ndarray(shape, "<f4", content, 1) for shape in (3, (1, 3)))
    assert not line.flags.aligned
    model = ij.Model([3, 1], [], [row], [line], parameters=[line], maps=[{1: line}], feature_size=3)
    held = (model.weights[0], model.bias[0], model.parameters[0], model.maps[0].values)
    for array in held:
        assert array.flags.aligned
        assert array.ravel().tolist() == [1, 2, 3]


def test_bias_is_zero_when_left_out() -> None:
    assert ij.Model([2, 1], [ij.Dot(0, 1, 0)], [[[1, 2]]]).bias[0].tolist() == [0]


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        two_layers().features = ("x", "y")  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ["a", "c"]},
        {"features": None, "feature_size": 2},
        {"buffers": [2, 2, 2]},
        {"weights": [[[2, 0.5], [-2, -0.5]], [[0.5, -1.0000001]]]},
        {"bias": [[0.25, -0.25], [-2]]},
        {"parameters": [[1]]},
        {"maps": [{1: [1]}]},
        {"validation_data": ([[1, 2]], [[3]])},
        {"instructions": [ij.Dot(0, 1, 0), ij.Dot(1, 2, 1)]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_models_are_equal_by_content(changes) -> None:
    assert two_layers() == two_layers()
    assert hash(two_layers()) == hash(two_layers())
    assert two_layers() != two_layers(**changes)
    assert two_layers(**changes) == two_layers(**changes)


def test_signed_zeros_differ_and_nan_equals_nan() -> None:
    assert two_layers(bias=[[0.0, 1], [2]]) != two_layers(bias=[[-0.0, 1], [2]])
    assert two_layers(bias=[[np.nan, 1], [2]]) == two_layers(bias=[[np.nan, 1], [2]])


def test_arrays_do_not_run_together_in_the_digest() -> None:
    one = two_layers(parameters=[[1], [2, 3]])
    other = two_layers(parameters=[[1, 2], [3]])
    assert one.digest != other.digest
    assert len(one.digest) == 64


def test_a_pickled_model_is_equal_and_still_read_only() -> None:
    model = two_layers(maps=[{1: [1, 2]}], validation_data=([[1, 2]], [[3]]))
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert not copy.weights[0].flags.writeable


def test_repr_is_one_line() -> None:
    model = two_layers()
    assert repr(model) == f"Model(2 -> 1, 2 instructions, 0x{model.digest[:8]})"
    assert repr(model.instructions[0]) == "Dot(input=0, output=1, weights=0, activation='RELU')"


def test_instructions_take_numpy_integers() -> None:
    assert ij.Copy(np.int64(0), np.uint8(1)) == ij.Copy(0, 1, internal_index=0)
    assert type(ij.Copy(np.int64(0), 1).input) is int


@pytest.mark.parametrize("name", ["relu", "NONE", "", None, 3])
def test_an_unknown_activation_is_refused_by_name(name) -> None:
    with pytest.raises((ij.ModelError, TypeError), match="no activation"):
        ij.Activate(0, name)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"weights": [[1, 2]]}, "weights 0"),
        ({"weights": [[["x", 2]]]}, "weights 0"),
        ({"bias": [[[1]]]}, "bias 0"),
        ({"parameters": [3]}, "parameters 0"),
    ],
)
def test_what_is_no_matrix_or_vector_is_refused_by_place(arguments, place) -> None:
    with pytest.raises(ij.ModelError, match=place) as caught:
        ij.Model([2, 1], [], **{"feature_size": 2, **arguments})
    assert caught.value.kind == "InvalidArray"


def test_rows_of_unequal_length_stay_for_validate_to_report() -> None:
    model = ij.Model([2, 2], [ij.Dot(0, 1, 0)], [[[1, 2], [3]]], feature_size=2)
    assert [p.kind for p in ij.validate(model)] == ["WeightsColumnSizeMismatch"]


@pytest.mark.parametrize(
    ("buffers", "instructions", "width"),
    [
        ([3, 2], [ij.Dot(0, 1, 0)], 3),
        ([3, 2, 2], [ij.AddElementwiseBuffers((1, 1), 2)], 5),
        ([1, 2, 3, 4], [ij.Copy(0, 2), ij.Copy(2, 3), ij.Copy(1, 3, 2)], 3),
        ([1, 2, 2], [ij.Copy(0, 2), ij.Activate(2, "RELU")], 1),
        ([3, 2], [ij.Activate(1, "RELU")], 5),
        ([3, 2], [], 3),
        ([0, 2], [ij.Activate(1, "RELU")], 2),
    ],
)
def test_no_names_means_the_leading_buffers_that_are_read_first(
    buffers, instructions, width
) -> None:
    assert ij.Model(buffers, instructions, features=[]).input_size == width


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("age", 1),
        ("", 1),
        ("x[3]", 3),
        ("x[+2]", 2),
        ("x[02]", 2),
        ("my feature [2]", 2),
        ("Höhe", 1),
        ("line\nbreak[2]", 2),
        ("x[18446744073709551615]", 2**64 - 1),
    ],
)
def test_a_feature_name_tells_its_width(name, width) -> None:
    assert ij.Model([1], [], features=[name]).input_size == width


def test_a_lookup_table_gives_sorted_arrays() -> None:
    table = ij.LookupTable({"7": [1, 2], "-3": [3, 4], 5: [5, 6]})
    assert table.keys == (7, -3, 5)
    assert table.keys_array.tolist() == [-3, 5, 7]
    assert table.values_array.tolist() == [[3, 4], [5, 6], [1, 2]]
    assert (table.keys_array.dtype, table.values_array.dtype) == (np.int32, np.float32)
    with pytest.raises(AttributeError, match="frozen"):
        table.keys = ()


def test_a_buffer_has_a_shape() -> None:
    assert ij.Model([2, (3, 4), ij.Buffer((5,))], []).buffers[1].size == 12


def test_cost_counts_the_work_of_a_row() -> None:
    cost = ij.cost(two_layers())
    assert cost.multiply_adds == 6
    assert cost.constants == 9
    assert cost.flops > 12
