from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest
from cli_cases import LINEAR, NET, ROWS, csv_file, npy_file, saved

import instjit
from instjit.cli import main
from instjit.rowfiles.writing import csv_text

EXPECTED = instjit.compile(NET).predict(ROWS)
HEAD = b"y0,y1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to stand in, with the model net.json and the rows rows.npy."""
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    npy_file(tmp_path, ROWS)
    return tmp_path


def give(monkeypatch, content: bytes) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
    monkeypatch.setattr(sys, "stdin", stream)


def npy(rows: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, rows)
    return content.getvalue()


def table(rows: np.ndarray, head: str = "age,pair[0],pair[1]") -> str:
    return f"{head}\n{csv_text(rows).decode()}"


def test_npy_to_npy_has_the_bits_of_predict(folder, capsys):
    assert main(["run", "net.json", "-i", "rows.npy", "-o", "out.npy"]) == 0
    assert np.load("out.npy").tobytes() == EXPECTED.tobytes()
    assert capsys.readouterr().out.startswith("37 rows -> out.npy in ")


@pytest.mark.parametrize("chunk_bytes", [1, 12, 100, 2**26])
@pytest.mark.parametrize("suffix", ["npy", "npz", "csv"])
def test_chunks_of_any_size_give_the_same_bits(folder, suffix, chunk_bytes):
    np.savez("rows.npz", ROWS)
    csv_file(folder, table(ROWS))
    words = ["run", "net.json", "-i", f"rows.{suffix}", "-o", f"out.{suffix}"]
    assert main([*words, "--chunk-bytes", str(chunk_bytes)]) == 0
    if suffix == "csv":
        out = np.loadtxt("out.csv", delimiter=",", skiprows=1, dtype=np.float32)
    else:
        loaded = np.load(f"out.{suffix}")
        out = loaded if suffix == "npy" else loaded["y"]
    assert out.tobytes() == EXPECTED.tobytes()


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
def test_csv_goes_to_standard_output_and_nothing_else_does(folder, capsysbinary, output):
    assert main(["run", "net.json", "-i", "rows.npy", *output]) == 0
    assert capsysbinary.readouterr() == (HEAD + csv_text(EXPECTED), b"")


@pytest.mark.parametrize("source", [[], ["-i", "-"]])
@pytest.mark.parametrize("content", [npy(ROWS), table(ROWS).encode()], ids=["npy", "csv"])
def test_standard_input_is_npy_or_csv(folder, capsysbinary, monkeypatch, source, content):
    give(monkeypatch, content)
    assert main(["run", "net.json", *source]) == 0
    assert capsysbinary.readouterr().out == HEAD + csv_text(EXPECTED)


def test_the_model_can_come_from_standard_input(folder, capsysbinary, monkeypatch):
    give(monkeypatch, (folder / "net.json").read_bytes())
    assert main(["run", "-", "-i", "rows.npy"]) == 0
    assert capsysbinary.readouterr().out == HEAD + csv_text(EXPECTED)


def test_columns_are_found_by_name_and_others_are_left_out_with_a_note(folder, capsys):
    mixed = np.column_stack([ROWS[:, 2], np.arange(37), ROWS[:, 0], ROWS[:, 1]]).astype(np.float32)
    csv_file(folder, table(mixed, "pair[1],id,age,pair[0]"))
    assert main(["run", "net.json", "-i", "rows.csv", "-o", "out.npy"]) == 0
    assert np.load("out.npy").tobytes() == EXPECTED.tobytes()
    note = "instjit: rows.csv: 1 column left out that the model does not take: id\n"
    assert capsys.readouterr().err == note


@pytest.mark.parametrize(
    ("span", "rows"),
    [(":", slice(None)), ("5:9", slice(5, 9)), (":2", slice(2)), ("30:", slice(30, None)),
     ("30:99", slice(30, None)), ("36:", slice(36, None))],
)  # fmt: skip
def test_a_range_of_rows(folder, span, rows):
    assert main(["run", "net.json", "-i", "rows.npy", "-o", "out.npy", "--rows", span]) == 0
    assert np.load("out.npy").tobytes() == EXPECTED[rows].tobytes()


