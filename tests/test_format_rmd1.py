"""RMD1 files: every sample, every rule with a byte that just breaks it, canonical bytes."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pytest
import rnn_golden
from rnn_golden import RMD1, Sample

import instjit as ij
from instjit.formats import FORMATS, rmd1

GOOD = [each for each in RMD1 if each.loads]
BAD = [each for each in RMD1 if not each.loads]
CANONICAL = [each for each in GOOD if each.canonical]
SHARED = "shared_weight_range"
SINGLE = {"rtol": 1e-6, "atol": 0}
"""What rounding to float32 allows on top of a sample's own tolerance."""

by_name = {"ids": lambda each: each.id}


def header(layers: int, weights: int, biases: int, *, flags: int = 0) -> bytes:
    return b"RMD1" + struct.pack("<2H3I", 1, flags, layers, weights, biases)


def record(inputs: int, outputs: int, weights: int = 0, biases: int = 0, kind: int = 0) -> bytes:
    return struct.pack("<4IB3x", inputs, outputs, weights, biases, kind)


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def changed(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + bytes([value]) + content[at + 1 :]


NET = header(2, 9, 4) + record(2, 3, 0, 0, 1) + record(3, 1, 6, 3, 2) + floats(*range(1, 14))
"""2 -> 3 -> 1: records at 20 and 40, weights at 60, biases at 96, the end at 112."""


# -- samples ---------------------------------------------------------------------------------------


def test_all_samples_are_here() -> None:
    assert (len(GOOD), len(BAD), len(CANONICAL)) == (15, 19, 12)


@pytest.mark.parametrize("sample", GOOD, **by_name)
def test_a_sample_has_its_counts_and_records(sample: Sample) -> None:
    dense = rmd1.unpack(sample.content)
    got = {
        "layers": len(dense.layers),
        "weights": dense.weights.count,
        "biases": dense.biases.count,
    }
    assert got == sample.raw["counts"]
    assert dense.dtype == sample.dtype
    for layer, wanted in zip(dense.layers, sample.raw["layers"], strict=True):
        assert layer.activation.name.lower() == wanted["activation_name"]
        for name in ("input_size", "output_size", "weight_offset", "bias_offset", "activation"):
            assert getattr(layer, name) == wanted[name], name


@pytest.mark.parametrize("sample", GOOD, **by_name)
@pytest.mark.parametrize("payload", ["weights", "biases"])
def test_a_sample_has_its_numbers(sample: Sample, payload) -> None:
    numbers = getattr(rmd1.unpack(sample.content), payload).array
    wanted = sample.raw[payload]
    assert numbers.dtype == sample.dtype
    if wanted is None:  # the largest sample states its counts alone
        assert np.isfinite(numbers).all()
    else:
        assert numbers.tolist() == wanted


@pytest.mark.parametrize("sample", GOOD, **by_name)
def test_a_sample_has_its_outputs_in_every_way_to_run_it(sample: Sample) -> None:
    model = ij.load(sample.content)
    exact = rmd1.run(sample.content, sample.inputs)
    np.testing.assert_allclose(exact, sample.outputs, **sample.tolerance)
    reference = ij.reference.run(model, sample.inputs)
    compiled = ij.compile(model).predict(sample.inputs)
    wide = {name: max(value, SINGLE[name]) for name, value in sample.tolerance.items()}
    np.testing.assert_allclose(reference, sample.outputs, **wide)
    np.testing.assert_array_equal(compiled.view(np.uint32), reference.view(np.uint32))
    np.testing.assert_allclose(
        ij.reference.run64(model, sample.inputs), sample.outputs, **sample.tolerance
    )


@pytest.mark.parametrize("sample", [each for each in GOOD if each.dtype == "float32"], **by_name)
def test_a_sample_has_the_bits_of_the_crates_arithmetic(sample: Sample) -> None:
    got = rmd1.run(sample.content, sample.inputs, math="crate")
    np.testing.assert_array_equal(got.view(np.uint32), sample.crate_outputs.view(np.uint32))
    near = sample.raw["crate_math_rtol"]
    np.testing.assert_allclose(got, sample.outputs, rtol=near, atol=near)


@pytest.mark.parametrize("sample", BAD, **by_name)
def test_a_sample_is_refused_for_its_reason(sample: Sample) -> None:
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(sample.content)
    assert error.value.kind == sample.error
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sample", BAD, **by_name)
def test_faults_of_the_chain_are_found_after_unpacking(sample: Sample) -> None:
    if sample.raw["stage"] == "decode":
        with pytest.raises(ij.FormatError):
            rmd1.unpack(sample.content)
    else:
        assert rmd1.unpack(sample.content).layers


@pytest.mark.parametrize("sample", CANONICAL, **by_name)
def test_a_canonical_file_is_what_packing_it_again_gives(sample: Sample) -> None:
    assert rmd1.pack_dense(rmd1.unpack(sample.content)) == sample.content


@pytest.mark.parametrize("sample", [each for each in CANONICAL if each.name != SHARED], **by_name)
def test_a_file_without_gaps_survives_the_model(sample: Sample) -> None:
    assert rmd1.encode(rmd1.decode(sample.content)) == sample.content


@pytest.mark.parametrize("sample", [each for each in GOOD if not each.canonical], **by_name)
def test_a_file_with_unread_bytes_is_written_without_them(sample: Sample) -> None:
    seed = rnn_golden.sample("seed_2x1_identity").content
    assert rmd1.encode(rmd1.decode(sample.content)) == seed != sample.content


def test_a_shared_range_is_written_once_for_each_layer() -> None:
    content = rnn_golden.sample(SHARED).content
    written = rmd1.encode(rmd1.decode(content))
    assert len(written) == len(content) + 4 * 4
    rows = np.array([[1, 2], [-1, 3]], np.float32)
    assert rmd1.run(written, rows).tobytes() == rmd1.run(content, rows).tobytes()


# -- rules -----------------------------------------------------------------------------------------


def test_the_file_of_the_rules_loads() -> None:
    model = ij.load(NET)
    assert [buffer.size for buffer in model.buffers] == [2, 3, 1]
    assert model.weights[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert model.weights[1].tolist() == [[7, 8, 9]]
    assert [bias.tolist() for bias in model.bias] == [[10, 11, 12], [13]]
    assert model.instructions == (ij.Dot(0, 1, 0, "RELU"), ij.Dot(1, 2, 1, "SIGMOID"))


@pytest.mark.parametrize(
    ("at", "value", "kind"),
    [
        *((at, 0, "BadMagic") for at in range(4)),
        (4, 0, "BadVersion"),
        (4, 2, "BadVersion"),
        (5, 1, "BadVersion"),
        (6, 2, "BadHeader"),
        (6, 255, "BadHeader"),
        (6, 1, "Truncated"),  # as float64 the numbers take twice the bytes
        (7, 255, None),
        (8, 0, "BadHeader"),
        (8, 1, None),  # the first layer alone; its numbers then begin at the second's record
        (8, 3, "Truncated"),
        (11, 255, "Truncated"),
        (12, 8, "InvalidLayer"),
        (12, 10, "Truncated"),
        (16, 3, "InvalidLayer"),
        (16, 5, "Truncated"),
        (19, 255, "Truncated"),
        (20, 0, "InvalidLayer"),
        (20, 1, None),
        (20, 3, None),  # nine weights, some of them the second layer's: ranges may overlap
        (20, 4, "InvalidLayer"),
        (23, 255, "InvalidLayer"),
        (24, 0, "InvalidLayer"),
        (24, 2, "IncompatibleChain"),
        (24, 5, "InvalidLayer"),
        (28, 3, None),
        (28, 4, "InvalidLayer"),
        (31, 255, "InvalidLayer"),
        (32, 1, None),
        (32, 2, "InvalidLayer"),
        (35, 255, "InvalidLayer"),
        (36, 3, None),
        (36, 4, "InvalidActivation"),
        (36, 255, "InvalidActivation"),
        (37, 255, None),
        (39, 1, None),
        (40, 2, "IncompatibleChain"),
        (40, 0, "InvalidLayer"),
        (44, 2, "InvalidLayer"),
        (48, 7, "InvalidLayer"),
        (52, 4, "InvalidLayer"),
        (56, 4, "InvalidActivation"),
    ],
)
def test_one_byte_decides(at, value, kind) -> None:
    content = changed(NET, at, value)
    assert content != NET
    if kind is None:
        rmd1.decode(content)
    else:
        with pytest.raises(ij.FormatError) as error:
            rmd1.decode(content)
        assert error.value.kind == kind


@pytest.mark.parametrize("size", range(112))
def test_every_shorter_file_is_truncated(size) -> None:
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(NET[:size])
    assert error.value.kind == "Truncated"
    assert error.value.fields["bytes"] == size


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"rmd1" + bytes(15), "Truncated"),  # before the magic
        (b"rmd1\x02" + NET[5:], "BadMagic"),  # before the version
        (changed(changed(NET, 4, 2), 6, 2), "BadVersion"),  # before the dtype
        (changed(NET, 6, 2)[:30], "BadHeader"),  # before the size
        (changed(NET, 36, 4)[:111], "Truncated"),  # before the records
        (changed(changed(NET, 40, 9), 20, 0), "InvalidLayer"),  # before the chain
    ],
)
def test_the_first_fault_is_the_one_reported(content, kind) -> None:
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(content)
    assert error.value.kind == kind


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (NET[:100], "RMD1: header says 112 bytes, file has 100"),
        (b"RMD1", "RMD1: the header takes 20 bytes, file has 4"),
        (b"rmd1" + NET[4:], "RMD1: expected to begin with b'RMD1', got b'rmd1'"),
        (changed(NET, 4, 2), "RMD1: expected version 1, got 2"),
        (changed(NET, 6, 2), "RMD1: there is no dtype 2, expected 0 (float32) or 1 (float64)"),
        (
            header(1, 2**32 - 1, 2**32 - 1) + bytes(792),
            "RMD1: header says 34,359,738,400 bytes, file has 812",
        ),
        (
            changed(NET, 56, 4),
            "layer 1: there is no activation 4, expected one of "
            "0 identity, 1 relu, 2 sigmoid, 3 tanh",
        ),
        (changed(NET, 20, 0), "layer 0: sizes are 0 -> 3, both must be above 0"),
        (changed(NET, 48, 7), "layer 1: takes weights 7 to 10, there are 9"),
        (changed(NET, 52, 4), "layer 1: takes biases 4 to 5, there are 4"),
        (changed(NET, 40, 2), "layer 1: takes 2 values, layer 0 gives 3"),
    ],
)
def test_a_sentence_says_what_where_wanted_and_got(content, sentence) -> None:
    with pytest.raises(ij.FormatError, match=re.escape(sentence)):
        rmd1.decode(content)


