"""Files in and out: what load takes, what save leaves behind."""

from __future__ import annotations

import io
import os
import pickle
import stat
import warnings

import numpy as np
import orjson
import pytest

import instjit as ij
from instjit.formats import sniff

DOCUMENT = {
    "features": ["a", "b"],
    "buffer_sizes": [2, 1],
    "instructions": [{"type": "DOT", "input": 0, "output": 1, "weights": 0}],
    "weights": [[[2, 0.5]]],
    "bias": [[0.25]],
    "validation_data": {"inputs": [[1, -1]], "expected_outputs": [[1.75]]},
}
TEXT = orjson.dumps(DOCUMENT)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(TEXT)
    return path


def test_a_model_comes_from_a_path_bytes_a_file_or_a_document(path) -> None:
    with path.open("rb") as file:
        models = [
            ij.load(path),
            ij.load(str(path)),
            ij.load(TEXT),
            ij.load(bytearray(TEXT)),
            ij.load(io.BytesIO(TEXT)),
            ij.load(file),
            ij.load(io.StringIO(TEXT.decode())),
            ij.load(DOCUMENT),
            ij.load(TEXT, format="instmodel"),
        ]
    assert all(model == models[0] for model in models)


@pytest.mark.parametrize("name", ["missing.json", "", "nul\0.json"])
def test_what_cannot_be_read_is_named(tmp_path, name) -> None:
    with pytest.raises(ij.FormatError, match="cannot be read") as caught:
        ij.load(tmp_path / name)
    assert caught.value.kind == "Unreadable"
    assert isinstance(caught.value.__cause__, (OSError, ValueError))


def test_a_file_over_the_limit_is_refused_before_it_is_read(path) -> None:
    small = ij.Limits(file_bytes=10)
    for source in (path, TEXT, io.BytesIO(TEXT)):
        with pytest.raises(ij.FormatError, match="the limit is 10") as caught:
            ij.load(source, limits=small)
        assert caught.value.kind == "LimitExceeded"


def test_validation_rows_are_run_unless_told_otherwise() -> None:
    wrong = {**DOCUMENT, "validation_data": {"inputs": [[1, -1]], "expected_outputs": [[2]]}}
    with pytest.raises(ij.ModelError) as caught:
        ij.load(wrong)
    assert caught.value.kind == "ValidationMismatch"
    assert ij.load(wrong, check=False).validation_data is not None
    assert [p.kind for p in ij.validate(ij.load(wrong, check=False))] == ["ValidationMismatch"]


def test_limits_of_the_family_can_be_raised() -> None:
    wide = {**DOCUMENT, "buffer_sizes": [2, 1, 2_000_000], "validation_data": None}
    with pytest.raises(ij.ModelError) as caught:
        ij.load(wide)
    assert caught.value.kind == "ComputationBufferSizeExceedsLimit"
    assert ij.load(wide, limits=ij.Limits(slots=3_000_000)).required_memory == 2_000_003


def test_an_error_lists_its_problems_and_can_be_pickled() -> None:
    broken = {**DOCUMENT, "weights": [[[1]]], "bias": [[1, 2]], "validation_data": None}
    with pytest.raises(ij.ModelError) as caught:
        ij.load(broken)
    assert str(caught.value).startswith("2 problems:\n  weights 0 have 1 rows")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert [p.kind for p in copy.problems] == [p.kind for p in caught.value.problems]