def test_slots_are_columns_of_all_buffers(folder, capsysbinary):
    assert main(["run", "net.json", "-i", "rows.npy", "--slots", "2:4", "--rows", ":1"]) == 0
    values = np.array([[ROWS[0, 2], EXPECTED[0, 0]]], np.float32)
    assert capsysbinary.readouterr().out == b"slot_2,slot_3\n" + csv_text(values)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize("threads", ["1", "2", "999"])
def test_levels_and_threads_change_no_bit(folder, level, threads):
    words = ["run", "net.json", "-i", "rows.npy", "-o", "out.npy", "--threads", threads]
    code = main([*words, "--level", level])
    if code == 2:
        pytest.skip(f"this CPU has no {level}")
    assert np.load("out.npy").tobytes() == EXPECTED.tobytes()


def test_empty_cells_can_be_nan(folder, capsys):
    saved(folder, LINEAR, "linear.json")
    csv_file(folder, "a,b\n1,\n1,2\n")
    assert main(["run", "linear.json", "-i", "rows.csv"]) == 3
    assert "line 2, column 2 (b): the cell is empty" in capsys.readouterr().err
    assert main(["run", "linear.json", "-i", "rows.csv", "--missing", "nan"]) == 0
    assert capsys.readouterr().out == "y\nnan\n3.0\n"


LABELS = "label\n" + "".join(f"{k}\n" for k in EXPECTED.argmax(axis=1))


def test_labels_give_rows_with_classes_and_the_accuracy(folder, capsys):
    wrong = LABELS.replace("0", "1", 1)
    right = 37 - 1
    csv_file(folder, wrong, "labels.csv")
    assert main(["run", "net.json", "-i", "rows.npy", "--expect", "labels.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = wrong.splitlines().index("1", LABELS.splitlines().index("0"))
    assert lines[place].split()[:4] == [str(place - 1), "0", "1", "wrong"]
    assert lines[11] == "... 27 more rows"
    assert lines[-1] == f"accuracy {right / 37:.4f}: {right} of 37 rows right"


@pytest.mark.parametrize(("bound", "code"), [("0.97", 0), ("0.98", 1), ("1", 1), ("0", 0)])
def test_the_accuracy_fails_only_under_a_bound(folder, capsys, bound, code):
    csv_file(folder, LABELS.replace("0", "1", 1), "labels.csv")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "labels.csv", "--min-accuracy", bound]
    assert main(words) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"right, less than {float(bound):g}") == bool(code)


