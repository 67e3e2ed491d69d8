"""Every model comes back from plain values and a block of bytes as it was, bit for bit."""

from __future__ import annotations

import json

import golden_cases
import numpy as np
import pytest
import rnn_golden
from nets import NETS, dense
from random_models import random_model

import instjit as ij
from instjit.envelope import PROBED, deflated, inflated
from instjit.load import decode
from instjit.packed_model import packed, unpacked


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
    assert packed(dense(2, 1))[0] == ((2, 1), ("SIGMOID",))


def test_what_a_dense_chain_has_is_left_out() -> None:
    layers = [ij.Dot(0, 1, 0, "RELU"), ij.Dot(1, 2, 1)]
    arrays = [[[1, 2], [3, 4], [5, 6]], [[7, 8, 9]]], [[1, 2, 3], [4]]
    chain = ij.Model([2, 3, 1], layers, *arrays, feature_size=2)
    assert packed(chain)[0] == ((2, 3, 1), ("RELU", None))
    double = ij.Model([2, 3, 1], layers, *arrays, feature_size=2, dtype="float64")
    assert packed(double)[0] == ((2, 3, 1), ("RELU", None), "float64")


UNUSUAL = {
    "from another buffer": {"instructions": [ij.Dot(1, 2, 0)]},
    "to another buffer": {"instructions": [ij.Dot(0, 2, 0)]},
    "other weights": {"instructions": [ij.Dot(0, 1, 1)]},
    "later": {"instructions": [ij.Activate(1, "RELU"), ij.Dot(0, 1, 0)]},
    "wider": {"weights": [[[1, 2, 3]], [[4]]]},
    "one matrix fewer": {"weights": [[[1, 2]]], "bias": [[3], [4]]},
    "longer bias": {"bias": [[3, 4], [5]]},
    "equal biases": {"bias": [[3], [3]]},
    "no bias": {"bias": []},
    "other columns": {"feature_size": 1},
    "no columns": {"feature_size": None},
    "names": {"feature_size": None, "features": ["a", "b"]},
    "names and columns": {"feature_size": 2, "features": ["a", "b"]},
    "no buffers": {"buffers": []},
    "one buffer": {"buffers": [2]},
    "a shape": {"buffers": [ij.Buffer((1, 2)), 1, 1]},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_otherwise_than_in_a_chain_comes_back(name: str) -> None:
    usual = {
        "buffers": [2, 1, 1],
        "instructions": [ij.Dot(0, 1, 0), ij.Dot(1, 2, 1)],
        "weights": [[[1, 2]], [[4]]],
        "bias": [[3], [5]],
        "feature_size": 2,
    }
    model = ij.Model(**{**usual, **UNUSUAL[name]})
    assert alike(again(model), model)
    assert packed(model)[0] != packed(ij.Model(**usual))[0]


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
