"""Converting model files: the same bits or no file at all."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest
from cli_cases import LINEAR, NET, ROOT

import instjit as ij
from instjit import convert as convert_function
from instjit.convert import LEAST_ROWS, MOST_ROWS, OPERATIONS, _compare, _row_count, sample_rows
from instjit.formats import FORMATS, rmd1
from instjit.formats.extras import NONE, Blob, Extras
from instjit.formats.losses import losses
from instjit.reference import run, run64, work

LOAD = sys.modules["instjit.load"]
"""The module: the package shows the function of that name."""

ACTIVATIONS = [None, "RELU", "SIGMOID", "TANH"]
POLICY = ROOT / "examples/simulation/policy.json"


def chain(seed: int, dtype: str = "float32") -> ij.Model:
    """A random dense chain, now and then with an activation that is an instruction of its own."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, rng.integers(2, 6)).tolist()
    instructions: list[ij.Instruction] = []
    for layer in range(len(sizes) - 1):
        activation = ACTIVATIONS[rng.integers(4)]
        if activation is not None and rng.random() < 0.3:
            instructions += [ij.Dot(layer, layer + 1, layer), ij.Activate(layer + 1, activation)]
        else:
            instructions.append(ij.Dot(layer, layer + 1, layer, activation))
    return ij.Model(
        sizes,
        instructions,
        [rng.normal(size=(o, i)) for i, o in pairwise(sizes)],
        [rng.normal(size=o) for o in sizes[1:]],
        feature_size=sizes[0],
        dtype=dtype,
    )


def shared(layers: int, width: int = 20) -> ij.Model:
    """Layers that all use the same weights."""
    dots = [ij.Dot(k, k + 1, 0) for k in range(layers)]
    arrays = [np.ones((width, width))], [np.zeros(width)]
    return ij.Model([width] * (layers + 1), dots, *arrays, feature_size=width)


def write(folder: Path, model: ij.Model, name: str = "in.json", extras: Extras = NONE) -> Path:
    path = folder / name
    path.write_bytes(
        next(f for f in FORMATS.values() if name.endswith(f.suffixes)).encode(model, extras)
    )
    return path


def bits(model: ij.Model) -> bytes:
    rows = sample_rows(model.input_size, 64)
    return np.nan_to_num(run(model, rows), nan=7.5).tobytes()


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [*map(chain, range(12)), NET, LINEAR, ij.load(POLICY), shared(3)])
def test_a_dense_chain_survives_all_formats_in_a_row(tmp_path, model) -> None:
    path = write(tmp_path, model)
    for name in ("a.rmd1", "b.rnn", "c.json", "d.rnn0", "e.rmd1"):
        ij.convert(path, tmp_path / name)
        path = tmp_path / name
        assert bits(ij.load(path)) == bits(model)
    assert (tmp_path / "a.rmd1").read_bytes() == (tmp_path / "e.rmd1").read_bytes()
    assert (tmp_path / "b.rnn").read_bytes() == (tmp_path / "d.rnn0").read_bytes()


@pytest.mark.parametrize("seed", range(6))
def test_float64_stays_float64_where_it_can(tmp_path, seed) -> None:
    model = chain(seed, "float64")
    path = write(tmp_path, model, "in.rmd1")
    assert ij.convert(path, tmp_path / "a.rnn") == ()
    again = ij.load(tmp_path / "a.rnn")
    rows = np.ones((1, model.input_size), np.float32)
    assert again.dtype == "float64"
    assert run64(again, rows).tobytes() == run64(model, rows).tobytes()
    lost = ij.convert(tmp_path / "a.rnn", tmp_path / "b.json")
    assert lost[0] == "float64 numbers (rounded to float32)"
    assert bits(ij.load(tmp_path / "b.json")) == bits(model)


def test_any_model_can_be_written_anew_in_json(tmp_path) -> None:
    digits = ROOT / "examples/digits/digits.json"
    assert ij.convert(digits, tmp_path / "digits.json", strict=True) == ()
    assert ij.load(tmp_path / "digits.json") == ij.load(digits)


EXTRAS = Extras(
    "\x1b[2Jnet\n",
    b"BMK\x01 fast",
    ((0x7F, b"\x00\xff"),),
    (Blob(b"notes", 2, (3,), b"a\x00b"), Blob(b"\xff", 0, (1, 1), b"1234")),
    True,
)


def test_what_a_container_holds_beside_the_model_goes_into_another(tmp_path) -> None:
    path = write(tmp_path, LINEAR, "in.rnn", EXTRAS)
    assert FORMATS["rnn0"].extras(path.read_bytes()) == EXTRAS
    assert ij.convert(path, tmp_path / "out.rnn", strict=True) == ()
    assert FORMATS["rnn0"].extras((tmp_path / "out.rnn").read_bytes()) == EXTRAS


