from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_cases import LINEAR, NET, ROOT, call, saved
from deep_network import deep_network, verb_growth
from memory_probe import MIB, allowed, supported

import instjit
from instjit.cli import main
from instjit.commands import validation
from instjit.formats import FORMATS

HOLE = instjit.Model(
    [1, 2, 1],
    [instjit.CopyMasked(0, 1, [0]), instjit.Dot(1, 2, weights=0)],
    weights=[[[1.0, 1.0]]],
    features=["a"],
)
"""Slot 1 of buffer 1 is read, and nothing writes it."""


def changed(folder, name: str, **parts) -> str:
    """NET's file with other top-level entries."""
    document = json.loads(Path(saved(folder)).read_text())
    path = folder / name
    path.write_text(json.dumps({**document, **parts}))
    return str(path)


def test_a_good_file_is_one_line(tmp_path, capsys):
    good, plain = saved(tmp_path), saved(tmp_path, LINEAR, "linear.json")
    assert main(["validate", good, plain]) == 0
    out, err = capsys.readouterr()
    assert out == f"{good}: good, 1 validation row run\n{plain}: good, no validation rows\n"
    assert err == ""


def test_every_problem_of_every_file_is_told(tmp_path, capsys):
    wrong = changed(tmp_path, "wrong.json", bias=[[1]], buffer_sizes=[2, 2])
    assert main(["validate", wrong, saved(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    problems = instjit.validate(
        instjit.Model([2, 2], NET.instructions, NET.weights, [[1]], features=NET.features)
    )
    assert len(problems) > 1
    assert lines[0] == f"{wrong}: {len(problems)} problems"
    assert lines[1:-1] == [f"  {problem.message}" for problem in problems]
    assert lines[-1].endswith("good, 1 validation row run")


@pytest.mark.parametrize(("atol", "code"), [("1e-5", 1), ("0.03", 0), ("0.01", 1), ("0", 1)])
def test_rows_are_run_within_the_tolerance(tmp_path, capsys, atol, code):
    rows = {"inputs": [[0, 0, 0]], "expected_outputs": [[0.5, 0.45]]}
    path = changed(tmp_path, "rows.json", validation_data=rows)
    assert main(["validate", path, "--atol", atol]) == code
    message = "  validation row 0, output 0: expected 0.5, got 0.5249792\n"
    assert (message in capsys.readouterr().out) == bool(code)


def test_strict_refuses_what_is_remarkable(tmp_path, capsys):
    path = saved(tmp_path, HOLE)
    assert main(["validate", path]) == 0
    capsys.readouterr()
    assert main(["validate", path, "--strict"]) == 1
    assert capsys.readouterr().out == (
        f"{path}: 1 problem\n  buffer 1: slot 1 is read before anything is written there, as 0\n"
    )
    assert main(["validate", saved(tmp_path), "--strict"]) == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 3), (b"{", 3), (b"[]", 3), (b"\x00\x01", 3), (b'{"features": 1}', 3), (None, 3)],
)
def test_unreadable_files_exit_with_3_and_the_others_are_still_checked(
    tmp_path, capsys, content, code
):
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["validate", str(path), saved(tmp_path)]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert "problem" in lines[0]
    assert lines[-1].endswith("good, 1 validation row run")


SCANNED = {  # what load takes and the scanner refuses
    "rnn0_sha256_scan_missing_benchmark": "the benchmark record is missing or empty",
    "rnn0_nodigest_seed_model": "the benchmark record is missing or empty",
}


def other_version(folder) -> str:
    content = bytearray((ROOT / "tests/golden/rnn/rnn0_sha256_seed_model.bin").read_bytes())
    content[4] = 2
    path = folder / "other.rnn"
    path.write_bytes(content)
    return str(path)


def containers(folder) -> dict[str, str]:
    files = {str(ROOT / f"tests/golden/rnn/{name}.bin"): told for name, told in SCANNED.items()}
    return {**files, other_version(folder): "version"}


def test_what_the_scanner_refuses_fails_though_it_loads(tmp_path, capsys):
    for path, told in containers(tmp_path).items():
        instjit.load(path)
        assert main(["validate", path]) == 1
        head, line = capsys.readouterr().out.splitlines()
        assert head == f"{path}: 1 problem"
        assert told in line
        assert main(["validate", path, "--json"]) == 1
        (verdict,) = json.loads(capsys.readouterr().out)
        assert (verdict["format"], verdict["passed"], verdict["error"]) == (
            "rnn0",
            False,
            "container",
        )
        assert len(verdict["problems"]) == 1
        assert verdict["validation_rows"] == 0


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/golden/rnn").glob("*.bin")), ids=lambda path: path.stem
)
def test_no_fault_of_a_binary_file_is_told_twice(path, capsys):
    code = main(["validate", str(path)])
    head, *told = capsys.readouterr().out.splitlines()
    faults = [line.rpartition(": ")[2] for line in told]
    assert len(set(faults)) == len(told)
    assert (code == 0) == (not told) == head.endswith("good, no validation rows")
    assert code == 0 or f" {len(told)} problem" in head


