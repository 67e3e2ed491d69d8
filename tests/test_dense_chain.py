"""Models as dense chains: what a chain is, what is not, and the bits of those that are."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import rnn_golden
from nets import dense

import instjit as ij
from instjit.formats import rmd1
from instjit.formats.chain import to_dense, to_model
from instjit.formats.dense import DenseActivation

KINDS = [None, "RELU", "SIGMOID", "TANH"]


def model(sizes, instructions, *, feature_size: int | None = None, **more) -> ij.Model:
    """Every Dot k has matrix k, from one leading buffer to the other as its own sizes say."""
    rng = np.random.default_rng(1)
    dots = [each for each in instructions if isinstance(each, ij.Dot)]
    weights = [rng.normal(size=(sizes[dot.output], sizes[dot.input])) for dot in dots]
    return ij.Model(sizes, instructions, weights, feature_size=feature_size or sizes[0], **more)


def random_chain(seed: int) -> ij.Model:
    """Any widths and activations, each in its DOT or behind it; some layers share a matrix."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 30, rng.integers(2, 7)).tolist()
    if seed % 3 == 0:
        widths = [widths[0]] * len(widths)
    steps: list[ij.Instruction] = []
    weights, bias = [], []
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        kind = KINDS[rng.integers(4)]
        inside = rng.random() < 0.5
        number = len(weights)
        if seed % 3 == 0 and weights and rng.random() < 0.5:
            number -= 1
        else:
            weights.append(rng.normal(size=(outputs, inputs)))
            bias.append(rng.normal(size=outputs))
        steps.append(ij.Dot(layer, layer + 1, number, kind if inside else None))
        if kind and not inside:
            steps.append(ij.Activate(layer + 1, kind))
    dtype = "float64" if seed % 2 else "float32"
    return ij.Model(widths, steps, weights, bias, feature_size=widths[0], dtype=dtype)


def bits(net: ij.Model, rows: np.ndarray) -> list[int]:
    return ij.reference.run(net, rows).view(np.uint32).ravel().tolist()


@pytest.mark.parametrize("seed", range(60))
def test_a_random_chain_keeps_its_bits_through_a_file(seed) -> None:
    net = random_chain(seed)
    assert ij.validate(net) == ()
    content = rmd1.encode(net)
    again = ij.load(content)
    rows = np.random.default_rng(seed).normal(size=(7, net.input_size)).astype(np.float32)
    assert bits(again, rows) == bits(net, rows)
    assert again.dtype == net.dtype
    wanted = ij.reference.run64(net, rows)
    np.testing.assert_array_equal(ij.reference.run64(again, rows), wanted)
    assert rmd1.encode(again) == content


@pytest.mark.parametrize("widths", [(1, 1), (2, 3, 1), (16, 8, 8, 4)], ids=str)
def test_a_chain_of_dots_is_the_same_model_again(widths) -> None:
    net = dense(*widths, activation="TANH", last=None)
    assert to_model(to_dense(net)) == net


@pytest.mark.parametrize("kind", ["RELU", "SIGMOID", "TANH"])
def test_an_activation_behind_its_dot_is_taken_into_the_layer(kind) -> None:
    document = {
        "features": ["a", "b"],
        "buffer_sizes": [2, 3, 1],
        "instructions": [
            {"type": "DOT", "input": 0, "output": 1, "weights": 0},
            {"type": "ACTIVATION", "input": 1, "activation": kind},
            {"type": "DOT", "input": 1, "output": 2, "weights": 1, "activation": "SIGMOID"},
        ],
        "weights": [[[1, -2], [3, -4], [-5, 6]], [[0.5, -0.25, 2]]],
        "bias": [[0.1, 0.2, 0.3], [-1]],
        "parameters": [],
        "maps": [],
    }
    net = ij.load(json.dumps(document).encode())
    again = ij.load(rmd1.encode(net))
    assert again.instructions == (ij.Dot(0, 1, 0, kind), ij.Dot(1, 2, 1, "SIGMOID"))
    rows = np.array([[1, 2], [-3, 0.5], [np.nan, 1]], np.float32)
    assert bits(again, rows) == bits(net, rows)


def test_every_activation_has_its_number() -> None:
    steps = [ij.Dot(k, k + 1, k, kind) for k, kind in enumerate(KINDS)]
    layers = to_dense(model([2] * 5, steps)).layers
    assert [layer.activation for layer in layers] == list(DenseActivation)
    assert [int(layer.activation) for layer in layers] == [0, 1, 2, 3]


def test_ranges_stand_one_behind_the_other() -> None:
    layers = to_dense(dense(2, 3, 4, 1)).layers
    assert [(each.weight_offset, each.bias_offset) for each in layers] == [(0, 0), (6, 3), (18, 7)]


def test_layers_of_one_matrix_get_one_each() -> None:
    net = ij.Model(
        [2, 2, 2], [ij.Dot(0, 1, 0), ij.Dot(1, 2, 0)], [[[1, 2], [3, 4]]], feature_size=2
    )
    assert to_dense(net).weights.array.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]