@pytest.mark.parametrize("kind", [Path, str, bytes, io.BytesIO, dict])
def test_the_source_may_be_all_that_load_takes(tmp_path, kind) -> None:
    path = write(tmp_path, LINEAR)
    content = path.read_bytes()
    source = {bytes: content, io.BytesIO: io.BytesIO(content), dict: orjson.loads(content)}
    lost = ij.convert(source.get(kind) or kind(path), tmp_path / "out.bin", to="rmd1")
    assert lost == ("2 feature names",)
    assert bits(ij.load(tmp_path / "out.bin", format="rmd1")) == bits(LINEAR)


# -- what is lost ----------------------------------------------------------------------------------

PHRASES = [
    (LINEAR, NONE, "rmd1", ["2 feature names"]),
    (NET, NONE, "rnn0", ["2 feature names", "1 validation row"]),
    (chain(1, "float64"), NONE, "instmodel", ["float64 numbers (rounded to float32)"]),
    (chain(1), Extras("net"), "rmd1", ["the model's name"]),
    (chain(1), Extras(benchmark=b"BMK\x01"), "rmd1", ["the benchmark record"]),
    (chain(1), Extras(records=((9, b""), (9, b""))), "rmd1", ["2 header records"]),
    (chain(1), Extras(blobs=(Blob(b"a", 2, (0,), b""),)), "rmd1", ["1 blob"]),
    (chain(1), Extras(digests=True), "instmodel", ["digests of the payloads"]),
    (chain(1), Extras(digests=True), "rmd1", ["digests of the payloads"]),
    (NET, NONE, "instmodel", []),
    (chain(1, "float64"), NONE, "rmd1", []),
    (chain(1, "float64"), EXTRAS, "rnn0", []),
]


@pytest.mark.parametrize(("model", "extras", "target", "phrases"), PHRASES)
def test_every_loss_has_a_phrase(model, extras, target, phrases) -> None:
    assert losses(model, extras, FORMATS[target].holds) == tuple(phrases)


SAMPLE = rmd1.pack_dense(rmd1.sample())
GAPPED = rmd1.pack_dense(
    rmd1.Dense.of(
        [rmd1.Layer(1, 1, 2, 1, rmd1.DenseActivation.RELU)], [0, 0, 1, 0], [0, 1], "float32"
    )
)


def contained(version: int = 1, flags: int = 0, blobs: tuple[Blob, ...] = ()) -> bytes:
    content = FORMATS["rnn0"].encode(chain(1), Extras(blobs=blobs))
    return content[:4] + bytes((version, 0, flags, 0)) + content[8:]


def with_fields(**fields) -> bytes:
    document = orjson.loads(POLICY.read_bytes()) | fields
    document["instructions"][0]["note"] = 1
    return orjson.dumps(document)


SIGNED = "the truth of its signatures, which are copied but made for the old file"
DROPPED = [
    (SAMPLE + b"1", "rmd1", ["1 trailing byte"]),
    (SAMPLE + bytes(12), "instmodel", ["12 trailing bytes"]),
    (
        GAPPED,
        "rmd1",
        [
            "3 numbers of the weights that no layer uses",
            "1 number of the biases that no layer uses",
        ],
    ),
    (contained(version=9, flags=3), "rnn0", ["version 9", "flags 0x0003"]),
    (contained(blobs=(Blob(b"auth.hmac_sha256", 2, (1,), b"?"),)), "rnn0", [SIGNED]),
    (
        with_fields(**{"a\nb": 1, "metadata": {}}),
        "instmodel",
        [
            "the unknown field 'a\\nb'",
            "the unknown field 'metadata'",
            "the unknown field 'note' of DOT",
        ],
    ),
    (
        with_fields(**{f"f{k}": k for k in range(30)}),
        "instmodel",
        [*(f"the unknown field 'f{k}'" for k in range(20)), "11 more unknown fields"],
    ),
]


@pytest.mark.parametrize(("source", "target", "phrases"), DROPPED)
def test_what_no_writer_writes_is_a_loss_in_every_format(tmp_path, source, target, phrases) -> None:
    assert ij.convert(source, tmp_path / "out", to=target) == tuple(phrases)
    with pytest.raises(ij.FormatError) as caught:
        ij.convert(source, tmp_path / "again", to=target, strict=True)
    assert [problem.fields["lost"] for problem in caught.value.problems] == phrases
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "text", [b"[]", b"3", b'{"instructions":{}}', b'{"instructions":[1,{"type":[]}]}']
)
def test_unknown_fields_are_sought_in_any_json(text) -> None:
    assert FORMATS["instmodel"].extras(text) == NONE


