"""Files in and out: what load takes, what save leaves behind."""

from __future__ import annotations

import io
import os
import pickle
import stat

import orjson
import pytest

import instjit as ij

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


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ij.FormatError, match="no format 'onnx'"):
        ij.load(TEXT, format="onnx")
    with pytest.raises(ij.FormatError, match="not a model file"):
        ij.load(b"\x89PNG\r\n")


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


def test_the_suffix_or_the_format_says_what_to_write(tmp_path) -> None:
    model = ij.load(DOCUMENT)
    with pytest.raises(ij.FormatError, match="no format has this suffix"):
        ij.save(model, tmp_path / "model.bin")
    ij.save(model, tmp_path / "model.bin", format="instmodel")
    assert ij.load(tmp_path / "model.bin") == model


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        ij.save(ij.load(DOCUMENT), tmp_path / "missing" / "model.json")
