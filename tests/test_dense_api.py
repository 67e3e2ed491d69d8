"""The crate's dense functions: sizes, packing, running, first weights."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import rnn_golden
from rnn_golden import RMD1, Sample

import instjit as ij
from instjit.counted import shown
from instjit.formats import dense_run, initial, rmd1
from instjit.formats.dense import Dense, DenseActivation, Layer
from instjit.formats.limits import Limits

HUGE = 10**5000
"""What ``str`` refuses."""
GOOD = [each for each in RMD1 if each.loads]
by_name = {"ids": lambda each: each.id}
WRONG_TOPOLOGIES = [
    [],
    [8],
    [8, 0],
    [0, 8],
    [8, -1, 2],
    [8, 2.0],
    [8, True],
    ["8", "2"],
    [8, None],
    5,
    None,
    [8, -HUGE],
    [HUGE, "2"],
    np.ones((9, 2), int),
]


def kind_of(call, *arguments, **named) -> tuple[type, str]:
    with pytest.raises(ij.InstjitError) as error:
        call(*arguments, **named)
    assert "\n" not in str(error.value)
    return type(error.value), error.value.kind


def layer(inputs: int, outputs: int, weights: int = 0, biases: int = 0, kind: int = 0) -> Layer:
    return Layer(inputs, outputs, weights, biases, DenseActivation(kind))


def net(*layers: Layer, dtype: str = "float32", weights: int = 12, biases: int = 6) -> Dense:
    """Layers over so many small numbers, none of them the same."""
    numbers = np.arange(1, weights + biases + 1) / 8
    return Dense.of(layers, numbers[:weights], -numbers[weights:], dtype)


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", rnn_golden.cases("rnn_dense_required_buffers"), ids=str)
def test_required_buffers_of_the_goldens(case) -> None:
    topology, expected = case["args"]["topology"], case["expect"]
    if "error" in expected:
        assert kind_of(rmd1.required_buffers, topology) == (ij.InputError, expected["error"])
    else:
        assert rmd1.required_buffers(topology) == rmd1.Buffers(**expected)


@pytest.mark.parametrize("case", rnn_golden.cases("rnn_validate_dense_counts"), ids=str)
def test_validate_counts_of_the_goldens(case) -> None:
    expected = case["expect"]["error"]
    assert kind_of(rmd1.validate_counts, **case["args"]) == (ij.InputError, expected)


@pytest.mark.parametrize("case", rnn_golden.cases("expected_parameter_counts"), ids=str)
def test_parameter_counts_of_the_goldens(case) -> None:
    topology, expected = case["args"]["layers"], case["expect"]
    if expected is None:
        refused = kind_of(rmd1.required_from_topology, topology)
        assert refused == (ij.InputError, "InvalidTopology")
    else:
        counts = rmd1.required_from_topology(topology)
        assert [counts.weights, counts.biases] == list(
            expected.values() if isinstance(expected, dict) else expected
        )


@pytest.mark.parametrize("topology", WRONG_TOPOLOGIES, ids=shown)
@pytest.mark.parametrize(
    "call",
    [
        rmd1.validate_topology,
        rmd1.required_from_topology,
        rmd1.required_buffers,
        rmd1.contiguous,
        rmd1.infer_scratch,
        lambda topology: rmd1.validate_counts(topology, 1, 1),
        lambda topology: rmd1.pack(topology, [1], [1]),
    ],
    ids=["validate", "required", "buffers", "contiguous", "scratch", "counts", "pack"],
)
def test_a_topology_that_is_none_is_refused(call, topology) -> None:
    assert kind_of(call, topology) == (ij.InputError, "InvalidTopology")


def test_numpy_widths_are_widths() -> None:
    assert rmd1.validate_topology(np.array([2, 3])) == (2, 3)
    assert rmd1.required_from_topology(np.array([2, 3, 1])) == rmd1.Counts(2, 9, 4)


def test_more_than_64_bits_count_is_refused() -> None:
    just = [2**32 - 1, 2**32 + 1]  # 2^64 - 1 weights
    over = [2**32, 2**32]
    assert rmd1.required_from_topology(just).weights == 2**64 - 1
    assert rmd1.required_buffers(just).weights == 2**64 - 1
    for topology in (over, [HUGE, 1]):
        refused = kind_of(rmd1.required_from_topology, topology)
        assert refused == (ij.InputError, "InvalidTopology")
        assert kind_of(rmd1.required_buffers, topology) == (ij.InputError, "CapacityTooSmall")


@pytest.mark.parametrize(
    ("weights", "biases", "accepted"),
    [
        (9, 4, True),
        (np.int64(9), np.uint8(4), True),
        (8, 4, False),
        (10, 4, False),
        (9, 3, False),
        (9, 5, False),
        (HUGE, 4, False),
        ("9", 4, False),
        (9, 4.0, False),
        (9, None, False),
    ],
    ids=shown,
)
def test_counts_have_to_be_those_of_the_topology(weights, biases, accepted) -> None:
    if accepted:
        rmd1.validate_counts([2, 3, 1], weights, biases)
    else:
        refused = kind_of(rmd1.validate_counts, [2, 3, 1], weights, biases)
        assert refused == (ij.InputError, "CapacityTooSmall")


@pytest.mark.parametrize("sample", RMD1, **by_name)
def test_required_from_bytes_reads_the_header_alone(sample: Sample) -> None:
    wanted = sample.raw.get("required_from_bytes", "ok")
    for content in (sample.content, sample.content[:20]):
        if wanted == "ok":
            counts = rmd1.required_from_bytes(content)
            assert (counts.layers, counts.weights, counts.biases) == struct.unpack(
                "<3I", content[8:20]
            )
        else:
            assert kind_of(rmd1.required_from_bytes, content) == (ij.FormatError, wanted)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"rmd1\x02" + bytes(14), "20 bytes, file has 19"),
        (b"rmd1\x02" + bytes(15), "begin with"),
        (b"RMD1\x02" + bytes(15), "version 1, got 2"),
    ],
)
def test_required_from_bytes_asks_for_size_magic_and_version_in_this_order(
    content, sentence
) -> None:
    with pytest.raises(ij.FormatError, match=sentence):
        rmd1.required_from_bytes(content)


@pytest.mark.parametrize("call", [rmd1.unpack, rmd1.required_from_bytes, rmd1.describe])
def test_bytes_come_in_any_buffer_and_in_nothing_else(call) -> None:
    content = rnn_golden.sample("seed_2x1_identity").content
    words = memoryview(np.frombuffer(content, np.uint32))
    for buffer in (bytearray(content), memoryview(content), words):
        assert type(call(buffer)) is type(call(content))
    for wrong in (52, "RMD1", None):
        assert kind_of(call, wrong) == (ij.InputError, "BadBytes")


@pytest.mark.parametrize("sample", GOOD, **by_name)
def test_scratch_of_the_goldens(sample: Sample) -> None:
    layers, rows = rmd1.unpack(sample.content).layers, len(sample.inputs)
    widths = rmd1.widths_of(layers)
    assert rmd1.infer_scratch(widths) == sample.raw["scratch_elems_single"]
    assert rmd1.infer_scratch(widths, rows) == sample.raw["scratch_elems_batch"]
    assert rmd1.required_buffers(widths).infer_scratch == sample.raw["scratch_elems_single"]


def test_widths_of_layers_are_those_of_the_chain() -> None:
    assert rmd1.widths_of(rmd1.contiguous([5, 1, 7, 2])) == (5, 1, 7, 2)
    assert kind_of(rmd1.widths_of, ()) == (ij.FormatError, "EmptyPlan")
    broken = (layer(2, 3), layer(2, 1))
    assert kind_of(rmd1.widths_of, broken) == (ij.FormatError, "IncompatibleChain")


@pytest.mark.parametrize("rows", [0, -HUGE, 2.5, 2.0, "x", True, None], ids=shown)
def test_scratch_of_no_number_of_rows_is_refused(rows) -> None:
    assert kind_of(rmd1.infer_scratch, [2, 1], rows) == (ij.InputError, "ShapeMismatch")


def test_scratch_has_at_most_64_bits() -> None:
    assert rmd1.infer_scratch([2**62, 2], np.int64(1)) == 2**63
    assert rmd1.infer_scratch([1, 1], 2**63 - 1) == 2**64 - 2
    for topology, rows in (([2**63, 2], 1), ([1, 1], 2**63), ([2**70, 2], 1), ([1, HUGE], HUGE)):
        refused = kind_of(rmd1.infer_scratch, topology, rows)
        assert refused == (ij.InputError, "CapacityTooSmall")


# -- packing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("topology", [[1, 1], [2, 3, 1], [5, 1, 7, 2]], ids=str)
def test_pack_writes_what_unpack_reads(topology, dtype) -> None:
    counts = rmd1.required_from_topology(topology)
    weights, biases = np.arange(counts.weights) / 3, -np.arange(counts.biases) / 7
    content = rmd1.pack(topology, weights, biases, "tanh", DenseActivation.SIGMOID, dtype)
    dense = rmd1.unpack(content)
    assert dense.layers == rmd1.contiguous(topology, "tanh", "sigmoid")
    assert dense.dtype == dtype
    np.testing.assert_array_equal(dense.weights.array, weights.astype(dtype))
    np.testing.assert_array_equal(dense.biases.array, biases.astype(dtype))
    assert rmd1.pack_dense(dense) == content == rmd1.encode(rmd1.decode(content))


def test_pack_puts_the_output_activation_on_the_last_layer_alone() -> None:
    assert rmd1.contiguous([2, 3, 4, 1], "relu", "tanh") == (
        layer(2, 3, 0, 0, 1),
        layer(3, 4, 6, 3, 1),
        layer(4, 1, 18, 7, 3),
    )
    assert rmd1.contiguous([2, 1], "relu", "tanh") == (layer(2, 1, 0, 0, 3),)


ONE_HIDDEN = [
    each
    for each in GOOD
    if each.canonical
    and each.name != "shared_weight_range"
    and len({layer["activation"] for layer in each.raw["layers"][:-1]}) < 2
]
"""What ``pack`` can write: one hidden activation, ranges one after the other."""


def test_samples_of_one_hidden_activation_are_these() -> None:
    several = {"deep_12_layers", "mlp3_relu_tanh_identity", "mlp3_sigmoid_relu_sigmoid"}
    canonical = {each.name for each in GOOD if each.canonical}
    assert canonical - {each.name for each in ONE_HIDDEN} - several == {"shared_weight_range"}


@pytest.mark.parametrize("sample", ONE_HIDDEN, **by_name)
def test_pack_writes_the_goldens(sample: Sample) -> None:
    dense = rmd1.unpack(sample.content)
    widths = rmd1.widths_of(dense.layers)
    numbers = dense.weights.array, dense.biases.array
    kinds = dense.layers[0].activation, dense.layers[-1].activation
    assert rmd1.pack(widths, *numbers, *kinds, sample.dtype) == sample.content


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([2, 1], [1, 2, 3], [1]), (ij.InputError, "CapacityTooSmall")),
        (([2, 1], [1, 2], []), (ij.InputError, "CapacityTooSmall")),
        (([2, 1], [1, 2], [1], "gelu"), (ij.InputError, "InvalidActivation")),
        (([2, 1], [1, 2], [1], "relu", 4), (ij.InputError, "InvalidActivation")),
        *(
            (([2, 1], [1, 2], [1], "relu", wrong), (ij.InputError, "InvalidActivation"))
            for wrong in (True, 1.0, None, [1], np.array([1, 2]), HUGE)
        ),
        (([2, 1], [1, 2], [1], "relu", "relu", "float16"), (ij.InputError, "InvalidDtype")),
        (([2, 1], [[1, 2]], [1]), (ij.ModelError, "InvalidArray")),
        (([2, 1], ["a", "b"], [1]), (ij.ModelError, "InvalidArray")),
    ],
)
def test_pack_refuses(arguments, expected) -> None:
    assert kind_of(rmd1.pack, *arguments) == expected


NETWORKS = {
    "gaps": net(layer(2, 2, 1, 2, 1), layer(2, 1, 9, 5, 2)),
    "reordered": net(layer(2, 3, 6, 3), layer(3, 2, 0, 0, 3)),
    "overlapping": net(layer(2, 3, 2, 1, 1), layer(3, 3, 3, 2), layer(3, 1, 0, 0, 2)),
    "float64": net(layer(3, 2, 5, 4, 3), layer(2, 3, 0, 0), dtype="float64"),
    "no chain": net(layer(2, 3), layer(2, 1)),
    "nothing over": net(layer(3, 4, 0, 2)),
}


@pytest.mark.parametrize("dense", NETWORKS.values(), ids=NETWORKS)
def test_explicit_records_survive_to_the_byte(dense) -> None:
    content = rmd1.pack_dense(dense)
    again = rmd1.unpack(content)
    assert again.layers == dense.layers
    assert again.dtype == dense.dtype
    np.testing.assert_array_equal(again.weights.array, dense.weights.array)
    np.testing.assert_array_equal(again.biases.array, dense.biases.array)
    assert rmd1.pack_dense(again) == content


FAULTS = {
    "no layers": ([], "BadHeader", "EmptyPlan"),
    "no inputs": ([layer(0, 1)], "InvalidLayer", "InvalidShape"),
    "no outputs": ([layer(1, 0)], "InvalidLayer", "InvalidShape"),
    "a negative size": ([layer(-1, 1)], "InvalidLayer", "InvalidShape"),
    "weights past the end": ([layer(3, 4, 1)], "InvalidLayer", "InvalidRange"),
    "biases past the end": ([layer(2, 3, 0, 4)], "InvalidLayer", "InvalidRange"),
    "a negative offset": ([layer(2, 3, -1)], "InvalidLayer", "InvalidRange"),
    "a huge layer": ([layer(2**32, 1)], "InvalidLayer", "InvalidRange"),
    "the second's range": ([layer(1, 1), layer(1, 1, 12)], "InvalidLayer", "InvalidRange"),
    "an unknown activation": (
        [Layer(1, 1, 0, 0, 4)],
        "InvalidActivation",
        "InvalidActivation",
    ),
    **{
        f"activation {wrong!r}": (
            [Layer(1, 1, 0, 0, wrong)],
            "InvalidActivation",
            "InvalidActivation",
        )
        for wrong in ([1], True, None, 1.0)
    },
    "layers that do not fit": ([layer(2, 3), layer(2, 1)], None, "IncompatibleChain"),
    "ranges before the chain": (
        [layer(2, 3), layer(2, 1, 99)],
        "InvalidLayer",
        "InvalidRange",
    ),
    "shapes before the chain": ([layer(2, 3), layer(0, 1)], "InvalidLayer", "InvalidShape"),
}


@pytest.mark.parametrize(("layers", "packed", "planned"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_network_is_neither_packed_nor_run(layers, packed, planned) -> None:
    dense = net(*layers)
    assert kind_of(rmd1.validate_plan, dense) == (ij.FormatError, planned)
    assert kind_of(rmd1.run, dense, [1.0]) == (ij.FormatError, planned)
    if packed is None:
        assert rmd1.pack_dense(dense)
    else:
        assert kind_of(rmd1.pack_dense, dense) == (ij.FormatError, packed)


def test_a_plan_with_the_last_numbers_is_valid() -> None:
    rmd1.validate_plan(net(layer(2, 3, 6, 3), layer(3, 4, 0, 2)))


def test_more_numbers_than_32_bits_count_are_not_packed(monkeypatch) -> None:
    monkeypatch.setattr("instjit.formats.rmd1_bytes.U32_MAX", 12)
    just, over = net(layer(1, 1)), net(layer(1, 1), weights=13)
    assert len(rmd1.pack_dense(just)) == 20 + 20 + 4 * 18
    assert kind_of(rmd1.pack_dense, over) == (ij.FormatError, "BadHeader")


# -- running ---------------------------------------------------------------------------------------


def random_net(seed: int, dtype: str = "float32") -> Dense:
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 40, rng.integers(2, 6)).tolist()
    kinds = rng.integers(0, 4, len(widths) - 1).tolist()
    plain = rmd1.contiguous(widths)
    layers = [
        Layer(each.input_size, each.output_size, each.weight_offset, each.bias_offset, kind)
        for each, kind in zip(plain, map(DenseActivation, kinds), strict=True)
    ]
    counts = rmd1.required_from_topology(widths)
    weights, biases = rng.normal(size=counts.weights), rng.normal(size=counts.biases)
    return Dense.of(layers, weights, biases, dtype)


@pytest.mark.parametrize("seed", range(20))
def test_exact_float32_has_the_bits_of_the_reference(seed) -> None:
    dense = random_net(seed)
    rows = np.random.default_rng(seed).normal(size=(9, dense.layers[0].input_size))
    model = rmd1.decode(rmd1.pack_dense(dense))
    got, wanted = rmd1.run(dense, rows), ij.reference.run(model, rows)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("seed", range(20))
def test_exact_float64_is_close_to_the_plain_formulas(seed) -> None:
    dense = random_net(seed, "float64")
    rows = np.random.default_rng(seed).normal(size=(9, dense.layers[0].input_size))
    got = rmd1.run(dense, rows)
    wanted = ij.reference.run64(rmd1.decode(rmd1.pack_dense(dense)), rows.astype(np.float32))
    assert got.dtype == np.float64
    np.testing.assert_allclose(rmd1.run(dense, rows.astype(np.float32)), wanted, 1e-12, 1e-12)
    assert (got != rmd1.run(dense, rows.astype(np.float32))).any()  # rows are not rounded


@pytest.mark.parametrize(
    ("dtype", "math"), [("float32", "exact"), ("float32", "crate"), ("float64", "exact")]
)
def test_a_rows_bits_depend_on_the_row_alone(dtype, math, monkeypatch) -> None:
    dense = random_net(3, dtype)
    rows = np.random.default_rng(0).normal(size=(50, dense.layers[0].input_size)).astype(dtype)
    whole = rmd1.run(dense, rows, math)
    single = [rmd1.run(dense, row, math) for row in rows]
    assert single[0].shape == whole.shape[1:]
    assert np.array(single).tobytes() == whole.tobytes()
    monkeypatch.setattr("instjit.formats.dense_run.BLOCK", 200)  # a few rows at a time
    assert rmd1.run(dense, rows, math).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("block", "heights"), [(1, [1] * 10), (12, [3, 3, 3, 1]), (13, [3, 3, 3, 1]), (40, [10])]
)
def test_rows_run_in_blocks_of_the_widest_buffer(block, heights, monkeypatch) -> None:
    found = []
    layer_of = dense_run._layer

    def watched(dense, layer, x, math):
        found.append(len(x))
        return layer_of(dense, layer, x, math)

    monkeypatch.setattr(dense_run, "BLOCK", block)
    monkeypatch.setattr(dense_run, "_layer", watched)
    dense = rmd1.initial([2, 4, 1])
    assert rmd1.run(dense, np.ones((10, 2))).shape == (10, 1)
    assert found == [height for height in heights for _ in dense.layers]


def test_crate_math_rounds_every_product() -> None:
    x = 1 + 2.0**-12  # its square is 1 + 2^-11 + 2^-24
    dense = Dense.of([layer(1, 1)], [x], [-1], "float32")
    assert rmd1.run(dense, [x], "crate").item() == 2.0**-11
    assert rmd1.run(dense, [x], "exact").item() == 2.0**-11 + 2.0**-24


def test_crate_math_sums_from_the_bias_on_in_the_order_of_the_inputs() -> None:
    big = 2.0**24  # 1 is lost in it
    dense = Dense.of([layer(3, 1)], [1, 1, 1], [1], "float32")
    got = rmd1.run(dense, [[big, -big, 0], [0, big, -big], [big, -big, 1]], "crate")
    assert got.ravel().tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ([1.0], "ShapeMismatch"),
        ([1.0, 2.0, 3.0], "ShapeMismatch"),
        ([], "ShapeMismatch"),
        (np.zeros((0, 2)), "ShapeMismatch"),
        ([[1.0], [2.0]], "ShapeMismatch"),
        ([[1.0, 2.0], [3.0]], "ShapeMismatch"),
        (np.zeros((1, 1, 2)), "ShapeMismatch"),
        (1.0, "ShapeMismatch"),
        (["1", "2"], "InputType"),
        ([1j, 2], "InputType"),
        ([None, 2], "InputType"),
    ],
)
@pytest.mark.parametrize("math", ["exact", "crate"])
def test_rows_of_another_shape_are_refused(inputs, kind, math) -> None:
    assert kind_of(rmd1.run, rmd1.sample(), inputs, math) == (ij.InputError, kind)


def test_float64_has_no_crate_math() -> None:
    refused = kind_of(rmd1.run, rmd1.sample("float64"), [1.0, 2.0], "crate")
    assert refused == (ij.InputError, "DtypeMismatch")


@pytest.mark.parametrize(
    "math", ["fast", None, 5, HUGE, ["exact"], np.array(["exact", "crate"])], ids=shown
)
def test_an_unknown_math_is_refused(math) -> None:
    refused = kind_of(rmd1.run, rmd1.sample(), [1.0, 2.0], math)
    assert refused == (ij.InputError, "InvalidMath")


@pytest.mark.parametrize("network", [5, "RMD1", None, [1], HUGE, rmd1.sample().layers], ids=shown)
def test_what_is_no_network_is_refused(network) -> None:
    assert kind_of(rmd1.run, network, [1.0, 2.0]) == (ij.InputError, "BadBytes")
    assert kind_of(rmd1.validate_plan, network) == (ij.InputError, "InvalidPlan")


def test_a_file_runs_within_the_limits_given() -> None:
    content = rmd1.pack_dense(rmd1.initial([2, 3, 1]))
    assert rmd1.run(content, [1, 2], limits=Limits(instructions=2)).shape == (1,)
    refused = kind_of(rmd1.run, content, [1, 2], limits=Limits(instructions=1))
    assert refused == (ij.FormatError, "LimitExceeded")


def test_a_file_that_is_none_is_refused_as_by_unpack() -> None:
    assert kind_of(rmd1.run, b"RMD1", [1.0]) == (ij.FormatError, "Truncated")


@pytest.mark.parametrize("math", ["exact", "crate"])
def test_nan_and_infinity_run_without_a_warning(math) -> None:
    signalling = np.array([0x7FF0000000000001, 0], np.uint64).view(np.float64)
    assert np.isnan(rmd1.run(rmd1.sample(), signalling, math)).all()
    got = rmd1.run(rmd1.sample(), [[np.nan, 1], [np.inf, 1], [1e39, 1]], math)
    np.testing.assert_array_equal(got, [[np.nan], [np.inf], [np.inf]])


# -- first weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["xavier", "he"])
def test_first_weights_of_the_goldens(kind) -> None:
    (case,) = rnn_golden.cases(f"init_{kind}_uniform_f32")
    layers, seed = case["args"]["layers"], case["args"]["seed"]
    dense = initial.initial(layers, kind, seed=seed)
    near = {"rtol": 1e-5, "atol": 1e-6}  # the goldens' own limit is an exact root
    np.testing.assert_allclose(dense.weights.array, case["expect"]["weights"], **near)
    assert dense.biases.array.tolist() == case["expect"]["biases"]


def test_the_generator_gives_the_goldens_bits() -> None:
    (case,) = rnn_golden.cases("init_xavier_uniform_f32")
    words = initial.split_mix(7919, 6)
    assert [str(word) for word in words.tolist()] == case["expect"]["raw_u64"]
    numbers = initial.uniform(words, "float32")
    assert numbers.dtype == np.float32
    assert numbers.tolist() == case["expect"]["uniform01"]


def test_the_generator_starts_anywhere_in_64_bits() -> None:
    assert initial.split_mix(0, 1).tolist() == [0xE220A8397B1DCDAF]  # the published first number
    assert initial.split_mix(2**64 + 5, 3).tolist() == initial.split_mix(5, 3).tolist()
    ahead = (5 + 0x9E3779B97F4A7C15) % 2**64
    assert initial.split_mix(ahead, 2).tolist() == initial.split_mix(5, 3).tolist()[1:]


def test_float64_draws_53_bits_from_another_seed() -> None:
    words = initial.split_mix(7919 + 0xC6A4A7935BD1E995, 6)
    numbers = [(word >> 11) / 2**53 for word in words.tolist()]
    assert initial.uniform(words, "float64").tolist() == numbers
    dense = initial.initial([2, 3], "xavier", seed=7919, dtype="float64")
    wanted = (2 * np.array(numbers) - 1) * math.sqrt(6 / 5)
    np.testing.assert_allclose(dense.weights.array, wanted, rtol=1e-5)
    assert dense.dtype == "float64"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "limits"), [("xavier", [(6 / 11) ** 0.5, (6 / 8) ** 0.5]), ("he", [1, 2**0.5])]
)
def test_first_weights_fill_their_range_layer_by_layer(kind, limits, dtype) -> None:
    topology = [6 * 100, 5 * 100, 3 * 100]
    if kind == "he":
        topology = [6 * 100, 3 * 100, 3 * 100]
    dense = initial.initial(topology, kind, seed=1, dtype=dtype)
    for each, limit in zip(dense.layers, limits, strict=True):
        drawn = dense.matrix(each) * 10
        assert limit * 0.999 < drawn.max() < limit * 1.0001
        assert -limit * 1.0001 < drawn.min() < -limit * 0.999
        assert abs(drawn.mean()) < limit / 100
    assert not dense.biases.array.any()


@pytest.mark.parametrize(("kind", "value"), [("zeros", 0.0), ("constant", 0.25)])
def test_all_weights_alike(kind, value) -> None:
    dense = initial.initial([2, 3, 1], kind, value=value, hidden="tanh", output="sigmoid")
    assert dense.weights.array.tolist() == [value] * 9
    assert dense.biases.array.tolist() == [0.0] * 4
    assert [each.activation.name for each in dense.layers] == ["TANH", "SIGMOID"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"topology": [2]}, "InvalidShape"),
        ({"topology": [2, 0]}, "InvalidShape"),
        ({"topology": [2**40, 2**40]}, "InvalidShape"),
        ({"topology": [2**16, 2**16]}, "InvalidShape"),  # 2^32 weights
        ({"topology": [2**40, 2**40], "kind": "zeros"}, "InvalidShape"),
        ({"topology": [HUGE, 1]}, "InvalidShape"),
        *(
            ({"kind": "constant", "value": value}, "NonFinite")
            for value in (math.nan, math.inf, 1e39, -1e39, HUGE, "1", None, 1j, True, [1])
        ),
        ({"kind": "constant", "value": HUGE, "dtype": "float64"}, "NonFinite"),
        *(({"seed": seed}, "InvalidSeed") for seed in ("a", 1.5, None, True, [1])),
        ({"kind": "normal"}, "InvalidInitializer"),
        ({"kind": None}, "InvalidInitializer"),
        ({"kind": HUGE}, "InvalidInitializer"),
        ({"kind": ["zeros"]}, "InvalidInitializer"),
        ({"dtype": "float16"}, "InvalidDtype"),
        ({"dtype": HUGE}, "InvalidDtype"),
        ({"dtype": np.array(["a", "b"])}, "InvalidDtype"),
        ({"hidden": "gelu"}, "InvalidActivation"),
        ({"output": "softmax"}, "InvalidActivation"),
    ],
)
def test_first_weights_are_refused(arguments, kind) -> None:
    refused = kind_of(initial.initial, **{"topology": [2, 3, 1], **arguments})
    assert refused == (ij.InputError, kind)


def test_a_constant_is_what_the_dtype_makes_of_it() -> None:
    most = np.finfo(np.float32).max
    below = float(most) + 2.0**102  # rounds to it; half a step more is infinity
    constant = [
        initial.initial([1, 1], "constant", value=value, dtype=dtype).weights.array[0]
        for value, dtype in ((below, "float32"), (1e39, "float64"), (np.int64(3), "float32"))
    ]
    assert constant == [most, 1e39, 3]


def test_a_seed_is_any_integer() -> None:
    drawn = [
        initial.initial([2, 3], seed=seed, dtype=dtype).weights.array.tolist()
        for dtype in ("float32", "float64")
        for seed in (5, np.int64(5), 5 - 2**64, 5 + 2**64 * HUGE)
    ]
    assert drawn == [drawn[0]] * 4 + [drawn[4]] * 4


def test_the_most_weights_are_those_of_a_file(monkeypatch) -> None:
    monkeypatch.setattr("instjit.formats.initial.U32_MAX", 12)
    assert initial.initial([3, 3, 1]).weights.count == 12
    assert kind_of(initial.initial, [2, 6, 1]) == (ij.InputError, "InvalidShape")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("float32", "seed_2x1_identity"), ("float64", "f64_seed_2x1_identity")],
)
def test_the_sample_network_is_the_golden_one(dtype, name) -> None:
    assert rmd1.pack_dense(rmd1.sample(dtype)) == rnn_golden.sample(name).content
    assert rmd1.run(rmd1.sample(dtype), [3.25, -2.5]).tolist() == [9.5]


def test_first_weights_compile() -> None:
    dense = rmd1.initial([4, 8, 2], "he", seed=9, output="sigmoid")
    model = ij.load(rmd1.pack_dense(dense))
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert ij.compile(model).predict(rows).tobytes() == rmd1.run(dense, rows).tobytes()


def test_the_public_face_names_what_there_is() -> None:
    assert not [name for name in rmd1.__all__ if not hasattr(rmd1, name)]
    named = [name for name in rmd1.__all__ if callable(getattr(rmd1, name))]
    assert not [name for name in named if not getattr(rmd1, name).__doc__]
