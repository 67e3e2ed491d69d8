"""Models out of other things."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_cases import EXPORTED
from random_models import random_model

import instjit as ij
from instjit import reference


def test_a_logistic_regression_gives_its_decision_function() -> None:
    model = ij.Model.from_logistic_regression({"b": 0.5, "a": -2, "constant": 0.25})
    assert model.features == ("a", "b")
    wanted = 1 / (1 + np.exp(-(-2 * 3 + 0.5 * 4 + 0.25)))
    np.testing.assert_allclose(reference.run(model, [[3, 4]]), [[wanted]], 1e-6)


def test_an_order_is_kept_and_must_be_complete() -> None:
    weights = {"a": 1.0, "b": 2.0}
    assert ij.Model.from_logistic_regression(weights, ["b", "a"]).features == ("b", "a")
    for order in (["a"], ["a", "a", "b"], ["a", "c"], ["a", "b", "constant"]):
        with pytest.raises(ij.ModelError, match="order must hold each of") as caught:
            ij.Model.from_logistic_regression(weights, order)
        assert caught.value.kind == "InvalidFeatureFormat"


@pytest.mark.parametrize("seed", range(60))
def test_concatenated_models_give_the_outputs_of_one_after_the_other(seed) -> None:
    first, rows = random_model(seed)
    adapter = ij.Model(
        [first.output_size, 3],
        [ij.Dot(0, 1, 0, "TANH")],
        [np.full((3, first.output_size), 0.5)],
        feature_size=first.output_size,
    )
    middle = reference.run(first, rows)
    digests = first.digest, adapter.digest
    joined = ij.concatenate([first, adapter])
    wanted, got = reference.run(adapter, middle), reference.run(joined, rows)
    assert np.array_equal(got, wanted, equal_nan=True)
    assert (first.digest, adapter.digest) == digests
    assert joined.input_size == first.input_size


def test_every_number_of_the_second_model_is_shifted() -> None:
    def model(id_map):
        return ij.Model(
            [2, 2, 2, 2],
            [
                ij.Dot(0, 1, 0),
                ij.ClipElementwise(1, 0, 1),
                ij.MapTransform(0, 2, 0, 0, 0, 2, (9, 9)),
                ij.Attention(1, 2, 3, 1),
                ij.MultiplyBufferHeads((3, 1), 3),
            ],
            [[[1, 0], [0, 1]], [[0.5, 1], [1, 0.5]]],
            parameters=[[-1], [3]],
            maps=[id_map],
            features=["a", "b"],
        )

    one, two = model({1: [1, 2]}), model({2: [3, 4]})
    joined = ij.concatenate([one, two])
    rows = np.array([[1, 2], [0.25, -3]], np.float32)
    wanted = reference.run(two, reference.run(one, rows))
    assert reference.run(joined, rows).tolist() == wanted.tolist()
    assert joined.instructions[8] == ij.Attention(4, 5, 6, 3)
    assert joined.features == ("a", "b")


def test_one_model_is_itself_and_none_is_refused() -> None:
    model = ij.load(EXPORTED[0].model)
    rows = EXPORTED[0].inputs
    assert reference.run(ij.concatenate([model]), rows).tobytes() == (
        reference.run(model, rows).tobytes()
    )
    with pytest.raises(ij.ModelError, match="expected one model or more"):
        ij.concatenate([])


def test_widths_must_meet() -> None:
    narrow = ij.Model([2, 3], [ij.Copy(0, 1)], feature_size=2)
    with pytest.raises(ij.ModelError, match="model 0 gives 3 values, model 1 takes 2") as caught:
        ij.concatenate([narrow, narrow])
    assert caught.value.kind == "InputBufferSizeMismatch"


def test_validation_rows_are_dropped_and_an_inferred_width_is_kept() -> None:
    first = ij.Model([2, 2], [ij.Copy(0, 1)], features=[], validation_data=([[1, 2]], [[1, 2]]))
    second = ij.Model([2, 2], [ij.AddElementwiseBuffers((0, 1), 1)], feature_size=2)
    joined = ij.concatenate([first, second])
    assert joined.validation_data is None
    assert (joined.features, joined.input_size) == (None, 2)


def test_transformations_drop_columns_and_look_others_up() -> None:
    model, names = ij.from_transformations(
        ["id", "x", "junk", "y"],
        [
            {"from": "id", "to": ["e0", "e1"], "size": 2, "map": {"3": [1, 2]}, "default": [8, 9]},
            {"delete": "junk"},
            {"delete": "id"},
            {"from": "y", "to": ["sign"], "size": 1, "map": {1: [1]}, "default": [-1]},
        ],
    )
    assert names == ("x", "y", "e0", "e1", "sign")
    outputs = reference.run(model, [[3, 10, 0, 1], [4, 20, 0, 0]])
    assert outputs.tolist() == [[10, 1, 1, 2, 1], [20, 0, 8, 9, -1]]


def test_array_features_take_their_columns_along() -> None:
    model, names = ij.from_transformations(["v[2]", "w", "u[3]"], [{"delete": "v[2]"}])
    assert names == ("w", "u[3]")
    assert reference.run(model, [[1, 2, 3, 4, 5, 6]]).tolist() == [[3, 4, 5, 6]]


@pytest.mark.parametrize("features", [["a", "a"], ["a["]])
def test_names_must_be_well_formed_and_stand_once(features) -> None:
    with pytest.raises(ij.ModelError, match="expected a name that stands once"):
        ij.from_transformations(features, [])


def test_a_model_with_problems_is_not_concatenated() -> None:
    with pytest.raises(ij.ModelError, match="the model has no buffers"):
        ij.concatenate([ij.Model([], [], feature_size=1)])


def test_a_name_that_is_no_feature_is_refused() -> None:
    for item in ({"delete": "z"}, {"from": "z", "to": ["a"], "size": 1, "map": {}, "default": [0]}):
        with pytest.raises(ij.ModelError, match="'z' is not among the features"):
            ij.from_transformations(["a"], [item])


def test_a_fresh_export_loads_and_agrees_with_the_exporter() -> None:
    torch = pytest.importorskip("torch")
    exporter = pytest.importorskip("instmodel.torch")
    from instmodel.instruction_model import instruction_model_inference

    torch.manual_seed(7)
    first, second = exporter.InputBuffer(5), exporter.InputBuffer(3)
    hidden = exporter.Dense(8, activation="gelu")(first)
    joined = exporter.Concatenate()([hidden, second, first[1:3]])
    scaled = exporter.ScaleVectorized([0.5] * 13)(joined)
    output = exporter.Dense(4, activation="softmax")(scaled)
    document = exporter.ModelGraph([first, second], output).create_instruction_model()
    rows = np.random.default_rng(7).normal(size=(50, 8)).astype(np.float32)
    wanted = instruction_model_inference(document, rows)[-1]
    for model in (ij.load(document), ij.load(json.dumps(document).encode())):
        np.testing.assert_allclose(reference.run(model, rows), wanted, 1e-5, 1e-6)
