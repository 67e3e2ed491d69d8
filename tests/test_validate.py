"""Every rule of a model, by kind and fields; all problems at once, in the order of the checks."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import random_model

import instjit as ij
from instjit.validate import problems

RELU = ij.Activate(0, "RELU")
MATRIX = [[[1, 2], [3, 4]]]
VECTOR = [[0, 0]]


def model(buffers=(2, 2), instructions=(RELU,), weights=(), bias=None, **rest) -> ij.Model:
    if "features" not in rest:
        rest.setdefault("feature_size", buffers[0] if buffers else 1)
    return ij.Model(buffers, instructions, weights, bias, **rest)


def table(**changes) -> ij.MapTransform:
    fields = {
        "input": 0,
        "output": 1,
        "internal_input_index": 0,
        "internal_output_index": 0,
        "map": 0,
        "size": 2,
        "default": (0, 0),
    }
    return ij.MapTransform(**{**fields, **changes})


MAP = [{1: [5, 6]}]

CASES = [
    # the model as a whole
    ("MissingFeatures", model(feature_size=None), {}),
    ("NoLayersProvided", model(buffers=()), {}),
    ("BiasWeightsMismatch", model(weights=MATRIX, bias=[]), {"bias_size": 0, "weights_size": 1}),
    ("NoInstructionsProvided", model(instructions=()), {}),
    ("TooManyWeightsForInstructions", model(weights=MATRIX * 2), {}),
    (
        "BiasWeightsSizeMismatch",
        model(instructions=[ij.Dot(0, 1, 0)], weights=MATRIX, bias=[[0]]),
        {"index": 0, "bias_size": 1, "weights_size": 2},
    ),
    ("InvalidFeatureFormat", model(features=["x[", "y"]), {"feature": "x["}),
    ("InvalidFeatureFormat", model(features=["x[99999999999999999999]"]), {}),
    ("InvalidFeatureFormat", model(features=["x[" + "9" * 5000 + "]"]), {}),
    ("FeatureSizeMismatch", model(features=["a"], feature_size=2), {"expected": 2, "actual": 1}),
    ("FeatureSizeMismatch", model(features=[], feature_size=2), {"expected": 2, "actual": 0}),
    (
        "InvalidFeatureSize",
        model(feature_size=3),
        {"expected": 3, "actual": 4, "capacities": [2, 4]},
    ),
    ("InvalidFeatureSize", model(buffers=(0, 2), feature_size=0), {"expected": 0}),
    ("InvalidFeatureSize", model(feature_size=-1), {"expected": -1}),
    (
        "ValidationInputOutputMismatch",
        model(validation_data=([[1, 2]], [])),
        {"inputs": 1, "outputs": 0},
    ),
    ("InvalidLayerSize", model(buffers=(2, 0)), {"index": 1, "size": 0}),
    ("InvalidLayerSize", model(buffers=(-1, 2), feature_size=1), {"index": 0, "size": -1}),
    ("UnsupportedBuffer", model(buffers=(2, (2, 3))), {"index": 1}),
    ("UnsupportedBuffer", model(buffers=(2, ij.Buffer((2,), "int8"))), {"index": 1}),
    ("InvalidUnifiedBufferSize", model(buffers=(0,), feature_size=0), {}),
    (
        "ComputationBufferSizeExceedsLimit",
        model(buffers=(2, 999_999)),
        {"actual": 1_000_001, "max": 1_000_000},
    ),
    ("UnusedWeights", model(weights=MATRIX), {"index": 0}),
    ("UnusedParameters", model(parameters=[[1, 2]]), {"index": 0}),
    ("UnusedMap", model(maps=MAP), {"index": 0}),
    (
        "InvalidMapKey",
        model(instructions=[table()], maps=[{"1.0": [1, 2]}]),
        {"index": 0, "key": "1.0"},
    ),
    ("InvalidMapKey", model(instructions=[table()], maps=[{" 3": [1, 2]}]), {"key": " 3"}),
    ("InvalidMapKey", model(instructions=[table()], maps=[{"1_0": [1, 2]}]), {"key": "1_0"}),
    ("InvalidMapKey", model(instructions=[table()], maps=[{"٣": [1, 2]}]), {"key": "٣"}),
    ("InvalidMapKey", model(instructions=[table()], maps=[{"": [1, 2]}]), {"key": ""}),
    (
        "InvalidMapKey",
        model(instructions=[table()], maps=[{2**31: [1, 2]}]),
        {"key": "2147483648"},
    ),
    (
        "InvalidMapKey",
        model(instructions=[table()], maps=[{"1": [1, 2], "+1": [3, 4]}]),
        {"index": 0, "key": "1"},
    ),
    (
        "UnusedComputation",
        model(instructions=[ij.Dot(0, 1, 0)] * 2, weights=MATRIX),
        {"instruction_index": 0, "buffer_index": 1, "overwritten_by": 1},
    ),
    # buffers of instructions
    ("BufferIndexOutOfBounds", model(instructions=[ij.Copy(7, 1)]), {"label": "input", "index": 7}),
    ("BufferIndexOutOfBounds", model(instructions=[ij.Copy(0, 7)]), {"label": "output"}),
    ("BufferIndexOutOfBounds", model(instructions=[ij.Copy(-1, 1)]), {"index": -1}),
    ("BufferIndexOutOfBounds", model(instructions=[ij.Activate(2, "RELU")]), {"label": "input"}),
    ("BufferIndexOutOfBounds", model(instructions=[ij.ReduceSum(0, 5)]), {"label": "output"}),
    (
        "BufferIndexOutOfBounds",
        model(instructions=[ij.AddElementwiseBuffers((0, 5), 1)]),
        {"label": "input", "index": 5},
    ),
    (
        "BufferIndexOutOfBounds",
        model(instructions=[ij.Attention(0, 9, 1, 0)], weights=MATRIX),
        {"label": "input", "index": 9},
    ),
    # operands of instructions
    (
        "SameInputOutputIndexes",
        model(instructions=[ij.Dot(0, 0, 0)], weights=MATRIX),
        {"instruction_type": "DOT"},
    ),
    ("WeightsIndexOutOfBounds", model(instructions=[ij.Dot(0, 1, 3)]), {"index": 3}),
    ("WeightsIndexOutOfBounds", model(instructions=[ij.Dot(0, 1, -1)]), {"index": -1}),
    (
        "WeightsRowSizeMismatch",
        model(instructions=[ij.Dot(0, 1, 0)], weights=[[[1, 2]]]),
        {"weights_rows": 1, "output_size": 2},
    ),
    (
        "WeightsColumnSizeMismatch",
        model(instructions=[ij.Dot(0, 1, 0)], weights=[[[1], [2]]]),
        {"input_index": 0, "weights_columns": 1, "input_size": 2},
    ),
    (
        "InvalidInputLayerSize",
        model((0, 2, 2), [ij.Dot(0, 1, 0)], [[[], []]], feature_size=2),
        {"index": 0},
    ),
    ("InvalidInputLayerSize", model((0, 2), [ij.ReduceSum(0, 1)], feature_size=2), {"index": 0}),
    (
        "InvalidInputLayerSize",
        model((0, 2), [ij.Activate(0, "SOFTMAX")], feature_size=2),
        {"index": 0},
    ),
    (
        "InputBufferSizeMismatch",
        model((3, 2, 2), [ij.Attention(0, 1, 2, 0)], MATRIX, feature_size=5),
        {"index": 0, "actual_size": 3, "expected_size": 2},
    ),
    (
        "InputBufferSizeMismatch",
        model((2, 3), [ij.MultiplyElementwiseBuffers((1, 0), 1)], feature_size=5),
        {"index": 1, "actual_size": 2, "expected_size": 3},
    ),
    (
        "InputBufferSizeMismatch",
        model((4, 2, 3), [ij.AddBufferHeads((0, 1), 2)], feature_size=6),
        {"index": 0, "actual_size": 4, "expected_size": 3},
    ),
    ("InsufficientInputBuffers", model(instructions=[ij.AddElementwiseBuffers((), 1)]), {}),
    ("InsufficientInputBuffers", model(instructions=[ij.AddBufferHeads((0, 0, 0), 1)]), {}),
    (
        "InvalidBufferHeadsSize",
        model((7, 3, 7), [ij.MultiplyBufferHeads((0, 1), 2)], feature_size=10),
        {"data_size": 7, "heads_size": 3},
    ),
    (
        "InvalidBufferHeadsSize",
        model((2, 4, 2), [ij.MultiplyBufferHeads((0, 1), 2)], feature_size=6),
        {"data_size": 2, "heads_size": 4},
    ),
    ("ParametersIndexOutOfBounds", model(instructions=[ij.AddElementwise(0, 0)]), {"index": 0}),
    (
        "ParametersIndexOutOfBounds",
        model(instructions=[ij.ClipElementwise(0, None, 4)]),
        {"index": 4},
    ),
    (
        "ParametersSizeMismatch",
        model(instructions=[ij.MulElementwise(0, 0)], parameters=[[1, 2, 3]]),
        {"index": 0, "params_size": 3, "layer_size": 2},
    ),
    (
        "InternalIndexOutOfBounds",
        model(instructions=[ij.Copy(0, 1, 1)]),
        {"internal_index": 1, "data_size": 2, "output_size": 2},
    ),
    ("InternalIndexOutOfBounds", model(instructions=[ij.Copy(0, 1, -1)]), {"internal_index": -1}),
    (
        "TooManyInternalIndexes",
        model(instructions=[ij.CopyMasked(0, 1, (0, 0, 0))]),
        {"indexes_size": 3, "output_size": 2},
    ),
    (
        "InternalIndexOutOfInputBounds",
        model(instructions=[ij.CopyMasked(0, 1, (0, 2))]),
        {"input_size": 2, "invalid_index": 2},
    ),
    (
        "InternalIndexOutOfInputBounds",
        model(instructions=[ij.CopyMasked(0, 1, (-3,))]),
        {"invalid_index": -3},
    ),
    ("MapIndexOutOfBounds", model(instructions=[table()]), {"index": 0}),
    (
        "MapValuesSizeMismatch",
        model(instructions=[table()], maps=[{1: [1, 2], 2: [1]}]),
        {"map_value_size": 1, "data_size": 2},
    ),
    (
        "DefaultValuesSizeMismatch",
        model(instructions=[table(default=(0,))], maps=MAP),
        {"default_size": 1, "data_size": 2},
    ),
    (
        "InternalInputIndexOutOfBounds",
        model(instructions=[table(internal_input_index=2)], maps=MAP),
        {"index": 2},
    ),
    (
        "InternalOutputIndexOutOfBounds",
        model(instructions=[table(internal_output_index=1)], maps=MAP),
        {"internal_output_index": 1, "data_size": 2, "output_size": 2},
    ),
    # validation rows
    (
        "ValidationInputSizeMismatch",
        model(validation_data=([[1]], [[1, 2]])),
        {"provided": 1, "expected": 2},
    ),
    (
        "ValidationOutputSizeMismatch",
        model(validation_data=([[1, 2]], [[1]])),
        {"index": 0, "provided": 1, "expected": 2},
    ),
    (
        "ValidationMismatch",
        model((2,), [RELU], validation_data=([[1, 2], [-1, 3]], [[1, 2], [0, 4]])),
        {"case_number": 1, "inputs": [-1, 3], "expected": [0, 4], "computed": [0, 3]},
    ),
    (
        "ValidationMismatch",
        model((2,), [RELU], validation_data=([[1, 2]], [[np.nan, 2]])),
        {"case_number": 0, "computed": [1]},
    ),
]


@pytest.mark.parametrize(
    ("kind", "broken", "fields"), CASES, ids=[f"{k}-{n}" for n, (k, _, _) in enumerate(CASES)]
)
def test_a_broken_rule_is_reported_by_kind_and_fields(kind, broken, fields) -> None:
    first = ij.validate(broken)[0]
    assert first.kind == kind
    assert {name: first.fields[name] for name in fields} == fields
    assert first.message
    assert "\n" not in first.message


def test_too_many_weights_are_refused() -> None:
    wide = np.zeros((1, 10_000_000), np.float32)
    assert problems(model((1, 1), [ij.Dot(0, 1, 0)], [wide]))[0].fields == {
        "actual": 10_000_001,
        "max": 10_000_000,
    }


def test_limits_can_be_raised() -> None:
    wide = model(buffers=(2, 1_000_000))
    assert [p.kind for p in problems(wide)] == ["ComputationBufferSizeExceedsLimit"]
    assert problems(wide, slots=2_000_000) == ()
    dense = model((2, 2), [ij.Dot(0, 1, 0)], MATRIX)
    assert problems(dense, weights=6) == ()
    assert [p.kind for p in problems(dense, weights=5)] == ["WeightSizeExceedsLimit"]


def test_all_problems_come_at_once_in_the_order_of_the_checks() -> None:
    broken = ij.Model(
        [2, 0, 2],
        [ij.Dot(0, 2, 5), ij.Copy(9, 2), ij.AddElementwise(0, 3)],
        [[[1, 2]]],
        [[1, 2]],
        parameters=[[1]],
        features=["x[", "y]"],
        validation_data=([[1]], []),
    )
    found = ij.validate(broken)
    assert [(p.kind, p.instruction) for p in found] == [
        ("BiasWeightsSizeMismatch", None),
        ("InvalidFeatureFormat", None),
        ("InvalidFeatureFormat", None),
        ("ValidationInputOutputMismatch", None),
        ("InvalidLayerSize", None),
        ("WeightsIndexOutOfBounds", 0),
        ("BufferIndexOutOfBounds", 1),
        ("ParametersIndexOutOfBounds", 2),
        ("UnusedWeights", None),
        ("UnusedParameters", None),
    ]


def test_sentences_say_what_where_wanted_and_got() -> None:
    broken = model((2, 8), [RELU, ij.Dot(0, 1, 0)], [np.zeros((16, 2))])
    assert [p.message for p in problems(broken)] == [
        "instruction 1 (DOT): weights 0 give 16 values, buffer 1 holds 8"
    ]


def test_a_check_with_a_faulty_operand_is_skipped() -> None:
    broken = model(instructions=[ij.Dot(9, 1, 0)], weights=[[[1, 2], [3, 4]]])
    assert [p.kind for p in problems(broken)] == ["BufferIndexOutOfBounds"]


def test_validation_rows_are_compared_as_the_family_does() -> None:
    def kinds(inputs, outputs):
        rows = model((2,), [ij.ClipElementwise(0)], validation_data=(inputs, outputs))
        return [p.kind for p in ij.validate(rows)]

    assert kinds([[1, 2]], [[1.000009, 2]]) == []
    assert kinds([[1, 2]], [[1.000012, 2]]) == ["ValidationMismatch"]
    assert kinds([[np.nan, np.inf]], [[np.nan, np.inf]]) == []
    assert kinds([[np.inf, 0]], [[-np.inf, 0]]) == ["ValidationMismatch"]
    assert kinds([], []) == []
    assert kinds([[1, 2], [1], [3, 4]], [[0, 2], [1, 2], [3]]) == [
        "ValidationMismatch",
        "ValidationInputSizeMismatch",
        "ValidationOutputSizeMismatch",
    ]


def test_unused_partial_writes_are_no_problem() -> None:
    assert problems(model(instructions=[ij.Copy(0, 1), ij.CopyMasked(0, 1, (1, 0))])) == ()


@pytest.mark.parametrize("mask", [(), (1, 1), (-1, 0)])
def test_masks_may_be_empty_repeat_and_count_from_the_end(mask) -> None:
    assert problems(model(instructions=[ij.CopyMasked(0, 1, mask)])) == ()


@pytest.mark.parametrize("seed", range(300))
def test_random_models_are_valid(seed) -> None:
    assert ij.validate(random_model(seed)[0]) == ()