LOSING = [
    ("in.json", NET, NONE, "out.rmd1", 2),
    ("in.json", NET, NONE, "out.rnn", 2),
    ("in.rnn", chain(1, "float64"), EXTRAS, "out.json", 6),
    ("in.rnn", chain(1), EXTRAS, "out.rmd1", 5),
]


@pytest.mark.parametrize(("name", "model", "extras", "out", "count"), LOSING)
def test_losses_are_given_back_or_refused(tmp_path, name, model, extras, out, count) -> None:
    path = write(tmp_path, model, name, extras)
    with pytest.raises(ij.FormatError) as caught:
        ij.convert(path, tmp_path / out, strict=True)
    assert {problem.kind for problem in caught.value.problems} == {"NotHeld"}
    assert os.listdir(tmp_path) == [name]
    lost = ij.convert(path, tmp_path / out)
    assert len(lost) == count
    assert lost == tuple(problem.fields["lost"] for problem in caught.value.problems)


# -- no file on any failure ------------------------------------------------------------------------


def nudged(model: ij.Model, extras: Extras = NONE) -> bytes:
    first, *rest = model.weights
    first = first.copy()
    first[0, 0] = np.nextafter(first[0, 0], np.float32(9))
    return FORMATS["rmd1"].encode(_with(model, [first, *rest], model.bias))


def negative_zero(model: ij.Model, extras: Extras = NONE) -> bytes:
    return FORMATS["rmd1"].encode(_with(model, model.weights, [-bias for bias in model.bias]))


def linear(model: ij.Model, extras: Extras = NONE) -> bytes:
    dots = [replace(each, activation=None) for each in model.instructions]
    return FORMATS["rmd1"].encode(_with(model, model.weights, model.bias, dots))


def not_a_number(model: ij.Model, extras: Extras = NONE) -> bytes:
    return FORMATS["rmd1"].encode(_with(model, model.weights, [b * np.nan for b in model.bias]))


def wider(model: ij.Model, extras: Extras = NONE) -> bytes:
    return FORMATS["rmd1"].encode(LINEAR)


def more_outputs(model: ij.Model, extras: Extras = NONE) -> bytes:
    weights = [np.concatenate([w, w]) for w in model.weights]
    both = ij.Model([1, 2], model.instructions, weights, [[0, 0]], feature_size=1)
    return FORMATS["rmd1"].encode(both)


def cut(model: ij.Model, extras: Extras = NONE) -> bytes:
    return FORMATS["rmd1"].encode(model)[:-1]


def foreign(model: ij.Model, extras: Extras = NONE) -> bytes:
    return FORMATS["rnn0"].encode(model)


def failing(model: ij.Model, extras: Extras = NONE) -> bytes:
    raise MemoryError


def _with(model, weights, bias, instructions=None) -> ij.Model:
    sizes = [buffer.size for buffer in model.buffers]
    size = model.input_size
    return ij.Model(sizes, instructions or model.instructions, weights, bias, feature_size=size)


ONE = ij.Model([1, 1], [ij.Dot(0, 1, 0, "RELU")], [[[1.0]]], [[0.0]], feature_size=1)
PLAIN = ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[1.0]]], [[0.0]], feature_size=1)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("encode", "model", "kind"),
    [
        (nudged, PLAIN, "ConversionMismatch"),
        (negative_zero, PLAIN, "ConversionMismatch"),
        (linear, ONE, "ConversionMismatch"),
        (not_a_number, PLAIN, "ConversionMismatch"),
        (wider, PLAIN, "ConversionMismatch"),
        (more_outputs, PLAIN, "ConversionMismatch"),
        (cut, PLAIN, "Truncated"),
        (foreign, PLAIN, "BadMagic"),
        (failing, PLAIN, MemoryError),
    ],
)
def test_a_wrong_file_never_appears(tmp_path, monkeypatch, encode, model, kind, exists) -> None:
    path, out = write(tmp_path, model), tmp_path / "out.rmd1"
    if exists:
        out.write_bytes(b"before")
    broken = replace(FORMATS["rmd1"], encode=encode)
    monkeypatch.setattr(LOAD, "for_suffix", lambda _: broken)
    with pytest.raises(kind if isinstance(kind, type) else ij.InstjitError) as caught:
        ij.convert(path, out)
    if isinstance(kind, str):
        assert caught.value.kind == kind
    assert sorted(os.listdir(tmp_path)) == ["in.json", "out.rmd1"][: 1 + exists]
    assert not exists or out.read_bytes() == b"before"


