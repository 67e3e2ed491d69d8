from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cli_cases import LINEAR, ROOT, call, saved, start

import instjit
from instjit.cli import main
from instjit.commands import convert as command
from instjit.formats import FORMATS, sniff
from instjit.formats.extras import NONE, Extras

DIGITS = str(ROOT / "examples/digits/digits.json")


def kind(path: Path) -> str:
    return sniff(path.read_bytes()).name


def test_the_new_file_is_one_line_and_what_it_lacks_one_line_each(tmp_path, capsys):
    out = tmp_path / "net.rmd1"
    assert main(["convert", saved(tmp_path), str(out)]) == 0
    told, lacks = capsys.readouterr()
    size = out.stat().st_size
    assert told == f"{out}: rmd1, {size} bytes, 256 random rows with the same bits\n"
    assert lacks.splitlines() == [
        f"instjit: {out}: rmd1 has no place for 2 feature names",
        f"instjit: {out}: rmd1 has no place for 1 validation row",
    ]
    assert kind(out) == "rmd1"


def test_strict_writes_nothing_then(tmp_path, capsys):
    path, out = saved(tmp_path), tmp_path / "net.rmd1"
    assert main(["convert", path, str(out), "--strict"]) == 1
    told, lacks = capsys.readouterr()
    assert told == ""
    assert lacks.splitlines() == [
        f"instjit: {path}: rmd1 has no place for 2 feature names",
        f"instjit: {path}: rmd1 has no place for 1 validation row",
    ]
    assert os.listdir(tmp_path) == ["net.json"]
    assert main(["convert", path, str(tmp_path / "same.json"), "--strict"]) == 0


