from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from cli_cases import LINEAR, NET, ROOT, call, saved
from deep_network import LAYERS, deep_network, verb_growth
from memory_probe import MIB, allowed, supported

import instjit
from instjit.cli import main
from instjit.commands.facts_text import fact_lines
from instjit.commands.json_text import pieces
from instjit.formats import FORMATS
from instjit.formats.extras import Blob, Extras

HOLES = instjit.Model(
    [2, 3, 2],
    [
        instjit.CopyMasked(0, 1, [0]),
        instjit.Activate(1, "RELU"),
        instjit.Dot(1, 2, weights=0),
    ],
    weights=[[[1.0, float("nan"), 0.0], [0.0, 1.0, 2.0]]],
    features=[],
)


def inspected(capsys, *words: str) -> str:
    assert main(["inspect", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_it_shows_what_a_model_holds(tmp_path, capsys):
    path = saved(tmp_path)
    text = inspected(capsys, path)
    for words in (
        rf"file +{re.escape(path)}",
        r"format +instmodel, [0-9]+ bytes",
        rf"digest +0x{NET.digest}",
        r"input +3 columns: age, pair\[2\]",
        r"output +2 columns",
        r"parameters +8 numbers in float32, 32 bytes",
        r"a row +6 multiply-adds",
        r"memory +5 slots in 2 buffers, 20 bytes a row",
        r"validation +1 row$",
        r"0 +DOT +0 -> 1 +weights 0, activation SIGMOID",
    ):
        assert re.search(words, text, re.MULTILINE), words
    assert "remarks" not in text
    assert "container" not in text


def test_cost_adds_columns(tmp_path, capsys):
    lines = inspected(capsys, saved(tmp_path), "--cost").splitlines()
    assert lines[-2].endswith("multiply-adds  operations  moved  constants")
    cost = instjit.cost(NET)
    numbers = [cost.multiply_adds, cost.operations, cost.moved, cost.constants]
    assert lines[-1].split()[-4:] == list(map(str, numbers))


def test_json_holds_the_same(tmp_path, capsys):
    found = json.loads(inspected(capsys, saved(tmp_path), "--json"))
    cost = found.pop("cost")
    (instruction,) = found.pop("instructions")
    assert found == {
        "file": str(tmp_path / "net.json"),
        "format": "instmodel",
        "file_bytes": (tmp_path / "net.json").stat().st_size,
        "digest": NET.digest,
        "input_size": 3,
        "output_size": 2,
        "required_memory": 5,
        "parameters": 8,
        "dtype": "float32",
        "features": ["age", "pair[2]"],
        "buffers": [
            {"shape": [3], "dtype": "float32", "size": 3, "start": 0},
            {"shape": [2], "dtype": "float32", "size": 2, "start": 3},
        ],
        "is_parallelizable": False,
        "validation_rows": 1,
        "remarks": [],
        "container": {},
        "problems": [],
    }
    assert (cost.pop("parameter_bytes"), cost.pop("row_bytes")) == (32, 20)
    assert instruction == {
        "kind": "DOT",
        "operands": {"input": 0, "output": 1, "weights": 0, "activation": "SIGMOID"},
        "parents": [],
        "cost": cost,
    }
    assert cost["flops"] == 2 * cost["multiply_adds"] + cost["operations"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/golden").rglob("*.json")), ids=lambda p: p.stem
)
def test_any_golden_file_is_shown_or_refused_in_words(path, capsys):
    for form in ([], ["--json"], ["--dot"]):
        code = main(["inspect", str(path), *form])
        out, err = capsys.readouterr()
        assert (code == 0) == bool(out)
        assert (code in (1, 3)) == err.startswith("instjit: ")


def test_remarks_name_holes_and_numbers_that_are_not_finite(tmp_path, capsys, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr("instjit.load", lambda *_, **__: HOLES)
    found = json.loads(inspected(capsys, path, "--json"))["remarks"]
    assert [(remark["kind"], remark["message"]) for remark in found] == [
        ("UnwrittenRead", "buffer 1: slots 1 to 2 are read before anything is written there, as 0"),
        ("NonFiniteNumber", "weights 0: the number at [0, 1] is nan"),
        ("NoFeatureNames", "the features have no names, so tables are matched by position"),
    ]


def test_dot_is_a_graph_of_the_instructions(tmp_path, capsys):
    text = inspected(capsys, saved(tmp_path), "--dot")
    assert text.startswith("digraph model {")
    assert text.endswith("}\n")
    edges = re.findall(r"^  (\w+) -> (\w+);$", text, re.MULTILINE)
    assert edges == [("input", "i0"), ("i0", "output")]


def test_source_is_that_of_the_kernel(tmp_path, capsys):
    path = saved(tmp_path)
    assert inspected(capsys, path, "--source") == instjit.compile(NET).source.text
    generic = instjit.compile(NET, level="generic").source.text
    assert inspected(capsys, path, "--source", "--level", "generic") == generic


def test_a_model_can_come_from_standard_input(tmp_path):
    content = (tmp_path / saved(tmp_path)).read_bytes()
    assert NET.digest.encode() in call("inspect", "-", stdin=content).stdout


GOLDEN = sorted((ROOT / "tests/golden/rnn").glob("*.bin"))
MODEL_KEYS = {
    *("digest", "input_size", "output_size", "required_memory", "parameters", "dtype"),
    *("features", "buffers", "instructions", "cost", "is_parallelizable"),
    *("validation_rows", "remarks"),
}
ALWAYS = {"file", "format", "file_bytes", "container", "problems"}
"""Keys of --json, which stay as they are."""


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_any_binary_file_is_shown_or_refused_in_words(path, capsys):
    loads = True
    try:
        instjit.load(path)
    except instjit.InstjitError as error:
        loads, reasons = False, error.problems
    code = main(["inspect", str(path), "--json"])
    out, err = capsys.readouterr()
    if out:
        found = json.loads(out)
        assert set(found) == (ALWAYS | MODEL_KEYS if loads else ALWAYS)
        assert found["file_bytes"] == path.stat().st_size
        assert found["format"] in ("rmd1", "rnn0")
        assert bool(found["problems"]) != loads
    assert code == (0 if loads else 1 if out else 3)
    told = [] if loads else [f"instjit: {path}: {problem.message}" for problem in reasons]
    assert err.splitlines() == told
    assert main(["inspect", str(path)]) == code
    assert bool(capsys.readouterr().out) == bool(out)


def binary(folder, format: str, model=LINEAR, extras: Extras | None = None) -> str:
    path = folder / f"net.{format}"
    path.write_bytes(FORMATS[format].encode(model, *([] if extras is None else [extras])))
    return str(path)


@pytest.mark.parametrize(
    ("format", "words"),
    [
        (
            "rmd1",
            [r"version +1$", r"dtype +float32$", r"trailing +0$", r"^ +2 +1 +0 +0 +identity$"],
        ),
        (
            "rnn0",
            [r"version +1$", r"header size +\d+$", r"^ +weights +0 +2 +\d+ +8 +[0-9a-f]{24}..."],
        ),
    ],
)
def test_a_container_is_shown_with_the_model_in_it(tmp_path, capsys, format, words):
    path = binary(tmp_path, format)
    text = inspected(capsys, path, "--cost")
    size = (tmp_path / f"net.{format}").stat().st_size
    lines = [rf"format +{format}, {size} bytes", r"digest +0x", r"^container$", r"0 +DOT +0 -> 1"]
    for line in (*words, *lines):
        assert re.search(line, text, re.MULTILINE), line


def test_float64_is_said(tmp_path, capsys):
    model = instjit.Model(
        [1, 1], [instjit.Dot(0, 1, 0)], [[[0.1]]], feature_size=1, dtype="float64"
    )
    path = binary(tmp_path, "rmd1", model)
    assert re.search(r"parameters +2 numbers in float64, 16 bytes", inspected(capsys, path))
    found = json.loads(inspected(capsys, path, "--json"))
    assert (found["dtype"], found["cost"]["parameter_bytes"]) == ("float64", 16)


DIRECTORY = "rnn0_nodigest_two_tables_duplicate_name.bin"


def test_a_container_without_a_model_is_shown_with_the_reason(capsys):
    path = str(ROOT / "tests/golden/rnn" / DIRECTORY)
    assert main(["inspect", path]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^model +none that can be loaded$", out, re.MULTILINE)
    assert re.search(r"^ +a +1 +1 +12 +8 ", out, re.MULTILINE)
    assert f"instjit: {path}: blob 'weights' is missing\n" in err
    for form in ("--source", "--dot"):
        assert main(["inspect", path, form]) == 3
        assert capsys.readouterr().out == ""


def test_a_model_over_a_limit_is_shown_as_a_container(tmp_path, capsys):
    assert main(["inspect", binary(tmp_path, "rmd1"), "--limit", "weights=2"]) == 3
    out, err = capsys.readouterr()
    assert "model   none that can be loaded" in out
    assert "2" in err


def test_names_in_a_container_cannot_speak_to_the_terminal(tmp_path, capsys):
    hostile = "\x1b[2J\n\u202e" + "x" * 200
    records = tuple((200, bytes([k % 256])) for k in range(100))
    blobs = (Blob(b"\x1b]0;\x07\xff\n", 2, (1, 2, 3, 4, 5, 6, 7, 8, 9), b""),)
    path = binary(tmp_path, "rnn0", LINEAR, Extras(hostile, b"BMK\x01\x1b", records, blobs))
    text = inspected(capsys, path)
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines())) < 300
    assert re.search(r"name +\\x1b\[2J\\n", text)
    assert r"\x1b]0;" in text
    assert "1, 2, 3, 4, 5, 6, 7, 8, ... (9 of them)" in text
    assert re.search(r"^ +\.\.\. 40 more$", text, re.MULTILINE)  # of 104 records
    assert json.loads(inspected(capsys, path, "--json"))["container"]["name"] == hostile


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, []),
        ({"a": 1, "long_name": None}, ["a          1", "long name  none"]),
        ({"a": True, "b": False, "c": []}, ["a  yes", "b  no", "c  none"]),
        ({"a": {"b": 1}}, ["a", "  b  1"]),
        (
            {"a": [{"n": 1, "t": "x"}, {"n": 22, "t": None}]},
            ["a", "   n  t", "   1  x", "  22  none"],
        ),
        ({"a": [{"n": 1}, {"m": 2}]}, ["a", "     n     m", "     1  none", "  none     2"]),
        ({"t": "\n"}, [r"t  \n"]),
        ({"\x1b": 1}, [r"\x1b  1"]),
        ({"h": "ab" * 30}, ["h  " + "ab" * 12 + "..."]),
        ({"s": "some words of " * 100}, ["s  " + ("some words of " * 100)[:200] + "..."]),
        ({"l": [1, [2, 3]]}, ["l  1, 2, 3"]),
    ],
)
def test_facts_are_lines(facts, lines):
    assert fact_lines(facts) == lines