def test_matrices_come_in_the_order_of_the_layers() -> None:
    net = ij.Model([1, 1, 1], [ij.Dot(0, 1, 1), ij.Dot(1, 2, 0)], [[[5]], [[7]]], feature_size=1)
    assert to_dense(net).weights.array.tolist() == [7, 5]


REFUSED = {
    "another instruction first": (
        model([2, 2, 1], [ij.Copy(0, 1), ij.Dot(1, 2, 0)]),
        0,
        "instruction 0 (COPY) is no layer of a dense chain",
    ),
    "another instruction between": (
        model([2, 3, 3, 1], [ij.Dot(0, 1, 0), ij.Copy(1, 2), ij.Dot(2, 3, 1)]),
        1,
        "instruction 1 (COPY) is no layer of a dense chain",
    ),
    "another instruction last": (
        model([2, 3], [ij.Dot(0, 1, 0), ij.AddElementwise(1, 0)], parameters=[[1]]),
        1,
        "instruction 1 (ADD_ELEMENTWISE) is no layer of a dense chain",
    ),
    "the input activated": (
        model([2, 3], [ij.Activate(0, "RELU"), ij.Dot(0, 1, 0)]),
        0,
        "instruction 0 (ACTIVATION) is no layer of a dense chain",
    ),
    "two activations": (
        model([2, 3], [ij.Dot(0, 1, 0, "RELU"), ij.Activate(1, "TANH")]),
        1,
        "instruction 1 (ACTIVATION) is no layer of a dense chain",
    ),
    "an older buffer activated": (
        model([2, 3, 1], [ij.Dot(0, 1, 0), ij.Dot(1, 2, 1), ij.Activate(1, "RELU")]),
        2,
        "instruction 2 (ACTIVATION) is no layer of a dense chain",
    ),
    "an activation that the format lacks": (
        model([2, 3, 1], [ij.Dot(0, 1, 0, "RELU"), ij.Dot(1, 2, 1, "GELU")]),
        1,
        "instruction 1: the format has no activation GELU, it has RELU, SIGMOID, TANH",
    ),
    "a softmax behind": (
        model([2, 3], [ij.Dot(0, 1, 0), ij.Activate(1, "SOFTMAX")]),
        1,
        "instruction 1: the format has no activation SOFTMAX, it has RELU, SIGMOID, TANH",
    ),
    "a buffer skipped": (
        model([2, 3, 3, 1], [ij.Dot(0, 2, 0), ij.Dot(2, 3, 1)]),
        0,
        "instruction 0 (DOT) goes from buffer 0 to 2, layer 0 of a dense chain goes from 0 to 1",
    ),
    "a branch": (
        model([2, 3, 1], [ij.Dot(0, 1, 0), ij.Dot(0, 2, 1)]),
        1,
        "instruction 1 (DOT) goes from buffer 0 to 2, layer 1 of a dense chain goes from 1 to 2",
    ),
    "two faults": (
        model([2, 3, 1], [ij.Dot(0, 1, 0, "GELU"), ij.Copy(1, 2)]),
        0,
        "instruction 0: the format has no activation GELU, it has RELU, SIGMOID, TANH",
    ),
    "a buffer that nothing writes": (
        model([2, 3, 1], [ij.Dot(0, 1, 0)]),
        None,
        "the model has 3 buffers for 1 layers, a chain has one more than layers",
    ),
    "an input over two buffers": (
        model([2, 3], [ij.Dot(0, 1, 0)], feature_size=5),
        None,
        "a row has 5 columns, buffer 0 holds 2, a dense chain starts with its input",
    ),
    "no instructions": (
        ij.Model([2], [], feature_size=2),
        None,
        "the model has no instructions",
    ),
}


@pytest.mark.parametrize(("net", "number", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_chain_is_refused_for_its_first_instruction(net, number, sentence) -> None:
    with pytest.raises(ij.FormatError) as error:
        rmd1.encode(net)
    (problem,) = error.value.problems
    assert (problem.kind, problem.instruction) == ("NotADenseChain", number)
    assert problem.message == sentence


def test_a_network_whose_layers_do_not_fit_is_no_model() -> None:
    content = rnn_golden.sample("chain_mismatch_2_3_then_2_1").content
    with pytest.raises(ij.FormatError, match="layer 1: takes 2 values, layer 0 gives 3") as error:
        to_model(rmd1.unpack(content))
    assert error.value.fields == {"layer": 1, "given": 3, "taken": 2}


def test_a_network_without_layers_is_no_model() -> None:
    with pytest.raises(ij.FormatError) as error:
        to_model(rmd1.Dense.of([], [], [], "float32"))
    assert error.value.kind == "EmptyPlan"


def test_every_step_that_does_not_fit_is_reported() -> None:
    layers = [rmd1.Layer(1, 2, 0, 0, 0), rmd1.Layer(3, 1, 0, 0, 0), rmd1.Layer(5, 1, 0, 0, 0)]
    with pytest.raises(ij.FormatError) as error:
        to_model(rmd1.Dense.of(layers, np.ones(9), np.ones(9), "float32"))
    assert [each.fields["layer"] for each in error.value.problems] == [1, 2]