def test_saving_and_loading_gives_the_same_model_and_bytes(tmp_path) -> None:
    model = ij.load(DOCUMENT)
    ij.save(model, tmp_path / "one.json")
    again = ij.load(tmp_path / "one.json")
    ij.save(again, str(tmp_path / "two.json"))
    assert again == model
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path, path) -> None:
    ij.save(ij.load(DOCUMENT), path)
    assert os.listdir(tmp_path) == ["model.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_model_with_problems_is_not_saved(tmp_path, path) -> None:
    broken = ij.Model([2, 1], [ij.Dot(0, 1, 5)], feature_size=2)
    with pytest.raises(ij.ModelError, match="there are no weights 5"):
        ij.save(broken, path)
    assert path.read_bytes() == TEXT
    infinite = ij.Model([2, 1], [ij.Dot(0, 1, 0)], [[[1, float("inf")]]], feature_size=2)
    with pytest.raises(ij.FormatError, match=r"weights\[0\]\[0\]\[1\]"):
        ij.save(infinite, path)
    assert path.read_bytes() == TEXT
    assert os.listdir(tmp_path) == ["model.json"]


CHAIN = {**DOCUMENT, "features": None, "feature_size": 2, "validation_data": None}
"""The same without what only JSON can hold."""


@pytest.mark.parametrize(
    ("name", "format", "written"),
    [
        ("net.json", None, "instmodel"),
        ("net.JSON", None, "instmodel"),
        ("net.rmd1", None, "rmd1"),
        ("net.rnn", None, "rnn0"),
        ("net.rnn0", None, "rnn0"),
        ("net.old.rnn0", None, "rnn0"),
        ("net.json", "rmd1", "rmd1"),
        ("net.rmd1", "rnn0", "rnn0"),
        ("net.bin", "instmodel", "instmodel"),
        ("net", "rnn0", "rnn0"),
    ],
)
def test_the_suffix_or_the_format_says_what_to_write(tmp_path, name, format, written) -> None:
    model = ij.load(CHAIN)
    ij.save(model, tmp_path / name, format=format)
    content = (tmp_path / name).read_bytes()
    assert sniff(content).name == written
    assert ij.reference.run(ij.load(content), [[1, -1]]) == 1.75


@pytest.mark.parametrize("name", ["net", "net.bin", "json", "net.rmd", "net.rmd1.gz"])
def test_an_unknown_suffix_is_refused_with_all_that_are_known(tmp_path, name) -> None:
    with pytest.raises(
        ij.FormatError, match=r"expected one of .json, .rmd1, .rnn, .rnn0"
    ) as caught:
        ij.save(ij.load(CHAIN), tmp_path / name)
    assert caught.value.kind == "UnknownFormat"
    with pytest.raises(ij.FormatError, match="no format 'onnx'"):
        ij.save(ij.load(CHAIN), tmp_path / "net.json", format="onnx")
    assert os.listdir(tmp_path) == []


DOUBLE = ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[0.1]]], [[1]], feature_size=1, dtype="float64")

LOSSES = [
    (ij.load(DOCUMENT), ".rmd1", "rmd1 has no place for 2 feature names and 1 validation row"),
    (ij.load(DOCUMENT), ".rnn", "rnn0 has no place for 2 feature names and 1 validation row"),
    (DOUBLE, ".json", "instmodel has no place for float64 numbers (rounded to float32)"),
]


@pytest.mark.parametrize(("model", "suffix", "sentence"), LOSSES)
def test_what_is_left_out_is_one_warning(tmp_path, model, suffix, sentence) -> None:
    with pytest.warns(ij.LossWarning) as caught:
        ij.save(model, tmp_path / f"net{suffix}")
    (warning,) = caught
    assert str(warning.message) == sentence
    assert warning.filename == __file__
    again = ij.load(tmp_path / f"net{suffix}")
    row = np.ones((1, model.input_size), np.float32)
    assert ij.reference.run(again, row) == ij.reference.run(model, row)


@pytest.mark.parametrize(("model", "suffix", "sentence"), LOSSES)
def test_strict_refuses_to_leave_anything_out(tmp_path, model, suffix, sentence) -> None:
    with pytest.raises(ij.FormatError) as caught:
        ij.save(model, tmp_path / f"net{suffix}", strict=True)
    assert {problem.kind for problem in caught.value.problems} == {"NotHeld"}
    lost = [problem.fields["lost"] for problem in caught.value.problems]
    assert sentence.endswith(f" for {' and '.join(lost)}")
    assert os.listdir(tmp_path) == []


def test_a_warning_that_is_an_error_comes_before_the_file(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ij.LossWarning):
            ij.save(DOUBLE, tmp_path / "net.json")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("model", "suffix"), [(DOUBLE, ".rmd1"), (DOUBLE, ".rnn")])
def test_strict_takes_what_loses_nothing(tmp_path, model, suffix) -> None:
    path = tmp_path / f"net{suffix}"
    ij.save(model, path, strict=True)
    assert ij.load(path) == model


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("suffix", [".rmd1", ".rnn"])
def test_no_dense_chain_is_refused_by_its_first_instruction(tmp_path, suffix, strict) -> None:
    softmax = ij.Dot(1, 2, 1, "SOFTMAX")
    model = ij.Model(
        [1, 2, 2],
        [ij.Dot(0, 1, 0), softmax],
        [[[1], [2]], [[1, 2], [3, 4]]],
        features=["lost too"],
    )
    with pytest.raises(ij.FormatError, match="cannot hold the model: instruction 1") as caught:
        ij.save(model, tmp_path / f"net{suffix}", strict=strict)
    assert (caught.value.kind, caught.value.problems[0].instruction) == ("NotADenseChain", 1)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        ij.save(ij.load(DOCUMENT), tmp_path / "missing" / "model.json")
