"""Every model comes back from plain values and a block of bytes as it was, bit for bit."""

from __future__ import annotations

import json
import pickle

import golden_cases
import numpy as np
import pytest
import rnn_golden
from nets import NETS, dense
from random_models import random_model

import instjit as ij
from instjit.kernel import Kernel
from instjit.load import decode
from instjit.packed_model import EMPTY, PROBED, deflated, inflated, packed, unpacked
from instjit.portable import VERSION

ENVELOPE = 80
"""Bytes of a pickle besides a model's: names of what opens it, sizes, and what a buffer's size, a
matrix's shape and an instruction take above their entry in a binary file, for a few of each."""


def text_files() -> dict[str, bytes]:
    """The golden JSON models that load."""
    files = {case.id: case.text for case in golden_cases.CASES if case.error is None}
    for one in golden_cases.EXPORTED:
        files[one.name] = json.dumps(one.model, separators=(",", ":")).encode()
    return files


TEXTS = text_files()
BINARIES = {
    one.name: one.content
    for one in (*rnn_golden.RMD1, *rnn_golden.RNN0)
    if one.loads and not any(part in one.name for part in ("no_blobs", "two_tables"))
}
"""The golden binary files that hold a model."""

ODD = {
    "ragged": ij.Model([2, 2], [ij.Dot(0, 1, 0)], [[[1, 2], [3]]], [[0, 0]], feature_size=2),
    "wrong keys": ij.Model(
        [1], [], maps=[{"x": [1], "7": [2]}, {"y": [3]}, {7: [1], -1: [2]}, {7: [1]}, {}]
    ),
    "ragged map": ij.Model([1], [], maps=[{1: [1, 2], 2: [3]}], parameters=[[], [1]]),
    "equal arrays": ij.Model([1], [], [[[1.5]], [[1.5]]], [[1.5], [1.5]], parameters=[[1.5]]),
    "no features": ij.Model([1], [ij.Copy(0, 0)], features=[]),
    "feature size 0": ij.Model([0], [], feature_size=0),
    "names": ij.Model([1], [], features=["é[2]", "\ud800"]),
    "shapes": ij.Model([ij.Buffer((2, 3)), ij.Buffer((4,), "float64"), 0], []),
    "rows": ij.Model([1], [], validation_data=([[1, 2], [3]], np.zeros((0, 4)))),
    "float64": ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[0.1]]], [[1e-300]], dtype="float64"),
    "nothing": ij.Model([], []),
}


def again(model: ij.Model) -> ij.Model:
    structure, numbers = packed(model)
    return unpacked(structure, numbers)


def alike(model: ij.Model, other: ij.Model) -> bool:
    """Everything a model holds; the repr tells 0.0 from -0.0 and a tuple from None."""
    plain = [repr((m.instructions, m.features, m.feature_size, m.dtype)) for m in (model, other)]
    return model == other and plain[0] == plain[1]


@pytest.mark.parametrize("content", [*TEXTS.values(), *BINARIES.values()], ids=[*TEXTS, *BINARIES])
def test_golden_files_come_back(content: bytes) -> None:
    model = decode(content)
    assert alike(again(model), model)


@pytest.mark.parametrize("name", ODD)
def test_odd_and_wrong_models_come_back(name: str) -> None:
    assert alike(again(ODD[name]), ODD[name])


@pytest.mark.parametrize("name", NETS)
def test_nets_come_back(name: str) -> None:
    model = NETS[name]()
    assert alike(again(model), model)


def test_random_models_come_back() -> None:
    models = [random_model(seed)[0] for seed in range(100)]
    assert [seed for seed, model in enumerate(models) if not alike(again(model), model)] == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_keep_their_bits(dtype: str) -> None:
    """Quiet and signalling NaN of both signs, with payloads; zeros and infinities of both signs."""
    single = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0xFF800000, 1], np.uint32)
    double = np.array([0x7FF8000000000001, 0xFFF0000000000003, 1 << 63, 1, 2, 3], np.uint64)
    weights = (single.view(np.float32) if dtype == "float32" else double.view(np.float64))[None]
    model = ij.Model([6, 1], [], [weights], dtype=dtype, parameters=[single.view(np.float32)])
    other = again(model)
    assert other.weights[0].tobytes() == weights.tobytes()
    assert other.parameters[0].tobytes() == single.tobytes()
    assert other.weights[0].dtype == dtype