def test_every_faulty_layer_is_reported() -> None:
    content = changed(changed(NET, 20, 0), 52, 4)
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(content)
    assert [each.fields["layer"] for each in error.value.problems] == [0, 1]


def test_a_thousand_faults_are_kept_and_the_rest_counted() -> None:
    content = header(3000, 1, 1) + record(0, 1) * 3000 + floats(1, 2)
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(content)
    assert len(error.value.problems) == 1001
    assert error.value.problems[-1].fields["more"] == 2000


@pytest.mark.parametrize(("layers", "accepted"), [(4, True), (5, False)])
def test_the_number_of_layers_has_a_limit(layers, accepted) -> None:
    content = header(layers, 1, 1) + record(1, 1) * layers + floats(2, 1)
    limits = ij.Limits(instructions=4)
    if accepted:
        assert len(rmd1.decode(content, limits).instructions) == layers
    else:
        with pytest.raises(ij.FormatError, match="5 instructions, the limit is 4") as error:
            rmd1.decode(content, limits)
        assert error.value.kind == "LimitExceeded"
        assert len(rmd1.decode(content).instructions) == layers


def test_truncation_is_reported_before_the_limit() -> None:
    content = header(2**32 - 1, 1, 1) + bytes(100)
    with pytest.raises(ij.FormatError) as error:
        rmd1.decode(content, ij.Limits(instructions=4))
    assert error.value.kind == "Truncated"


