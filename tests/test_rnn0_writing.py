r"""Writing RNN\0, and what travels beside the model from file to file."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import pytest
import rnn_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from rnn0_files import BENCHMARK, Blob, container, dense, network

import instjit as ij
from instjit.formats import container_writing, summary
from instjit.formats.container import parse
from instjit.formats.extras import NONE, Extras
from instjit.formats.extras import Blob as Extra
from instjit.formats.rnn0 import decode, describe, encode, extras, scan

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 4, 3, 2), (7, 1, 9), (1, 33, 1)])
def test_a_model_survives(sizes, dtype) -> None:
    model = dense(*sizes, dtype=dtype)
    content = encode(model)
    assert scan(content) == ()
    assert decode(content) == model
    assert encode(decode(content), extras(content)) == content


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_everything_lies(dtype) -> None:
    beside = Extras(
        "a name", records=((7, b"VIZX"), (200, b"")), blobs=(Extra(b"b", 2, (3,), b"xyz"),)
    )
    content = encode(dense(3, 5, 2, dtype=dtype), beside)
    found = parse(content)
    assert (found.header.version, found.header.flags) == (1, 0)
    assert [kind for kind, _ in found.records] == [4, 6, 5, 7, 200, 3]
    assert [each.name for each in found.entries] == [b"layer_meta", b"weights", b"biases", b"b"]
    assert [each.dims for each in found.entries] == [(2, 5), (25,), (7,), (3,)]
    double = int(dtype == "float64")
    assert [each.dtype for each in found.entries] == [double, double, double, 2]
    starts = [each.offset for each in found.entries]
    assert starts[0] == found.header.size
    assert [start % 16 for start in (*starts, len(content))] == [0] * 5
    for each, following in zip(found.entries, (*starts[1:], len(content)), strict=True):
        assert 0 <= following - each.offset - each.length < 16
        assert not any(content[each.offset + each.length : following])
        assert each.digest == hashlib.sha256(found.payload(each)).digest()
    written = sum(5 + len(value) for _, value in found.records)
    assert not any(content[12 + written : found.header.size])
    assert summary.decode(found.record(5)) == summary.Summary(double, 2, 10, 25, 7, 4, 7)


def test_neuron_positions_are_said_in_the_summary() -> None:
    content = encode(dense(1, 1), Extras(blobs=(Extra(b"neuron_positions", 0, (1,), b""),)))
    assert describe(content)["summary"]["flags"] == 15


def test_a_golden_network_is_written_with_its_own_payloads() -> None:
    content = rnn_golden.sample("rnn0_sha256_seed_model").content
    old, new = parse(content), parse(encode(decode(content)))
    for one, other in zip(old.entries, new.entries, strict=True):
        assert (one.name, one.dims, one.digest) == (other.name, other.dims, other.digest)


def test_an_activation_of_its_own_is_taken_into_the_layer() -> None:
    model = ij.Model(
        [1, 1],
        [ij.Dot(0, 1, 0), ij.Activate(1, ij.Activation.SIGMOID)],
        [[[2]]],
        [[1]],
        feature_size=1,
    )
    assert decode(encode(model)).instructions == (ij.Dot(0, 1, 0, ij.Activation.SIGMOID),)


def written(model: ij.Model, beside: Extras = NONE) -> ij.FormatError:
    with pytest.raises(ij.FormatError) as caught:
        encode(model, beside)
    return caught.value


def test_a_model_that_is_no_chain_is_refused() -> None:
    model = ij.Model([1, 1], [ij.Copy(0, 1)], feature_size=1)
    assert written(model).kind == "NotADenseChain"


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_first_weight_that_the_scanner_minds_is_not_written(value) -> None:
    def model(*weights: float, dtype: str = "float32") -> ij.Model:
        return ij.Model([2, 1], [ij.Dot(0, 1, 0)], [[weights]], feature_size=2, dtype=dtype)

    assert written(model(value, 1)).kind == "InvalidPayload"
    assert scan(encode(model(1, value))) == ()
    assert scan(encode(model(value, 1, dtype="float64"))) == ()


LONG_NAMES = ij.Limits(name_bytes=2**16)


def test_the_header_is_filled_to_the_last_byte() -> None:
    records = parse(encode(dense(1, 1), Extras(""))).records
    longest = "n" * (65_536 - 12 - sum(5 + len(value) for _, value in records))
    content = encode(dense(1, 1), Extras(longest))
    assert parse(content, LONG_NAMES).header.size == 65_536
    assert extras(content, LONG_NAMES).name == longest
    error = written(dense(1, 1), Extras(longest + "n"))
    assert error.kind == "BadHeader"
    assert "65552" in str(error)
    assert "65536" in str(error)


@pytest.mark.parametrize(
    "beside",
    [
        Extras(records=((0, b""),)),
        Extras(records=((3, b""),)),
        Extras(records=((256, b""),)),
        Extras(records=((-1, b""),)),
        Extras(records=((9, bytes(65_536)),)),
        Extras("\ud800"),
        Extras("n" * 70_000),
        Extras(blobs=(Extra(b"a", 3, (1,), b""),)),
        Extras(blobs=(Extra(b"a", 0, (), b""),)),
        Extras(blobs=(Extra(b"a", 0, (1,) * 256, b""),)),
        Extras(blobs=(Extra(b"a", 0, (2**32,), b""),)),
        Extras(blobs=(Extra(b"a", 0, (-1,), b""),)),
        Extras(blobs=(Extra(b"a" * 65_536, 0, (1,), b""),)),
        Extras(blobs=(Extra(b"a" * 65_000, 0, (1,), b""),) * 2),
    ],
    ids=range(14),
)
def test_what_has_no_room_in_a_header_is_refused(beside) -> None:
    assert written(dense(1, 1), beside).kind == "BadHeader"


def test_the_largest_dims_have_room() -> None:
    blob = Extra(b"a", 2, (2**32 - 1,) * 255, b"")
    assert extras(encode(dense(1, 1), Extras(blobs=(blob,)))).blobs == (blob,)


def test_nothing_is_written_where_there_are_no_records() -> None:
    found = parse(container_writing.pack((), ()))
    assert (found.records, found.entries) == (((3, b""),), ())


# What travels beside the model

BESIDE = {
    "nothing": Extras(digests=True),
    "a name": Extras("net \u00e9", digests=True),
    "an empty name": Extras("", digests=True),
    "a hostile name": Extras("a\n\"'\0__import__('os')\uff41", digests=True),
    "a benchmark": Extras(None, b"BMK\1" + bytes(range(256)), digests=True),
    "records": Extras(
        None, b"x", ((255, b"a"), (7, b"VIZX"), (255, b""), (1, b"\0")), digests=True
    ),
    "a second benchmark": Extras(None, b"x", ((6, b"second"),), digests=True),
    "a second name": Extras("a", b"x", ((4, b"second"), (4, b"\xff")), digests=True),
    "a name that is not UTF-8": Extras(None, b"x", ((4, b"\xff"), (4, b"second")), digests=True),
    "blobs": Extras(
        None,
        b"x",
        (),
        (
            Extra(b"a", 0, (1, 2), b"\0\0"),
            Extra(b"a", 1, (1,), b""),
            Extra(b"", 2, (9,), b"123"),
            Extra(b"\xff\n'\"", 2, (0,), b"4"),
            Extra(b"weights", 0, (1,), b"second"),
            Extra(b"auth.ed25519_sig", 2, (64,), bytes(64)),
        ),
        digests=True,
    ),
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_it_survives(beside) -> None:
    content = encode(dense(2, 2), beside)
    assert scan(content) == ()
    assert dataclasses.replace(extras(content), unread=()) == beside
    assert decode(content) == dense(2, 2)


records = st.lists(
    st.tuples(st.sampled_from([1, 2, 7, 8, 127, 193, 255]), st.binary(max_size=40)), max_size=4
)
blobs = st.lists(
    st.builds(
        Extra,
        st.binary(max_size=20),
        st.integers(0, 2),
        st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4).map(tuple),
        st.binary(max_size=50),
    ),
    max_size=4,
)


@given(st.none() | st.text(max_size=30), st.binary(min_size=1, max_size=40), records, blobs)
@settings(max_examples=200, deadline=None)
def test_anything_survives(name, benchmark, several, others) -> None:
    kept = None if benchmark in (b"", b"BMK\1") else benchmark
    content = encode(dense(1, 2), Extras(name, benchmark, tuple(several), tuple(others)))
    beside = Extras(name, kept, tuple(several), tuple(others), digests=True)
    assert scan(content) == ()
    assert dataclasses.replace(extras(content), unread=()) == beside  # names may say signatures
    assert decode(content) == dense(1, 2)


def test_an_old_summary_is_left_out_and_written_anew() -> None:
    content = container(*network(), records=(BENCHMARK, (5, b"old"), (5, b"older")))
    assert extras(content).records == ()
    again = parse(encode(decode(content), extras(content)))
    assert [kind for kind, _ in again.records] == [6, 5, 3]
    assert summary.decode(again.record(5)).layer_count == 2


def test_the_first_blobs_of_the_three_names_are_the_model() -> None:
    twice = (*network(), *network())
    found = extras(container(*twice))
    assert [blob.name for blob in found.blobs] == [b"layer_meta", b"weights", b"biases"]


def test_a_second_record_of_the_same_bytes_is_kept_too() -> None:
    def aliased(offset: int) -> bytes:
        model = network()
        again = dataclasses.replace(model[1], offset=offset, length=24)
        return container(*model, dataclasses.replace(again, payload=b"", digest=bytes(32)))

    place = parse(aliased(0)).entry(b"weights").offset
    content = aliased(place)
    assert extras(content).blobs == (Extra(b"weights", 0, (6,), network()[1].payload),)
    found = parse(content).entries
    assert (found[1].offset, found[1].length) == (found[3].offset, found[3].length)


def test_digests_are_those_of_any_blob() -> None:
    def held(*digests: bytes | None) -> bool:
        blobs = [Blob(b"a", b"1", digest=digest) for digest in digests]
        return extras(container(*blobs)).digests

    assert not held()
    assert not held(bytes(32), bytes(32))
    assert held(bytes(32), None)


def test_a_file_without_a_model_has_extras_too() -> None:
    found = extras(container(Blob(b"tensor", b"abc", 2), records=((4, b"name"),)))
    assert found.name == "name"
    assert found.blobs == (Extra(b"tensor", 2, (1,), b"abc"),)
