r"""The RNN\0 codec: the scanner's rules, models in and out, what travels beside them."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import tracemalloc

import numpy as np
import pytest
import rnn_golden
from memory_probe import allowed, peak_growth, supported
from rnn0_files import (
    BENCHMARK,
    Blob,
    changed,
    container,
    dense,
    file,
    floats,
    meta,
    network,
    record,
    without,
)

import instjit as ij
from instjit import reference
from instjit.formats import FORMATS, sniff
from instjit.formats.container import parse
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.rnn0 import decode, describe, encode, extras, scan

SCANNED = [s for s in rnn_golden.RNN0 if "scan_0_3" in s.raw]
MODELS = [s for s in rnn_golden.RNN0 if "model" in s.raw]
NAN, INF = math.nan, math.inf
ENCRYPTED = b"RNN0" + bytes(24) + struct.pack("<I", 7) + bytes(300)


def kinds(content: bytes, limits: Limits = DEFAULT) -> list[str]:
    return [problem.kind for problem in scan(content, limits)]


def refused(content: bytes, limits: Limits = DEFAULT) -> ij.FormatError:
    with pytest.raises(ij.FormatError) as caught:
        decode(content, limits)
    return caught.value


# Golden files


@pytest.mark.parametrize("sample", SCANNED, ids=lambda s: s.name)
def test_the_verdict_on_a_golden_file(sample) -> None:
    found = scan(sample.content)
    assert (found[0].kind if found else "ok") == sample.raw["scan_0_3"]


@pytest.mark.parametrize("sample", MODELS, ids=lambda s: s.name)
def test_the_outputs_of_a_golden_model(sample) -> None:
    wanted = sample.raw["model"]
    close = {"rtol": wanted["rtol"], "atol": wanted["atol"]}
    rows = np.array(wanted["inputs"], np.float32)
    model = ij.load(sample.content)
    np.testing.assert_allclose(reference.run(model, rows), wanted["outputs_f64"], **close)
    np.testing.assert_allclose(ij.compile(model).predict(rows), wanted["outputs_f64"], **close)


@pytest.mark.parametrize("sample", MODELS, ids=lambda s: s.name)
def test_the_layers_of_a_golden_model(sample) -> None:
    wanted = [{**layer} for layer in sample.raw["model"]["layers"]]
    names = ["identity", "relu", "sigmoid", "tanh"]
    for layer in wanted:
        layer["activation"] = names[layer["activation"]]
    assert describe(sample.content)["layers"] == wanted


@pytest.mark.parametrize("sample", MODELS, ids=lambda s: s.name)
def test_a_golden_model_is_written_anew(sample) -> None:
    model, beside = ij.load(sample.content), extras(sample.content)
    content = encode(model, beside)
    assert scan(content) == ()
    assert ij.load(content) == model
    again = extras(content)
    assert again == dataclasses.replace(beside, digests=True)
    assert encode(model, again) == content


@pytest.mark.parametrize("sample", rnn_golden.RNN0, ids=lambda s: s.name)
def test_every_golden_file_that_parses_is_described(sample) -> None:
    if sample.raw["result"] == "error":
        with pytest.raises(ij.FormatError) as caught:
            describe(sample.content)
        assert caught.value.kind == sample.raw["parse_error"]
    else:
        found = json.loads(json.dumps(describe(sample.content)))
        verdict = [problem["kind"] for problem in found["problems"]]
        assert verdict == kinds(sample.content)
        assert len(found["blobs"]) == len(sample.raw.get("blobs", found["blobs"]))


def test_a_golden_model_is_said_by_its_records() -> None:
    found = describe(rnn_golden.sample("rnn0_sha256_mlp3_named_reordered").content)
    assert found["name"] == "mlp3.rnn"
    assert found["benchmark"] == {"bytes": 4, "hex": "424d4b01"}
    assert found["summary"]["total_neurons"] == 12
    assert [each["type"] for each in found["records"]] == [4, 6, 5, 3]
    assert [each["name"] for each in found["blobs"]] == ["biases", "weights", "layer_meta"]
    assert [each["digest_ok"] for each in found["blobs"]] == [True] * 3
    assert found["problems"] == []


# The door


def test_the_content_tells_the_format() -> None:
    assert sniff(container(*network())) is FORMATS["rnn0"]
    assert sniff(ENCRYPTED) is FORMATS["rnn0"]
    for other in (b"RMD1", b"{}", b"RNN1"):
        assert not FORMATS["rnn0"].sniff(other)


@pytest.mark.parametrize("check", [decode, lambda content: ij.load(content)])
def test_an_encrypted_container_is_refused_and_told_what_to_do(check) -> None:
    with pytest.raises(ij.FormatError) as caught:
        check(ENCRYPTED)
    assert caught.value.kind == "Encrypted"
    assert "encrypted" in str(caught.value)
    assert "decrypt it first" in str(caught.value)
    assert kinds(ENCRYPTED) == ["Encrypted"]


def test_an_encrypted_container_is_described_by_its_key_version() -> None:
    found = describe(ENCRYPTED)
    assert (found["encrypted"], found["key_version"]) == (True, 7)
    assert [problem["kind"] for problem in found["problems"]] == ["Encrypted"]


# The rules. Every row: blobs, what the rules say, in order, as kinds; a word of the first sentence.

TWO = ((1, 1, 0, 0, 0), (1, 1, 1, 1, 0))
RULES = {
    "no blobs": ((), ["InvalidPayload"] * 3, "'layer_meta' is missing"),
    "no layer_meta": (without(0), ["InvalidPayload"], "'layer_meta' is missing"),
    "no weights": (without(1), ["InvalidPayload"], "'weights' is missing"),
    "no biases": (without(2), ["InvalidPayload"], "'biases' is missing"),
    "empty layer_meta": (changed(0, payload=b""), ["InvalidPayload"], "'layer_meta' is empty"),
    "empty weights": (changed(1, payload=b""), ["InvalidPayload"], "'weights' is empty"),
    "empty biases": (changed(2, payload=b""), ["InvalidPayload"], "'biases' is empty"),
    "39 bytes of records": (changed(0, length=39), ["BadBounds", "InvalidPayload"], "SHA-256"),
    "41 bytes of records": (
        changed(0, payload=meta(*TWO) + b"\0"),
        ["InvalidPayload"],
        "41 bytes, which are no records of 20",
    ),
    "layer_meta of another dtype": (changed(0, dtype=1), ["InvalidPayload"], "layer_meta 1"),
    "weights of another dtype": (
        changed(1, dtype=1, payload=bytes(24)),
        ["InvalidPayload"],
        "weights 1",
    ),
    "bytes": (
        tuple(dataclasses.replace(blob, dtype=2) for blob in network()),
        ["InvalidPayload"] * 3,
        "dtype is 2",
    ),
    "25 bytes of weights": (
        changed(1, payload=bytes(25)),
        ["InvalidPayload"],
        "25 bytes, which are no numbers of 4",
    ),
    "a weight too few": (
        network(weights=(1, 2, 3, 4, 5)),
        ["InvalidPayload", "InvalidLayer"],
        "holds 5 numbers, the layers have 6",
    ),
    "a weight too many": (
        network(weights=(1, 2, 3, 4, 5, 6, 7)),
        ["InvalidPayload"],
        "holds 7 numbers, the layers have 6",
    ),
    "a bias too few": (
        network(biases=(1, 2)),
        ["InvalidPayload", "InvalidLayer"],
        "holds 2 numbers, the layers have 3",
    ),
    "a bias too many": (network(biases=(1, 2, 3, 4)), ["InvalidPayload"], "'biases' holds 4"),
    "shared weights": (
        network(((1, 1, 0, 0, 0), (1, 1, 0, 0, 0)), (1,), (1,)),
        ["InvalidPayload"] * 2,
        "holds 1 numbers, the layers have 2",
    ),
    "NaN first": (
        network(weights=(NAN, 2, 3, 4, 5, 6)),
        ["InvalidPayload"],
        "layer 0: its first weight is not finite",
    ),
    "-infinity first in layer 1": (
        network(weights=(1, 2, 3, 4, -INF, 6)),
        ["InvalidPayload"],
        "layer 1: its first weight is not finite",
    ),
    "NaN elsewhere": (network(weights=(1, NAN, INF, 4, 5, NAN), biases=(NAN, INF, 1)), [], ""),
    "activation 4": (
        network(((1, 1, 0, 0, 4),), (1,), (1,)),
        ["InvalidActivation"],
        "layer 0: there is no activation 4",
    ),
    "no inputs": (
        network(((0, 1, 0, 0, 0),), (1,), (1,)),
        ["InvalidPayload", "InvalidLayer"],
        "the layers have 0",
    ),
    "weights past the end": (network(((1, 1, 1, 0, 0),), (1,), (1,)), ["InvalidLayer"], "layer 0"),
    "biases past the end": (network(((1, 1, 0, 1, 0),), (1,), (1,)), ["InvalidLayer"], "biases 1"),
    "layers that do not follow": (
        network(((1, 2, 0, 0, 0), (1, 1, 2, 2, 0)), (1, 2, 3), (1, 2, 3)),
        ["IncompatibleChain"],
        "layer 1",
    ),
    "f64": (network(dtype=1), [], ""),
    "f64 with NaN first": (network(weights=(NAN,) * 6, dtype=1), [], ""),
    "f64 with a weight too many": (network(weights=(1,) * 7, dtype=1), [], ""),
    "f64 with a weight too few": (network(weights=(1,) * 5, dtype=1), ["InvalidLayer"], "layer 1"),
    "f64 with shared weights": (
        network(((1, 1, 0, 0, 0), (1, 1, 0, 0, 0)), (1,), (1,), dtype=1),
        [],
        "",
    ),
    "28 bytes of f64": (
        tuple(dataclasses.replace(b, dtype=1, payload=b.payload[:28]) for b in network(dtype=1)),
        ["InvalidPayload"] * 2,
        "28 bytes",
    ),
    "another blob with a wrong digest": (
        (*network(), Blob(b"x", b"1", digest=b"\1" * 32)),
        ["BadBounds"],
        "blob 3 ('x')",
    ),
    "a second weights blob, which nobody reads": ((*network(), Blob(b"weights", b"1")), [], ""),
    "an empty weights blob before the right one": (
        (Blob(b"weights"), *network()),
        ["InvalidPayload"],
        "'weights' is empty",
    ),
    "dims of another size": (changed(1, dims=(7, 7, 7)), [], ""),
    "names that only begin alike": (
        changed(1, name=b"weights\0"),
        ["InvalidPayload"],
        "'weights' is missing",
    ),
}

each_rule = pytest.mark.parametrize(("blobs", "wanted", "words"), RULES.values(), ids=RULES)


@each_rule
def test_what_the_rules_say(blobs, wanted, words) -> None:
    found = scan(container(*blobs))
    assert [problem.kind for problem in found] == wanted
    if wanted:
        assert words in found[0].message


@each_rule
def test_what_the_rules_refuse_is_not_decoded(blobs, wanted, words) -> None:
    content = container(*blobs)
    if not wanted:
        assert isinstance(decode(content), ij.Model)
    else:
        assert refused(content).kind == wanted[0]
        assert words in refused(content).problems[0].message


@pytest.mark.parametrize(
    ("records", "version"),
    [((), 1), (((6, b""),), 1), ((BENCHMARK,), 2), ((BENCHMARK,), 0), ((), 9)],
)
def test_what_only_the_scanner_minds(records, version) -> None:
    content = container(*network(), records=records, version=version)
    wanted = ["BadVersion"] * (version != 1) + ["InvalidPayload"] * (records != (BENCHMARK,))
    assert kinds(content) == wanted
    assert decode(content) == decode(container(*network()))


@pytest.mark.parametrize(
    ("content", "parsed", "scanned"),
    [
        (b"", "Truncated", ["Truncated"]),
        (b"RNN\1" + bytes(8), "BadMagic", ["BadMagic"]),
        (file(b"", size=13), "BadHeader", ["InvalidContainer"]),
        (file(b"", size=13, version=2), "BadHeader", ["BadVersion", "InvalidContainer"]),
        (container(Blob(b"a", offset=2**60)), "BadBounds", ["InvalidContainer"]),
        (container(Blob(b"a", dims=())), "BadHeader", ["InvalidContainer"]),
        (file(b"\x09"), "BadHeader", ["InvalidContainer"]),
        (file(b"", size=0), "InvalidPayload", ["InvalidPayload"] * 3 + ["BadHeader"]),
        (file(b"", size=11), "InvalidPayload", ["InvalidPayload"] * 3 + ["BadHeader"]),
        (file(b""), "InvalidPayload", ["InvalidPayload"] * 4),
    ],
)
def test_a_file_that_does_not_parse_has_the_parsers_kind_and_the_scanners(
    content, parsed, scanned
) -> None:
    assert refused(content).kind == parsed
    assert kinds(content) == scanned
    if scanned[-1] == "InvalidContainer":
        assert scan(content)[-1].fields["cause"] == parsed
        assert refused(content).problems[0].message in scan(content)[-1].message


def test_all_faults_are_told_at_once() -> None:
    blobs = (*changed(0, digest=b"\1" * 32)[:1], Blob(b"weights", bytes(5)))
    found = [problem.message for problem in scan(container(*blobs, records=()))]
    assert len(found) == 4
    wanted = ("SHA-256", "'biases' is missing", "5 bytes", "benchmark")
    for text, words in zip(found, wanted, strict=True):
        assert words in text


def test_the_first_thousand_faults_are_kept() -> None:
    layers = ((1, 1, 9, 9, 0),) * 2_000
    found = scan(container(*network(layers, (1,), (1,))))
    assert found[0].kind == "InvalidPayload"
    assert found[-1].kind == "TooManyProblems"
    assert len(found) == 1001


# Models


def test_a_container_is_a_chain_of_products() -> None:
    model = decode(container(*network()))
    assert [buffer.size for buffer in model.buffers] == [2, 2, 1]
    assert model.instructions == (ij.Dot(0, 1, 0, ij.Activation.RELU), ij.Dot(1, 2, 1))
    assert [w.tolist() for w in model.weights] == [[[1, -2], [0.5, 3]], [[-1, 0.25]]]
    assert [b.tolist() for b in model.bias] == [[0.5, -0.5], [1]]


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("dtype", [0, 1])
def test_payloads_may_lie_at_any_address(shift, dtype, digests) -> None:
    content = container(*network(dtype=dtype), shift=shift, digests=digests)
    model = decode(content)
    assert model.dtype == ("float64" if dtype else "float32")
    assert all(array.flags.aligned for array in (*model.weights, *model.bias))
    assert model == decode(container(*network(dtype=dtype)))


def test_float64_keeps_its_digits() -> None:
    third = 1 / 3
    model = decode(container(*network(((1, 1, 0, 0, 0),), (third,), (third,), dtype=1)))
    assert (model.weights[0][0, 0], model.bias[0][0]) == (third, third)


def test_aligned_weights_are_views_of_the_file() -> None:
    content = encode(dense(1000, 1000))
    tracemalloc.start()
    model = decode(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model.weights[0].base is content
    assert peak < 100_000


def test_layers_without_digests_load_without_a_benchmark_record() -> None:
    content = container(*network(), digests=False, records=())
    assert ij.load(content) == decode(container(*network()))
    assert kinds(content) == ["InvalidPayload"]


@pytest.mark.parametrize(("name", "count"), [("instructions", 2), ("buffers", 3)])
def test_the_number_of_layers_is_bounded(name, count) -> None:
    content = container(*network())
    assert isinstance(decode(content, Limits(**{name: count})), ij.Model)
    error = refused(content, Limits(**{name: count - 1}))
    assert error.kind == "LimitExceeded"
    assert error.fields == {"name": name, "actual": count, "max": count - 1}
    assert kinds(content, Limits(**{name: count - 1})) == ["LimitExceeded"]
    assert describe(content, Limits(**{name: count - 1}))["layers"] is None


def test_the_overlap_of_blobs_is_bounded_for_every_reader() -> None:
    blobs = (*network(), *[Blob(b"", offset=0, length=200, digest=bytes(32))] * 9)
    content = container(*blobs)
    total = sum(each.length for each in parse(content, Limits(payload_growth=9)).entries)
    assert total > 2 * len(content)
    assert kinds(content) == ["LimitExceeded"]
    for reader in (decode, extras, describe):
        with pytest.raises(ij.FormatError) as caught:
            reader(content)
        assert caught.value.kind == "LimitExceeded"
    assert kinds(content, Limits(payload_growth=9)) == []
    assert isinstance(decode(content, Limits(payload_growth=9)), ij.Model)


# inspect


def test_a_directory_of_tensors_is_described() -> None:
    content = container(
        Blob(b"a\n\xff", floats(1, 2), 0, (2, 1)),
        Blob(b"auth.hmac_sha256", b"xy", 2, digest=bytes(32)),
        Blob(b"wrong", b"z", 2, digest=b"\1" * 32),
        records=((4, b"\xff"), (5, b"\1\1\0\0"), (99, bytes(range(40)))),
        version=3,
        flags=5,
    )
    found = describe(content)
    assert json.loads(json.dumps(found)) == found
    assert (found["version"], found["flags"], found["name"]) == (3, 5, None)
    assert found["benchmark"] is None
    assert found["summary"] == {"error": "network summary: a run of 0 bytes"}
    assert found["records"][2] == {"type": 99, "bytes": 40, "hex": bytes(range(32)).hex()}
    assert [blob["name"] for blob in found["blobs"]] == [r"a\n\xff", "auth.hmac_sha256", "wrong"]
    assert [blob["digest_ok"] for blob in found["blobs"]] == [True, None, False]
    assert [blob["digest"] for blob in found["blobs"]][1:] == [None, "01" * 32]
    assert found["blobs"][0]["dims"] == [2, 1]
    assert found["blobs"][0]["bytes"] == 8
    assert found["not_verified"] == ["auth.hmac_sha256"]
    assert found["layers"] is None
    verdict = [problem["kind"] for problem in found["problems"]]
    assert verdict == ["BadVersion", "BadBounds"] + ["InvalidPayload"] * 4


def test_layers_are_described_even_where_they_do_not_fit_together() -> None:
    found = describe(container(*network(weights=(1,))))
    assert len(found["layers"]) == 2
    assert found["problems"][0]["kind"] == "InvalidPayload"


# Memory


def long_chain(count: int, dtype: int, records: bytes = b"") -> bytes:
    """Layers of one neuron each."""
    step = 1 - dtype  # in float64 ranges may be shared
    layers = meta(*[(1, 1, step * k, step * k, 0) for k in range(count)])
    numbers = floats(*[1] * (count if step else 1), dtype=dtype)
    kinds = ((b"layer_meta", layers), (b"weights", numbers), (b"biases", numbers))
    return container(
        *[Blob(name, payload, dtype) for name, payload in kinds], records=((9, records), BENCHMARK)
    )


MEMORY = {
    "as many layers as may be": lambda: long_chain(65_535, 0, bytes(60_000)),
    "as many that share one weight": lambda: long_chain(65_535, 1),
    "layers over the limit": lambda: long_chain(200_000, 1),
    "weights at an odd address": lambda: container(
        *network(((4096, 1024, 0, 0, 0),), (1,) * 2**22, (1,) * 1024), shift=1
    ),
    "faults in every layer": lambda: container(*network(((0, 0, 9, 9, 0),) * 65_000, (1,), (1,))),
    "a long directory": lambda: file(record(3, (b"\0\0\0\1" + bytes(20)) * 2_700)),
}


@pytest.mark.skipif(not supported(), reason="this system does not tell the peak")
@pytest.mark.parametrize("make", MEMORY.values(), ids=MEMORY)
def test_memory_is_bounded_by_the_file(make) -> None:
    content = make()
    growth, outcome = peak_growth(content)
    assert outcome.split(":")[0] in ("model", "FormatError")
    assert growth <= allowed(content, "binary")