# -- numbers ---------------------------------------------------------------------------------------


def test_weights_are_views_of_the_file() -> None:
    whole = np.frombuffer(NET, np.uint8)
    model = rmd1.decode(NET)
    for array in (*model.weights, *model.bias):
        assert np.shares_memory(array, whole)
        assert not array.flags.writeable


def test_layers_that_share_a_range_share_its_memory() -> None:
    first, second = rmd1.decode(rnn_golden.sample(SHARED).content).weights
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("layers", [1, 2], ids=["aligned", "unaligned"])
def test_float64_numbers_are_kept(layers) -> None:
    third = np.float64(1) / 3
    content = header(layers, 1, 1, flags=1) + record(1, 1) * layers
    content += np.array([third, -third], "<f8").tobytes()
    model = rmd1.decode(content)
    assert model.dtype == "float64"
    assert {weights.item() for weights in model.weights} == {third}
    assert {bias.item() for bias in model.bias} == {-third}
    assert model.rounded.weights[0].item() == np.float32(third)
    once = rmd1.encode(model)
    assert once[6] == 1
    assert rmd1.decode(once) == model


def test_nan_and_infinity_keep_their_bits() -> None:
    payload = struct.pack("<4I", 0x7FC12345, 0xFF800000, 0x7F800000, 0xFFC00001)
    content = header(1, 2, 2) + record(1, 2) + payload
    assert rmd1.encode(ij.load(content)) == content