@pytest.mark.parametrize("suffix", [".rmd1", ".rnn"])
def test_no_dense_chain_is_refused_by_its_first_instruction(tmp_path, capsys, suffix):
    assert main(["convert", DIGITS, str(tmp_path / f"digits{suffix}")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        rf"instjit: {re.escape(DIGITS)}: r\w+ cannot hold the model: "
        r"instruction 0 \(MUL_ELEMENTWISE\) is no layer of a dense chain\n",
        err,
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "code", "written"),
    [
        (["net.json", "out.rnn"], 0, "rnn0"),
        (["net.json", "out.RMD1"], 0, "rmd1"),
        (["net.json", "out.bin", "--to", "rnn0"], 0, "rnn0"),
        (["net.json", "out.json", "--to", "rmd1"], 0, "rmd1"),
        (["net.json", "out.json", "--from", "instmodel"], 0, "instmodel"),
        (["net.json", "out.json", "--from", "rmd1"], 3, None),
        (["net.json", "out.bin"], 2, None),
        (["net.json", "out.json", "--to", "onnx"], 2, None),
        (["net.json", "-"], 2, None),
        (["net.json", "-", "--to", "rmd1"], 2, None),
        (["net.json", "net.json"], 2, None),
        (["net.json", "net.json", "--force"], 2, None),
        (["net.json", "./net.json", "--to", "rmd1", "--force"], 2, None),
        (["net.json", "."], 2, None),
        (["net.json", "none/out.json"], 3, None),
        (["none.json", "out.json"], 3, None),
        (["broken.json", "out.json"], 3, None),
        (["wrong.json", "out.json"], 1, None),
        (["rows.json", "out.json"], 1, None),
        (["rows.json", "out.json", "--no-check"], 0, "instmodel"),
        (["net.json"], 2, None),
    ],
)
def test_formats_and_exit_codes(tmp_path, monkeypatch, capsys, words, code, written):
    monkeypatch.chdir(tmp_path)
    document = json.loads(Path(saved(tmp_path)).read_text())
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "wrong.json").write_text(json.dumps({**document, "bias": [[1]]}))
    rows = {"inputs": [[0, 0, 0]], "expected_outputs": [[9, 9]]}
    (tmp_path / "rows.json").write_text(json.dumps({**document, "validation_data": rows}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["convert", *words]) == code
    out, err = capsys.readouterr()
    if written is None:
        assert out == ""
        assert err
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    else:
        assert kind(tmp_path / words[1]) == written
        assert err.count("no place for") == (2 if written != "instmodel" else 0)


def test_a_file_is_replaced_with_force_only(tmp_path, capsys):
    path, out = saved(tmp_path), tmp_path / "out.rmd1"
    out.write_bytes(b"before")
    assert main(["convert", path, str(out)]) == 2
    assert capsys.readouterr().err == f"instjit: {out}: exists already; --force replaces it\n"
    assert out.read_bytes() == b"before"
    assert main(["convert", "none.json", str(out)]) == 2  # told before IN is read
    assert main(["convert", path, str(out), "--force"]) == 0
    assert kind(out) == "rmd1"


def test_a_model_can_come_from_standard_input(tmp_path):
    path, out = saved(tmp_path, LINEAR), tmp_path / "out.rnn"
    result = call("convert", "-", str(out), stdin=Path(path).read_bytes())
    assert result.returncode == 0
    assert kind(out) == "rnn0"
    content = out.read_bytes()
    result = call("convert", "-", str(tmp_path / "again.rnn"), "--strict", stdin=content)
    assert result.returncode == 0
    assert (tmp_path / "again.rnn").read_bytes() == content
    result = call("convert", "-", str(tmp_path / "other.json"), stdin=b"PK")
    assert result.returncode == 3
    assert result.stderr.startswith(b"instjit: standard input: not a model file")


def test_a_mismatch_writes_nothing(tmp_path, monkeypatch, capsys):
    def wrong(model: instjit.Model, extras: Extras = NONE) -> bytes:
        turned = [-weights for weights in model.weights]
        other = instjit.Model([2, 1], model.instructions, turned, model.bias, feature_size=2)
        return FORMATS["rmd1"].encode(other)

    path = saved(tmp_path, LINEAR)
    broken = replace(FORMATS["rmd1"], encode=wrong)
    monkeypatch.setattr(sys.modules["instjit.load"], "for_suffix", lambda _: broken)
    assert main(["convert", path, str(tmp_path / "out.rmd1")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"instjit: {path}: random row 0, output 0 in float32: the model gives ")
    assert os.listdir(tmp_path) == ["net.json"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError(28, "No space left on device", "/x/y"), 3, "instjit: /x/y: No space left"),
        (PermissionError(13, "Permission denied", "/x"), 3, "instjit: /x: Permission denied"),
        (MemoryError(), 3, "instjit: there is not enough memory"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
@pytest.mark.parametrize("place", ["tempfile.mkstemp", "os.replace"])
def test_a_failure_while_writing_leaves_nothing(
    tmp_path, monkeypatch, capsys, place, error, code, told
):
    path = saved(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        assert main(["convert", path, str(tmp_path / "out.rmd1")]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(told)
    assert os.listdir(tmp_path) == ["net.json"]


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    """While it waits for its input; Ctrl-C later is the row of KeyboardInterrupt above."""
    with start("convert", "-", str(tmp_path / "out.rmd1"), stdin=subprocess.PIPE) as process:
        process.stdin.write(b"{")
        process.stdin.flush()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == b""
    assert process.returncode == 143
    assert os.listdir(tmp_path) == []


def test_hostile_names_cannot_speak_to_the_terminal(tmp_path, capsys):
    hostile = "a\x1b[2J\n\u202eb"
    model = instjit.Model([1, 1], [instjit.Dot(0, 1, 0)], [[[1]]], features=["\x1bc\n"])
    path, out = saved(tmp_path, model, f"{hostile}.json"), tmp_path / f"{hostile}.rmd1"
    for words in ([], ["--strict", "--force"]):
        main(["convert", path, str(out), *words])
        told = "".join(capsys.readouterr())
        assert r"\x1b[2J\n\u202eb.rmd1" in told or words
        assert all(line.isprintable() for line in told.splitlines())
    assert main(["convert", DIGITS, str(tmp_path / f"x{hostile}.rmd1")]) == 1
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


def test_the_command_names_every_format():
    assert set(command.FORMATS) == set(FORMATS)
    suffixes = [suffix for codec in FORMATS.values() for suffix in codec.suffixes]
    assert all(suffix in command.DESCRIPTION for suffix in suffixes)


@pytest.mark.parametrize("verb", ["inspect", "validate", "dump", "run", "convert"])
def test_every_verb_that_loads_takes_other_limits(tmp_path, capsys, verb):
    path = saved(tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,3\n")
    more = {"run": ["-i", str(rows), "-o", "-"], "convert": [str(tmp_path / "out.json")]}
    words = [verb, path, *more.get(verb, [])]
    assert main([*words, "--limit", "weights=7"]) == 3  # it has 8
    assert "7" in "".join(capsys.readouterr())
    assert main([*words, "--limit", "weights=7", "--limit", "weights=8"]) == 0


def test_a_limit_can_be_raised(tmp_path, capsys):
    path = tmp_path / "wide.json"
    wide = {"feature_size": 1_000_001, "buffer_sizes": [1_000_001]}
    drop = {"type": "ACTIVATION", "input": 0, "activation": "RELU"}
    path.write_text(json.dumps({**wide, "instructions": [drop], "weights": [], "bias": []}))
    assert main(["validate", str(path)]) == 3
    assert "1000000" in capsys.readouterr().out
    assert main(["validate", str(path), "--limit", "slots=1000001"]) == 0


@pytest.mark.parametrize(
    "words", [["run", "-i", "rows.csv", "-o", "-"], ["dump", "--target", "asm"]]
)
def test_limits_reach_the_compiler(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("1,2,3\n")
    verb, *more = words
    assert main([verb, saved(tmp_path), *more, "--limit", "source_lines=2"]) == 3
    assert "lines, the limit is 2" in capsys.readouterr().err
    assert main([verb, saved(tmp_path), *more, "--limit", "source_lines=1000"]) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("weight=5", "expected one of file_bytes, "),
        ("weights", "at least 1, got ''"),
        ("weights=", "at least 1, got ''"),
        ("weights=-1", "at least 1, got '-1'"),
        ("weights=1e6", "at least 1, got '1e6'"),
        ("__class__=1", "expected one of file_bytes, "),
        ("=1", "expected one of file_bytes, "),
    ],
)
def test_a_wrong_limit_is_a_usage_error(tmp_path, capsys, text, told):
    assert main(["inspect", saved(tmp_path), "--limit", text]) == 2
    assert told in capsys.readouterr().err


def test_a_model_with_too_much_work_for_one_row_needs_another_limit(tmp_path, capsys):
    path, out = saved(tmp_path, LINEAR), str(tmp_path / "out.rmd1")
    assert main(["convert", path, out, "--limit", "validation_operations=5"]) == 3
    assert "comparing a row takes" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["net.json"]