def test_a_mismatch_says_where(tmp_path, monkeypatch) -> None:
    path = write(tmp_path, PLAIN)
    broken = replace(FORMATS["rmd1"], encode=not_a_number)
    monkeypatch.setattr(LOAD, "for_suffix", lambda _: broken)
    words = r"^random row 0, output 0 in float32: the model gives \S+, the new file nan$"
    with pytest.raises(ij.ModelError, match=words) as caught:
        ij.convert(path, tmp_path / "out.rmd1")
    assert caught.value.fields == {"row": 0, "column": 0}


def test_float64_is_compared_as_such(tmp_path, monkeypatch) -> None:
    model = ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[0.1]]], [[0]], feature_size=1, dtype="float64")

    def close(model: ij.Model, extras: Extras = NONE) -> bytes:
        other = ij.Model(
            [1, 1],
            [ij.Dot(0, 1, 0)],
            [[[np.nextafter(0.1, 1)]]],
            [[0]],
            feature_size=1,
            dtype="float64",
        )
        assert other.rounded == model.rounded
        return FORMATS["rmd1"].encode(other)

    path = write(tmp_path, model, "in.rnn")
    broken = replace(FORMATS["rmd1"], encode=close)
    monkeypatch.setattr(LOAD, "for_suffix", lambda _: broken)
    with pytest.raises(ij.ModelError, match="in float64"):
        ij.convert(path, tmp_path / "out.rmd1")


@pytest.mark.parametrize("place", ["tempfile.mkstemp", "os.replace", "os.fdopen", "os.chmod"])
@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left"), PermissionError(13, "Permission denied"), KeyboardInterrupt()],
)
def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, place, error) -> None:
    path = write(tmp_path, PLAIN)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        with pytest.raises(type(error)):
            ij.convert(path, tmp_path / "out.rmd1")
    assert os.listdir(tmp_path) == ["in.json"]


def test_a_wrong_source_is_refused_as_load_does(tmp_path) -> None:
    document = {**orjson.loads(write(tmp_path, NET).read_bytes())}
    document["validation_data"] = {"inputs": [[0, 0, 0]], "expected_outputs": [[9, 9]]}
    with pytest.raises(ij.ModelError, match="validation row 0"):
        ij.convert(document, tmp_path / "out.rmd1")
    assert not (tmp_path / "out.rmd1").exists()
    assert ij.convert(document, tmp_path / "out.rmd1", check=False)
    with pytest.raises(ij.FormatError, match="cannot be read"):
        ij.convert(tmp_path / "none.json", tmp_path / "other.rmd1")
    with pytest.raises(ij.FormatError, match="not valid JSON"):
        ij.convert(tmp_path / "out.rmd1", tmp_path / "other.rmd1", from_="instmodel")
    assert sorted(os.listdir(tmp_path)) == ["in.json", "out.rmd1"]


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("7fc00000", "7fc00000", True),
        ("7fc00000", "ffc00001", True),
        ("7fc00000", "7f800000", False),
        ("7f800000", "7fc00000", False),
        ("00000000", "80000000", False),
        ("00000001", "00000000", False),
        ("3f800000", "3f800001", False),
        ("7f800000", "7f800000", True),
    ],
)
def test_bits_are_compared_and_any_nan_is_any_nan(wanted, got, same) -> None:
    left, right = (
        np.array([[int(word, 16)]], np.uint32).view(np.float32) for word in (wanted, got)
    )
    if same:
        _compare("float32", left, right)
    else:
        with pytest.raises(ij.ModelError, match="row 0, output 0 in float32"):
            _compare("float32", left, right)


# -- where to --------------------------------------------------------------------------------------


def test_the_target_may_not_be_the_source(tmp_path) -> None:
    path = write(tmp_path, PLAIN)
    before = path.read_bytes()
    (tmp_path / "soft.json").symlink_to(path)
    os.link(path, tmp_path / "hard.json")
    for name in ("in.json", "soft.json", "hard.json"):
        with pytest.raises(ij.InputError, match="the same file as the source") as caught:
            ij.convert(path, tmp_path / name)
        assert caught.value.kind == "OutputIsInput"
    assert path.read_bytes() == before


def test_a_file_is_replaced_unless_told_otherwise(tmp_path) -> None:
    path, out = write(tmp_path, PLAIN), tmp_path / "out.rmd1"
    out.write_bytes(b"before")
    with pytest.raises(ij.InputError, match="exists already"):
        ij.convert(path, out, force=False)
    assert out.read_bytes() == b"before"
    ij.convert(path, out)
    assert out.read_bytes() == FORMATS["rmd1"].encode(PLAIN)