# -- describe --------------------------------------------------------------------------------------


def test_describe_tells_all_that_the_file_holds() -> None:
    layers = [
        {
            "input_size": 2,
            "output_size": 3,
            "weight_offset": 0,
            "bias_offset": 0,
            "activation": "relu",
        },
        {
            "input_size": 3,
            "output_size": 1,
            "weight_offset": 6,
            "bias_offset": 3,
            "activation": "sigmoid",
        },
    ]
    whole = {"gapped": False, "unused": 0, "shared": False}
    assert rmd1.describe(NET + b"tail") == {
        "version": 1,
        "dtype": "float32",
        "layers": layers,
        "counts": {"layers": 2, "weights": 9, "biases": 4},
        "weights": whole,
        "biases": whole,
        "bytes": {"file": 116, "weights": 36, "biases": 16, "trailing": 4},
    }


@pytest.mark.parametrize(
    ("records", "weights", "biases"),
    [
        # ranges, then (unused, shared) of 4 weights and of 2 biases
        ([(1, 1, 0, 0)], (3, False), (1, False)),
        ([(1, 1, 3, 1)], (3, False), (1, False)),
        ([(2, 1, 0, 0), (1, 2, 2, 0)], (0, False), (0, True)),
        ([(2, 1, 2, 1), (1, 2, 0, 0)], (0, False), (0, True)),
        ([(2, 1, 0, 0), (1, 1, 3, 1)], (1, False), (0, False)),
        ([(2, 1, 0, 0), (1, 1, 1, 1)], (2, True), (0, False)),
        ([(2, 2, 0, 0), (2, 1, 1, 1)], (0, True), (0, True)),
    ],
)
def test_describe_tells_gaps_and_overlaps(records, weights, biases) -> None:
    layers = b"".join(record(*each) for each in records)
    told = rmd1.describe(header(len(records), 4, 2) + layers + floats(*range(6)))
    for payload, (unused, shared) in {"weights": weights, "biases": biases}.items():
        assert told[payload] == {"gapped": unused > 0, "unused": unused, "shared": shared}


@pytest.mark.parametrize("sample", GOOD, **by_name)
def test_a_description_is_json(sample: Sample) -> None:
    told = rmd1.describe(sample.content)
    assert json.loads(json.dumps(told)) == told
    assert told["bytes"]["file"] == sample.raw["size"]
    assert told["counts"] == sample.raw["counts"]


def test_a_file_whose_layers_do_not_fit_can_be_described() -> None:
    content = rnn_golden.sample("chain_mismatch_2_3_then_2_1").content
    assert [layer["input_size"] for layer in rmd1.describe(content)["layers"]] == [2, 2]


# -- the door --------------------------------------------------------------------------------------


def test_content_is_recognised_whatever_its_name(tmp_path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(NET)
    assert ij.load(path) == ij.load(NET, format="rmd1") == rmd1.decode(NET)
    assert FORMATS["rmd1"].sniff(b"RMD1")
    assert not FORMATS["rmd1"].sniff(b"RMD")


def test_saving_by_suffix_gives_the_canonical_file(tmp_path) -> None:
    ij.save(ij.load(NET), tmp_path / "net.rmd1")
    assert (tmp_path / "net.rmd1").read_bytes() == NET
