from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from cli_cases import NET, ROOT, call, saved

import instjit
from instjit.cli import main

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
        rf"digest +0x{NET.digest}",
        r"input +3 columns: age, pair\[2\]",
        r"output +2 columns",
        r"parameters +8 numbers",
        r"a row +6 multiply-adds",
        r"memory +5 slots in 2 buffers",
        r"validation +1 row$",
        r"0 +DOT +0 -> 1 +weights 0, activation SIGMOID",
    ):
        assert re.search(words, text, re.MULTILINE), words
    assert "remarks" not in text


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
        "digest": NET.digest,
        "input_size": 3,
        "output_size": 2,
        "required_memory": 5,
        "parameters": 8,
        "features": ["age", "pair[2]"],
        "buffers": [
            {"shape": [3], "dtype": "float32", "size": 3, "start": 0},
            {"shape": [2], "dtype": "float32", "size": 2, "start": 3},
        ],
        "is_parallelizable": False,
        "validation_rows": 1,
        "remarks": [],
    }
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


def test_remarks_name_holes_and_numbers_that_are_not_finite(capsys, monkeypatch):
    monkeypatch.setattr("instjit.load", lambda *_, **__: HOLES)
    found = json.loads(inspected(capsys, "any.json", "--json"))["remarks"]
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
