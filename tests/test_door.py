"""One door for all formats: what is read is told from the content, never from the name."""

from __future__ import annotations

import io
from array import array
from pathlib import Path

import numpy as np
import pytest

import instjit as ij
from instjit.content import content_of
from instjit.formats import FORMATS, sniff
from instjit.reference import run

CHAIN = ij.Model(
    [2, 3, 1],
    [ij.Dot(0, 1, 0, "RELU"), ij.Dot(1, 2, 1, "TANH")],
    weights=[[[1, -2], [0.5, 0.25], [-1, 3]], [[1, 2, -0.5]]],
    bias=[[0, 0.5, -1], [0.125]],
    feature_size=2,
)
ROWS = [[0, 0], [1, 2], [-3, 0.5], [1e30, -1e-30]]
FILES = {name: codec.encode(CHAIN) for name, codec in FORMATS.items()}


def bits(model: ij.Model) -> bytes:
    return run(model, ROWS).tobytes()


@pytest.mark.parametrize("suffix", [".json", ".rmd1", ".rnn", ".bin", ""])
@pytest.mark.parametrize("name", FORMATS)
def test_the_content_tells_the_format_whatever_the_suffix(tmp_path, name, suffix) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(FILES[name])
    assert sniff(FILES[name]).name == name
    assert bits(ij.load(path)) == bits(CHAIN)
    assert bits(ij.load(io.BytesIO(FILES[name]))) == bits(CHAIN)
    assert bits(ij.load(path, format=name)) == bits(CHAIN)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("forced", FORMATS)
def test_a_forced_format_takes_no_other(name, forced) -> None:
    if name == forced:
        assert bits(ij.load(FILES[name], format=forced)) == bits(CHAIN)
        return
    with pytest.raises(ij.FormatError) as caught:
        ij.load(FILES[name], format=forced)
    assert caught.value.kind in ("BadMagic", "ParseError")


@pytest.mark.parametrize(
    "content", [b"", b"R", b"RMD", b"RMD2", b"RNN1", b"rmd1", b"\x89PNG\r\n", b"\x80\x04pickle"]
)
def test_unknown_content_is_refused_with_the_names_of_all_formats(content) -> None:
    with pytest.raises(ij.FormatError, match="not a model file") as caught:
        ij.load(content)
    assert caught.value.kind == "UnknownFormat"
    assert all(name in str(caught.value) for name in FORMATS)


def test_an_unknown_name_is_refused_with_the_names_of_all_formats() -> None:
    with pytest.raises(ij.FormatError, match="no format 'onnx'") as caught:
        ij.load(FILES["rmd1"], format="onnx")
    assert all(name in str(caught.value) for name in FORMATS)


def test_a_parsed_document_is_of_one_format_only() -> None:
    document = {"feature_size": 1, "buffer_sizes": [1], "instructions": [], "weights": []}
    with pytest.raises(ij.FormatError, match="a parsed document is of the format instmodel, rmd1"):
        ij.load(document, format="rmd1")


def test_weights_of_bytes_are_views_of_the_same_object() -> None:
    content = FILES["rmd1"]
    assert content_of(content) is content
    whole = np.frombuffer(content, np.uint8)
    assert all(np.shares_memory(weights, whole) for weights in ij.load(content).weights)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_that_may_change_are_copied(kind) -> None:
    content = bytearray(FILES["rmd1"])
    model = ij.load(kind(content))
    content[-4:] = b"\xff\xff\xff\xff"
    assert bits(model) == bits(CHAIN)


def test_the_limit_counts_bytes_not_items() -> None:
    words = memoryview(array("I", [0] * 10))
    with pytest.raises(ij.FormatError, match="the limit is 39"):
        content_of(words, ij.Limits(file_bytes=39))
    assert len(content_of(words, ij.Limits(file_bytes=40))) == 40


@pytest.mark.parametrize(("most", "fits"), [(len(FILES["rnn0"]), True), (50, False)])
def test_a_path_is_opened_once(tmp_path, monkeypatch, most, fits) -> None:
    path = tmp_path / "model"
    path.write_bytes(FILES["rnn0"])
    opened = []
    original = Path.open

    def counting(self, *args, **kwargs):
        opened.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counting)
    if fits:
        assert bits(ij.load(path, limits=ij.Limits(file_bytes=most))) == bits(CHAIN)
    else:
        with pytest.raises(ij.FormatError, match=f"{len(FILES['rnn0'])} bytes, the limit is 50"):
            ij.load(path, limits=ij.Limits(file_bytes=most))
    assert opened == [path]


def test_a_file_that_says_nothing_of_its_size_is_read_up_to_the_limit() -> None:
    assert content_of("/proc/self/cmdline")
    with pytest.raises(ij.FormatError, match="more than 3 bytes, the limit is 3"):
        content_of("/proc/self/cmdline", ij.Limits(file_bytes=3))
    with pytest.raises(ij.FormatError, match="the limit is 1000"):
        content_of("/dev/zero", ij.Limits(file_bytes=1000))