HOSTILE = ["\x1bcxyzzy", "a\nb", "\u202eabc", "\x00", "x\r"]
FIVE = instjit.Model([5, 1], [instjit.Dot(0, 1, weights=0)], weights=[[[1] * 5]], features=HOSTILE)


def test_names_cannot_speak_to_the_terminal(tmp_path, capsys):
    path = saved(tmp_path, FIVE)
    text = inspected(capsys, path)
    assert all(line.isprintable() for line in text.splitlines())
    assert r"5 columns: \x1bcxyzzy, a\nb, \u202eabc, \x00, x\r" in text
    source = inspected(capsys, path, "--source")
    assert "xyzzy" not in source + inspected(capsys, path, "--dot")


@pytest.mark.parametrize(
    "form", [[], ["--json"], ["--dot"], ["--cost"], ["--source", "--level", "avx512"]]
)
def test_it_never_imports_numba(tmp_path, form):
    words = ["inspect", saved(tmp_path), *form]
    code = (
        f"import sys; from instjit.cli import main; code = main({words!r});"
        "sys.exit(code or bool({'numba', 'llvmlite'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    assert process.returncode == 0


SLACK = 12 * MIB
"""Over what a load may take: a load of this file takes nearly all of that already."""


@pytest.mark.skipif(not supported(), reason="this system does not tell the peak")
@pytest.mark.parametrize("form", [[], ["--cost"], ["--json"]])
def test_memory_for_a_deep_network_is_little_more_than_that_of_a_load(tmp_path, form):
    content = deep_network()
    assert verb_growth(tmp_path, content, "inspect", *form) < allowed(content, "binary") + SLACK


def test_long_tables_show_their_first_rows(tmp_path, capsys):
    path = tmp_path / "deep.rmd1"
    path.write_bytes(deep_network())
    lines = inspected(capsys, str(path), "--cost").splitlines()
    buffers, instructions = lines.index("buffers"), lines.index("instructions")
    assert lines[buffers + 202] == "  ... and 65,336 more, --json lists all"
    assert lines[instructions + 201].split()[:2] == ["199", "DOT"]
    assert lines[instructions + 202] == "  ... and 65,335 more, --json lists all"


def test_a_table_that_is_just_short_enough_is_whole(tmp_path, capsys):
    path = tmp_path / "deep.rmd1"
    path.write_bytes(deep_network(199))
    text = inspected(capsys, str(path))
    assert "--json" not in text
    assert re.search(r"^ +198 +DOT", text, re.MULTILINE)


def test_json_lists_everything_of_a_deep_network(tmp_path, capsys):
    path = tmp_path / "deep.rmd1"
    path.write_bytes(deep_network())
    found = json.loads(inspected(capsys, str(path), "--json"))
    assert set(found) == ALWAYS | MODEL_KEYS
    assert len(found["instructions"]) == len(found["container"]["layers"]) == LAYERS
    assert len(found["buffers"]) == LAYERS + 1
    assert [each["parents"] for each in found["instructions"][:3]] == [[], [0], [1]]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [], "b": {}, "c": None, "d": True, "e": 1.5, "f": -7, "g": "\u00e9\n\x1b\ud800"},
        {"a": [1, "x", None, False, 0.1, [], {}, [[1], {"b": [2, {"c": ()}]}]]},
        {"a": {"b": {"c": [{"d": 1, "e": [1, 2]}, {"d": {}}]}, 'q"': "x"}},
    ],
)
def test_pieces_of_json_are_what_the_library_writes(value):
    assert "".join(pieces(value.items())) == json.dumps(value, indent=2)
    lazy = {name: iter(v) if isinstance(v, list) else v for name, v in value.items()}
    assert "".join(pieces(lazy.items())) == json.dumps(value, indent=2)