def test_numbers_of_instructions_tell_zeros_and_nan_apart() -> None:
    def net(default: float) -> ij.Model:
        lookup = ij.MapTransform(0, 1, 0, 0, 0, 1, (default,))
        return ij.Model([1, 1], [lookup], maps=[{1: [2]}], features=["id"])

    structures = [packed(net(default))[0] for default in (0.0, -0.0, float("nan"))]
    assert len(set(structures)) == 3
    assert packed(net(float("nan")))[0] == structures[2]


def test_arrays_are_read_only_views_of_the_block() -> None:
    structure, numbers = packed(dense(9, 8, 7))
    model = unpacked(structure, numbers)
    for array in (*model.weights, *model.bias):
        assert array.base is numbers
        assert not array.flags.writeable


def test_equal_arrays_lie_in_the_block_once() -> None:
    weights = np.arange(100.0).reshape(10, 10)
    steps = [ij.Dot(k, k + 1, k) for k in range(50)]
    model = ij.Model([10] * 51, steps, [weights] * 50, feature_size=10)
    assert len(packed(model)[1]) == 400 + 40


def test_the_end_of_a_structure_is_left_out_where_it_is_empty() -> None:
    assert packed(ODD["nothing"])[0] == ()
    assert len(packed(dense(2, 1))[0]) == EMPTY.index(None) + 2  # feature_size is the last


@pytest.mark.parametrize("change", [-1, 1, 4])
def test_a_block_of_another_length_is_refused(change: int) -> None:
    structure, numbers = packed(dense(3, 2))
    with pytest.raises(ij.FormatError, match=r"this pickle is damaged: it") as caught:
        unpacked(structure, numbers[:change] if change < 0 else numbers + bytes(change))
    assert caught.value.kind == "DamagedPickle"


@pytest.mark.parametrize(
    ("numbers", "pays"),
    [
        (np.zeros(10_000), True),
        (np.arange(100_000) % 90, True),
        (np.random.default_rng(0).normal(size=10_000), False),
        (np.random.default_rng(0).normal(size=PROBED), False),
        (np.array([1.0]), False),
        (np.array([]), False),
    ],
)
def test_the_block_is_deflated_where_that_pays(numbers: np.ndarray, pays: bool) -> None:
    content = numbers.astype(np.float32).tobytes()
    smaller = deflated(content)
    assert (smaller is not None) is pays
    assert smaller is None or (inflated(smaller) == content and len(smaller) < len(content))


@pytest.mark.parametrize("name", TEXTS)
def test_a_pickle_is_smaller_than_the_json_file(name: str) -> None:
    size = len(pickle.dumps(Kernel(decode(TEXTS[name]))))
    assert size < 0.75 * len(TEXTS[name])


@pytest.mark.parametrize("name", BINARIES)
def test_a_pickle_is_as_large_as_the_binary_file_and_its_envelope(name: str) -> None:
    size = len(pickle.dumps(Kernel(decode(BINARIES[name]))))
    assert size <= len(BINARIES[name]) + ENVELOPE


@pytest.mark.parametrize(
    "widths", [[8, 24, 8, 1], [250, 300, 200], [1] * 40, [2] * 300, [3] * 1000], ids=len
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pickle_is_below_a_tenth_more_than_a_binary_file(widths, dtype, tmp_path) -> None:
    net = dense(*widths)
    model = ij.Model(
        net.buffers, net.instructions, net.weights, net.bias, feature_size=widths[0], dtype=dtype
    )
    ij.save(model, tmp_path / "net.rmd1")
    content = (tmp_path / "net.rmd1").read_bytes()
    assert len(pickle.dumps(Kernel(decode(content)))) < 1.1 * len(content)


@pytest.mark.parametrize("text", ["0", "7", "-1", "42", "0.5"])
def test_a_pickle_is_below_json_of_short_numbers(text: str) -> None:
    row = "[" + ",".join([text] * 200) + "]"
    document = {
        "feature_size": 200,
        "buffer_sizes": [200, 200],
        "bias": ["ROW"],
        "weights": [["ROW"] * 200],
        "instructions": [{"type": "DOT", "input": 0, "output": 1, "weights": 0}],
    }
    content = json.dumps(document, separators=(",", ":")).replace('"ROW"', row).encode()
    assert len(pickle.dumps(Kernel(decode(content)))) < 0.5 * len(content)


def test_the_version_is_the_first_thing_in_a_pickle() -> None:
    assert Kernel(dense(2, 1)).__reduce__()[1][0] == VERSION