@pytest.mark.parametrize(
    ("name", "error"),
    [("", ij.InputError), ("none/out.rmd1", FileNotFoundError), ("out.bin", ij.FormatError)],
)
def test_a_place_that_cannot_be_is_told_before_the_source_is_read(tmp_path, name, error) -> None:
    to = None if name.endswith("bin") else "rmd1"
    with pytest.raises(error):
        ij.convert(tmp_path / "none.json", tmp_path / name, to=to)
    assert os.listdir(tmp_path) == []


# -- the rows --------------------------------------------------------------------------------------


def test_rows_are_the_same_every_time_and_hold_all_that_is_special() -> None:
    rows = sample_rows(5, 256)
    assert rows.dtype == np.float32
    assert rows.tobytes() == sample_rows(5, 256).tobytes()
    tiny = np.finfo(np.float32).tiny
    assert np.isnan(rows).any()
    assert np.isposinf(rows).any()
    assert np.isneginf(rows).any()
    assert ((rows == 0) & np.signbit(rows)).any()
    assert ((rows != 0) & (np.abs(rows) < tiny)).any()
    assert (np.abs(rows[np.isfinite(rows)]) > 1e38).any()
    assert np.isfinite(rows).all(axis=1).mean() >= 0.75


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (PLAIN, MOST_ROWS),
        (shared(100), MOST_ROWS),
        (shared(1, 1000), 32),
        (shared(12, 1000), LEAST_ROWS),
        (shared(40, 1000), 1),
    ],
)
def test_as_many_rows_as_the_work_allows(model, rows) -> None:
    assert _row_count(model, ij.Limits()) == rows
    assert work(model, rows) <= OPERATIONS * (2 if 1 < rows <= LEAST_ROWS else 1) or rows == 1


def test_a_model_over_the_limit_for_one_row_is_refused(tmp_path) -> None:
    path = write(tmp_path, PLAIN)
    small = ij.Limits(validation_operations=work(PLAIN, 1) - 1)
    with pytest.raises(
        ij.FormatError, match=r"pass limits=Limits\(validation_operations="
    ) as caught:
        ij.convert(path, tmp_path / "out.rmd1", limits=small)
    assert caught.value.kind == "LimitExceeded"
    assert os.listdir(tmp_path) == ["in.json"]
    enough = ij.Limits(validation_operations=work(PLAIN, 1))
    assert ij.convert(path, tmp_path / "out.rmd1", limits=enough) == ()


def test_what_could_not_be_read_again_is_not_written(tmp_path) -> None:
    path = write(tmp_path, shared(40), "in.json")
    limits = ij.Limits(file_bytes=path.stat().st_size)
    with pytest.raises(ij.FormatError, match="the limit is") as caught:
        ij.convert(
            path, tmp_path / "out.rmd1", limits=limits
        )  # shared weights are written 40 times
    assert caught.value.kind == "LimitExceeded"
    assert os.listdir(tmp_path) == ["in.json"]


def test_the_function_stays_a_function_behind_the_module_of_its_name() -> None:
    assert ij.convert is convert_function
    assert callable(ij.convert)


def test_an_open_file_is_not_replaced_by_what_is_made_of_it(tmp_path) -> None:
    path = write(tmp_path, LINEAR)
    before = path.read_bytes()
    with path.open("rb") as file, pytest.raises(ij.InputError) as caught:
        ij.convert(file, path)
    assert caught.value.kind == "OutputIsInput"
    assert path.read_bytes() == before


def test_a_path_of_bytes_is_a_path(tmp_path) -> None:
    ij.convert(write(tmp_path, LINEAR), os.fsencode(tmp_path / "out.json"))
    ij.save(LINEAR, os.fsencode(tmp_path / "saved.json"))
    assert ij.load(tmp_path / "out.json") == ij.load(tmp_path / "saved.json") == LINEAR


@pytest.mark.parametrize("action", [ij.save, lambda model, path: ij.convert(POLICY, path)])
def test_a_name_that_no_file_can_have_is_refused(action) -> None:
    with pytest.raises(ij.InputError, match="no file can have this name"):
        action(LINEAR, "a\0.json")


@pytest.mark.parametrize("format", [["rmd1"], 3, "RMD1", b"rmd1"])
def test_a_format_is_one_of_the_names(tmp_path, format) -> None:
    with pytest.raises(ij.FormatError, match="there is no format"):
        ij.load(POLICY, format=format)
    with pytest.raises(ij.FormatError, match="there is no format"):
        ij.convert(POLICY, tmp_path / "out", to=format)