def test_a_file_with_faults_of_both_kinds_lists_both(capsys):
    path = str(ROOT / "tests/golden/rnn/rnn0_any_no_blobs_header_12.bin")
    assert main(["validate", path]) == 3
    told = capsys.readouterr().out
    assert "blob 'weights' is missing" in told
    assert "the benchmark record is missing or empty" in told


def test_rows_that_take_long_need_another_limit(tmp_path, capsys):
    path = saved(tmp_path)
    assert main(["validate", path, "--limit", "validation_operations=10"]) == 1
    assert "the limit is 10" in capsys.readouterr().out
    assert main(["validate", path, "--limit", "validation_operations=1000000"]) == 0


def test_a_model_over_a_limit_exits_with_3(tmp_path):
    path = changed(tmp_path, "wide.json", buffer_sizes=[3, 2, 1_000_001])
    assert main(["validate", path]) == 3
    assert main(["inspect", path]) == 3


def test_json_holds_a_verdict_for_each_file(tmp_path, capsys):
    good, hole = saved(tmp_path), saved(tmp_path, HOLE, "hole.json")
    rows = {"inputs": [[0, 0, 0]], "expected_outputs": [[9, 9]]}
    wrong = changed(tmp_path, "wrong.json", validation_data=rows)
    none = str(tmp_path / "none.json")
    assert main(["validate", "--json", good, hole, wrong, none]) == 3
    verdicts = json.loads(capsys.readouterr().out)
    assert [verdict["file"] for verdict in verdicts] == [good, hole, wrong, none]
    assert [verdict["passed"] for verdict in verdicts] == [True, True, False, False]
    assert [verdict["error"] for verdict in verdicts] == [None, None, "model", "format"]
    assert [verdict["validation_rows"] for verdict in verdicts] == [1, 0, 1, None]
    assert [verdict["format"] for verdict in verdicts] == ["instmodel"] * 3 + [None]
    assert verdicts[1]["remarks"] == [
        {
            "kind": "UnwrittenRead",
            "message": "buffer 1: slot 1 is read before anything is written there, as 0",
            "instruction": None,
        }
    ]
    assert [problem["kind"] for problem in verdicts[2]["problems"]] == ["ValidationMismatch"]


def test_problems_cannot_speak_to_the_terminal(tmp_path, capsys):
    assert main(["validate", changed(tmp_path, "wrong.json", features=["\x1b[2J", "pair[2]"])]) == 1
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


def test_the_examples_are_good():
    for path in sorted((ROOT / "examples").glob("*/*.json")):
        assert main(["validate", "--strict", str(path)]) == 0


def test_a_model_can_come_from_standard_input(tmp_path):
    content = Path(saved(tmp_path)).read_bytes()
    assert call("validate", "-", stdin=content).stdout == b"-: good, 1 validation row run\n"


NAMELESS = instjit.Model([2, 1], [instjit.Dot(0, 1, 0)], [[[1.0, 1.0]]], feature_size=2)
INFINITE = instjit.Model([1, 1], [instjit.Dot(0, 1, 0)], [[[float("inf")]]], feature_size=1)


@pytest.mark.parametrize(
    ("format", "model", "code"),
    [
        ("instmodel", NAMELESS, 1),
        ("instmodel", LINEAR, 0),
        ("rmd1", NAMELESS, 0),
        ("rmd1", INFINITE, 1),
    ],
)
def test_strict_asks_for_names_only_where_a_format_has_a_place_for_them(
    tmp_path, capsys, format, model, code
):
    path = tmp_path / "net"
    path.write_bytes(FORMATS[format].encode(model))
    assert main(["validate", str(path), "--strict"]) == code
    (_, *told) = capsys.readouterr().out.splitlines()
    assert len(told) == code
    assert main(["validate", str(path), "--strict", "--json"]) == code
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["passed"] == (not code)
    kinds = [remark["kind"] for remark in verdict["remarks"]]
    assert ("NoFeatureNames" in kinds) == (not model.features)


def test_a_good_container_passes_strict():
    path = str(ROOT / "tests/golden/rnn/rnn0_sha256_seed_model.bin")
    assert main(["validate", "--strict", path]) == 0


@pytest.mark.parametrize(("form", "asked"), [([], 0), (["--strict"], 1), (["--json"], 1)])
def test_remarks_are_looked_for_only_where_they_are_told(tmp_path, monkeypatch, form, asked):
    calls = []
    monkeypatch.setattr(validation, "remarks", lambda model: calls.append(model) or ())
    assert main(["validate", saved(tmp_path), *form]) == 0
    assert len(calls) == asked


@pytest.mark.skipif(not supported(), reason="this system does not tell the peak")
@pytest.mark.parametrize("form", [[], ["--strict"], ["--json"]])
def test_memory_for_a_deep_network_is_that_of_a_load(tmp_path, form):
    content = deep_network()
    assert verb_growth(tmp_path, content, "validate", *form) < allowed(content, "binary") + 4 * MIB