def test_a_single_output_above_a_half_is_class_one(folder, capsys):
    saved(folder, LINEAR, "linear.json")
    npy_file(folder, np.array([[0.25, 0.5], [0.25, 0.25], [1, 1]], np.float32), "ab.npy")
    csv_file(folder, "1\n0\n1\n", "labels.csv")
    assert main(["run", "linear.json", "-i", "ab.npy", "--expect", "labels.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "accuracy 1.0000: 3 of 3 rows right"


@pytest.mark.parametrize(
    ("change", "tolerance", "code"),
    [(0, "0", 0), (5e-6, "1e-5", 0), (0.25, "1e-5", 1), (0.25, "0.5", 0), (np.nan, "9", 1)],
)
def test_outputs_give_the_largest_error(folder, capsys, change, tolerance, code):
    wanted = EXPECTED.copy()
    wanted[20, 1] += np.float32(change)
    npy_file(folder, wanted, "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy"]
    assert main([*words, "--tolerance", tolerance]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("largest error ")
    assert last.endswith(f"{'over' if code else 'within'} the tolerance of {float(tolerance):g}")
    assert ("in row 20, output 1:" in last) == (change != 0)


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz"])
def test_its_own_output_is_expected_without_any_error(folder, suffix):
    assert main(["run", "net.json", "-i", "rows.npy", "-o", f"out.{suffix}"]) == 0
    words = ["run", "net.json", "-i", "rows.npy", "--expect", f"out.{suffix}", "--tolerance", "0"]
    assert main(words) == 0


def test_a_range_of_rows_is_a_range_of_what_is_expected(folder, capsys):
    npy_file(folder, EXPECTED, "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy", "--tolerance", "0"]
    assert main([*words, "--rows", "9:30"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "9"


@pytest.mark.parametrize("chunk_bytes", [1, 40, 2**26])
@pytest.mark.parametrize(
    ("count", "message"),
    [(36, "wanted.npy has 36 rows, there are more outputs"),
     (38, "wanted.npy has more rows than the 37 outputs"), (37, "")],
)  # fmt: skip
def test_expected_rows_are_as_many_as_the_rows(folder, capsys, count, message, chunk_bytes):
    npy_file(folder, np.resize(EXPECTED, (count, 2)), "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy", "-o", "out.npy"]
    assert main([*words, "--chunk-bytes", str(chunk_bytes)]) == (2 if message else 0)
    assert capsys.readouterr().err == (f"instjit: {message}\n" if message else "")
    assert os.path.exists("out.npy") == (not message)


def test_the_kind_of_what_is_expected_can_be_said(folder, capsys):
    saved(folder, LINEAR, "linear.json")
    npy_file(folder, np.array([[0.5, 0.25], [0, 0]], np.float32), "ab.npy")
    csv_file(folder, "1\n0\n", "wanted.csv")
    words = ["run", "linear.json", "-i", "ab.npy", "--expect", "wanted.csv", "--expect-as"]
    assert main([*words, "labels"]) == 0
    assert main([*words, "outputs"]) == 1
    assert "largest error 0.25 in row 0, output 0: over" in capsys.readouterr().out


def test_outputs_are_written_even_when_they_are_not_as_expected(folder, capsysbinary):
    npy_file(folder, EXPECTED + 1, "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy"]
    assert main([*words, "-o", "out.npy"]) == 1
    assert np.load("out.npy").tobytes() == EXPECTED.tobytes()
    capsysbinary.readouterr()
    assert main([*words, "-o", "-"]) == 1
    out, err = capsysbinary.readouterr()
    assert out == HEAD + csv_text(EXPECTED)
    assert b"largest error 1" in err


def test_json_of_labels(folder, capsys):
    csv_file(folder, LABELS, "labels.csv")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "labels.csv", "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    seconds = summary.pop("seconds")
    assert seconds["compile"] >= 0
    assert seconds["run"] > 0
    assert err == ""
    assert summary == {
        "model": NET.digest,
        "rows": 37,
        "columns": ["y0", "y1"],
        "output": None,
        "precision": "float32",
        "expected": {
            "kind": "labels",
            "rows": 37,
            "right": 37,
            "accuracy": 1.0,
            "bound": None,
            "passed": True,
        },
    }


def test_json_of_outputs(folder, capsys):
    wanted = EXPECTED.copy()
    wanted[3, 0] = np.nan
    npy_file(folder, wanted, "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy", "--json"]
    assert main([*words, "-o", "out.npy"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["output"] == "out.npy"
    assert summary["expected"] == {
        "kind": "outputs",
        "rows": 37,
        "largest_error": None,
        "row": 3,
        "column": 0,
        "tolerance": 1e-5,
        "passed": False,
    }


def test_zero_rows_are_zero_outputs(folder, capsysbinary):
    npy_file(folder, ROWS[:0], "none.npy")
    csv_file(folder, "age,pair[0],pair[1]\n")
    for source in ("none.npy", "rows.csv"):
        assert main(["run", "net.json", "-i", source]) == 0
        assert capsysbinary.readouterr().out == HEAD
        assert main(["run", "net.json", "-i", source, "-o", "out.npy", "--force"]) == 0
        assert np.load("out.npy").shape == (0, 2)
        capsysbinary.readouterr()


def test_a_model_that_fails_its_own_rows_runs_only_unchecked(folder, capsys):
    document = json.loads((folder / "net.json").read_text())
    document["validation_data"]["expected_outputs"] = [[0, 0]]
    (folder / "bad.json").write_text(json.dumps(document))
    words = ["run", "bad.json", "-i", "rows.npy", "-o", "out.npy"]
    assert main(words) == 1
    assert "instjit: bad.json: validation row 0, output 0: expected 0.0" in capsys.readouterr().err
    assert main([*words, "--no-check"]) == 0


def test_existing_output_is_kept_unless_forced(folder, capsys):
    (folder / "out.csv").write_text("precious")
    words = ["run", "net.json", "-i", "rows.npy", "-o", "out.csv"]
    assert main(words) == 2
    message = "instjit: out.csv: exists already; --force replaces it\n"
    assert capsys.readouterr() == ("", message)
    assert (folder / "out.csv").read_text() == "precious"
    assert main([*words, "--force"]) == 0
    assert (folder / "out.csv").read_bytes() == HEAD + csv_text(EXPECTED)


@pytest.mark.parametrize("count", [2, 0])
@pytest.mark.parametrize("suffix", ["npy", "npz", "csv"])
@pytest.mark.parametrize("span", ["5:9", "2:", "5:"])
def test_rows_that_start_beyond_the_file_are_an_error(folder, capsys, suffix, span, count):
    npy_file(folder, ROWS[:count])
    np.savez("rows.npz", ROWS[:count])
    csv_file(folder, table(ROWS[:count]) if count else "age,pair[0],pair[1]\n")
    csv_file(folder, "0\n1\n", "labels.csv")
    words = ["run", "net.json", "-i", f"rows.{suffix}", "--rows", span, "-o", "out.npy"]
    has = "fewer" if suffix == "csv" else f"{count} rows"
    start = f"instjit: --rows starts at row {span[0]}, counted from 0"
    for more in ([], ["--expect", "labels.csv", "--min-accuracy", "0"]):
        assert main([*words, *more]) == 2
        assert capsys.readouterr() == ("", f"{start}; rows.{suffix} has {has}\n")
        assert not (folder / "out.npy").exists()


@pytest.mark.parametrize("kind", ["labels", "outputs"])
def test_a_comparison_of_no_rows_fails(folder, capsys, kind):
    npy_file(folder, ROWS[:0])
    npy_file(folder, EXPECTED[:0, :1] if kind == "labels" else EXPECTED[:0], "wanted.npy")
    words = ["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy", "--expect-as", kind]
    assert main(words) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 rows were compared, which shows nothing"
    assert main([*words, "--json"]) == 1
    expected = json.loads(capsys.readouterr().out)["expected"]
    assert (expected["kind"], expected["rows"], expected["passed"]) == (kind, 0, False)
    assert expected["accuracy" if kind == "labels" else "largest_error"] is None


READ = {
    "the input": ["run", "net.json", "-i", "rows.npy", "-o", "rows.npy"],
    "the input by another name": ["run", "net.json", "-i", "./rows.npy", "-o", "link.npy"],
    "the input's other name": ["run", "net.json", "-i", "rows.npy", "-o", "twin.npy"],
    "the labels": ["run", "net.json", "-i", "rows.npy", "--expect", "l.csv", "-o", "l.csv"],
    "the model": ["run", "model.csv", "-i", "rows.npy", "-o", "model.csv"],
    "the model of a dump": ["dump", "net.json", "-o", "net.json"],
}


@pytest.mark.parametrize("words", READ.values(), ids=READ)
def test_no_file_that_is_read_is_replaced(folder, capsys, words):
    (folder / "link.npy").symlink_to("rows.npy")
    (folder / "twin.npy").hardlink_to("rows.npy")
    (folder / "model.csv").write_bytes((folder / "net.json").read_bytes())
    csv_file(folder, LABELS, "l.csv")
    before = {name: (folder / name).read_bytes() for name in os.listdir()}
    assert main([*words, "--force"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{words[-1]}: the output is the same file as " in err
    assert {name: (folder / name).read_bytes() for name in os.listdir()} == before


def test_the_file_on_standard_input_is_not_replaced_either(folder, capsys, monkeypatch):
    with (folder / "rows.npy").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert main(["run", "net.json", "-o", "rows.npy", "--force"]) == 2
    message = "rows.npy: the output is the same file as -i, standard input"
    assert capsys.readouterr().err == f"instjit: {message}\n"


def test_a_file_of_semicolons_is_told_that_commas_separate(folder, capsys):
    csv_file(folder, "age;pair[0];pair[1]\n1;2;3\n")
    assert main(["run", "net.json", "-i", "rows.csv"]) == 3
    assert "one cell with a semicolon in it; commas separate cells" in capsys.readouterr().err


def test_one_row_is_said_as_one(folder, capsys):
    npy_file(folder, EXPECTED[:1], "wanted.npy")
    assert main(["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy"]) == 2
    assert "wanted.npy has 1 row, there are more" in capsys.readouterr().err
    npy_file(folder, ROWS[:11])
    npy_file(folder, EXPECTED[:11], "wanted.npy")
    assert main(["run", "net.json", "-i", "rows.npy", "--expect", "wanted.npy"]) == 0
    assert "\n... 1 more row\n" in capsys.readouterr().out


def test_a_failed_run_leaves_nothing_behind(folder, capsys):
    csv_file(folder, table(ROWS) + "1,2,x\n")
    before = sorted(os.listdir())
    assert main(["run", "net.json", "-i", "rows.csv", "-o", "out.csv"]) == 3
    assert capsys.readouterr().err == (
        "instjit: rows.csv: line 39, column 3 (pair[1]): 'x' is not a number\n"
    )
    assert sorted(os.listdir()) == before


WRONG_CALLS = {
    "no such verb": ["walk"],
    "no rows": ["run", "net.json", "-i"],
    "other rows": ["run", "net.json", "-i", "rows.npy", "--rows", "5"],
    "rows of nothing": ["run", "net.json", "-i", "rows.npy", "--rows", "5:5"],
    "backward rows": ["run", "net.json", "-i", "rows.npy", "--rows", "5:3"],
    "negative rows": ["run", "net.json", "-i", "rows.npy", "--rows=-5:3"],
    "no threads": ["run", "net.json", "-i", "rows.npy", "--threads", "0"],
    "slots behind the end": ["run", "net.json", "-i", "rows.npy", "--slots", "0:6"],
    "no slots": ["run", "net.json", "-i", "rows.npy", "--slots", "2:2"],
    "negative tolerance": ["run", "net.json", "-i", "rows.npy", "--tolerance=-1"],
    "no number": ["run", "net.json", "-i", "rows.npy", "--tolerance", "x"],
    "too high a share": ["run", "net.json", "-i", "rows.npy", "--min-accuracy", "1.5"],
    "a bound on nothing": ["run", "net.json", "-i", "rows.npy", "--min-accuracy", "0.5"],
    "one stream twice": ["run", "-", "-i", "-"],
    "one stream twice, quietly": ["run", "net.json", "--expect", "-"],
    "two things on one stream": ["run", "net.json", "-i", "rows.npy", "--json", "-o", "-"],
    "an unknown output": ["run", "net.json", "-i", "rows.npy", "-o", "out.xlsx"],
    "an unknown input": ["run", "net.json", "-i", "net.json"],
    "a wrong width": ["run", "net.json", "-i", "narrow.npy"],
    "missing columns": ["run", "net.json", "-i", "other.csv"],
    "wrongly expected": ["run", "net.json", "-i", "rows.npy", "--expect", "rows.npy"],
}


@pytest.mark.parametrize("words", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_calls_exit_with_2_and_one_sentence(folder, capsys, words):
    npy_file(folder, ROWS[:, :2], "narrow.npy")
    csv_file(folder, "age,weight\n1,2\n", "other.csv")
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sum(line.startswith("instjit") for line in err.splitlines()) == 1


def test_sentences_say_what_was_wanted(folder, capsys):
    npy_file(folder, ROWS[:, :2], "narrow.npy")
    assert main(["run", "net.json", "-i", "narrow.npy"]) == 2
    wanted = "narrow.npy has 2 columns, the model takes 3: age, pair[2]"
    assert capsys.readouterr().err == f"instjit: {wanted}\n"
    csv_file(folder, "age,weight\n1,2\n", "other.csv")
    assert main(["run", "net.json", "-i", "other.csv"]) == 2
    assert "other.csv lacks 2 of the 3 columns" in capsys.readouterr().err


UNREADABLE = {
    "no model": ["none.json"],
    "no model file": ["rows.npy", "-i", "rows.npy"],
    "no rows": ["net.json", "-i", "none.npy"],
    "a folder": ["net.json", "-i", "."],
    "no labels": ["net.json", "-i", "rows.npy", "--expect", "none.csv"],
    "no folder to write to": ["net.json", "-i", "rows.npy", "-o", "none/out.npy"],
}


@pytest.mark.parametrize("words", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_files_exit_with_3(folder, capsys, words):
    assert main(["run", *words]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("instjit: ")
