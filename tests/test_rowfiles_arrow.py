"""Parquet and Arrow files and streams as rows, in ``instjit run`` and below it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import NET, ROOT, call, npy_file, saved

import instjit as ij
from instjit.cli import main
from instjit.rowfiles import create_rows, open_rows

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = np.random.default_rng(5).normal(size=(1000, 3)).astype(np.float32)
NAMES = ("age", "pair[0]", "pair[1]")
OUTPUTS = ij.reference.run(NET, ROWS)
SUFFIXES = (".parquet", ".arrow", ".feather")


def table(rows: np.ndarray = ROWS, names: tuple[str, ...] = NAMES) -> Any:
    return pa.table({name: rows[:, k] for k, name in enumerate(names)})


def written(folder: Path, suffix: str, content: Any = None, name: str = "rows") -> str:
    """A file of a table, in small batches."""
    path, content = str(folder / (name + suffix)), table() if content is None else content
    if suffix == ".parquet":
        parquet.write_table(content, path, row_group_size=300)
    else:
        with pa.ipc.new_file(path, content.schema) as writer:
            writer.write_table(content, max_chunksize=130)
    return path


def stream_of(content: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content, max_chunksize=130)
    return sink.getvalue()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("chunk_bytes", [12, 1200, 2**26])
def test_rows_come_in_their_order(suffix: str, chunk_bytes: int, tmp_path) -> None:
    path = written(tmp_path, suffix, table().append_column("id", pa.array(range(1000))))
    with open_rows(path, features=NET.features, width=3, chunk_bytes=chunk_bytes) as rows:
        several = list(rows.chunks())
        assert rows.width == 3
        assert rows.count == (1000 if suffix == ".parquet" else None)
        assert rows.notes == (f"{path}: 1 column left out that the model does not take: id",)
        assert rows.fraction() == 1.0
    assert max(chunk.nbytes for chunk in several) <= chunk_bytes
    np.testing.assert_array_equal(np.concatenate(several), ROWS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_of_the_rows(suffix: str, tmp_path) -> None:
    with open_rows(written(tmp_path, suffix)) as rows:
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks(123, 777))), ROWS[123:777])
        assert rows.notes == ()


def test_a_file_of_the_stream_format_is_read_too(tmp_path) -> None:
    path = tmp_path / "rows.arrow"
    path.write_bytes(stream_of(table()))
    with open_rows(path) as rows:
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), ROWS)
        assert rows.fraction() is None


def test_what_outputs_are_compared_with_stays_float64(tmp_path) -> None:
    exact = np.array([[0.1], [1e300]])
    with open_rows(written(tmp_path, ".parquet", table(exact, ("y",))), array="y") as rows:
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), exact)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_rows_read_back_to_the_same_bits(suffix: str, tmp_path) -> None:
    odd = np.array([[np.nan, -0.0], [np.inf, 1e-45]], np.float32)
    path = tmp_path / f"out{suffix}"
    with create_rows(path, ("y0", "y1")) as out:
        for rows in (odd, odd[:0], odd[::-1]):
            out.write(rows)
        assert not path.exists()
    with open_rows(path) as again:
        assert np.concatenate(list(again.chunks())).tobytes() == np.vstack(
            [odd, odd[::-1]]
        ).tobytes()  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_left_of_a_file_that_failed(suffix: str, tmp_path) -> None:
    def fails() -> None:
        with create_rows(tmp_path / f"out{suffix}", ("y",)) as out:
            out.write(np.zeros((5, 1), np.float32))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("to", [*SUFFIXES, ".csv", ".npy"])
def test_run_from_every_format_to_every_other(suffix: str, to: str, tmp_path, capsys) -> None:
    inputs, out = written(tmp_path, suffix), tmp_path / f"out{to}"
    assert main(["run", saved(tmp_path), "-i", inputs, "-o", str(out)]) == 0
    assert "1,000 rows -> " in capsys.readouterr().out
    with open_rows(out) as rows:
        found = np.concatenate(list(rows.chunks()))
    np.testing.assert_array_equal(found.astype(np.float32), OUTPUTS)


def test_run_compares_selects_and_names_slots(tmp_path, capsys) -> None:
    inputs = written(tmp_path, ".parquet")
    expected = written(tmp_path, ".feather", table(OUTPUTS, ("a", "b")), "expected")
    out = str(tmp_path / "out.parquet")
    words = ["run", saved(tmp_path), "-i", inputs, "--rows", "100:900", "--json"]
    assert main([*words, "--expect", expected, "--slots", "3:5", "-o", out]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["columns"]) == (800, ["slot_3", "slot_4"])
    assert said["expected"]["largest_error"] == 0.0
    assert parquet.read_schema(out).names == ["slot_3", "slot_4"]


@pytest.mark.parametrize("lists", [{"pair": ROWS[:, 1:], "age": ROWS[:, 0]}, {"row": ROWS}])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_run_takes_columns_of_lists(lists: dict[str, Any], suffix: str, tmp_path) -> None:
    columns = {name: rows.tolist() for name, rows in lists.items()}
    inputs, out = written(tmp_path, suffix, pa.table(columns)), tmp_path / "out.npy"
    assert main(["run", saved(tmp_path), "-i", inputs, "-o", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out), OUTPUTS)


def test_run_reads_a_stream_from_a_pipe(tmp_path) -> None:
    out = tmp_path / "out.npy"
    done = call("run", saved(tmp_path), "-o", str(out), stdin=stream_of(table()))
    assert (done.returncode, done.stderr) == (0, b"")
    np.testing.assert_array_equal(np.load(out), OUTPUTS)


def nulls() -> Any:
    return pa.table({"age": [1.0, None], "pair[0]": [1.0, 2.0], "pair[1]": [1.0, 2.0]})


def test_run_takes_nulls_as_nan_when_asked(tmp_path, capsys) -> None:
    inputs, out = written(tmp_path, ".parquet", nulls()), tmp_path / "out.npy"
    words = ["run", saved(tmp_path), "-i", inputs, "-o", str(out)]
    assert main(words) == 2
    wanted = f"column 'age' of batch 0 of {inputs}: row 1 is null, expected a number"
    assert wanted in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--missing", "nan"]) == 0
    assert np.isnan(np.load(out)).tolist() == [[False] * 2, [True] * 2]


def broken(folder: Path, suffix: str) -> str:
    path = Path(written(folder, suffix))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return str(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"ARROW1\0\0", b"no such file", b"\xff\xff\xff\xff\0\0\0\1x"]
)
def test_what_is_no_such_file_is_unreadable(suffix: str, content: bytes, tmp_path, capsys) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    assert main(["run", saved(tmp_path), "-i", str(path)]) == 3
    what = "a Parquet" if suffix == ".parquet" else "an Arrow"
    assert f"{path}: not {what} file: " in capsys.readouterr().err


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_file_is_unreadable(suffix: str, tmp_path, capsys) -> None:
    assert main(["run", saved(tmp_path), "-i", broken(tmp_path, suffix)]) == 3
    assert "not a" in capsys.readouterr().err


def test_half_a_stream_is_unreadable(tmp_path) -> None:
    content = stream_of(table())
    done = call("run", saved(tmp_path), "--json", stdin=content[: len(content) // 2])
    assert done.returncode == 3
    assert b"standard input: " in done.stderr


def test_parquet_from_a_pipe_is_refused(tmp_path) -> None:
    content = Path(written(tmp_path, ".parquet")).read_bytes()
    done = call("run", saved(tmp_path), stdin=content)
    assert done.returncode == 3
    assert b"a Parquet file cannot be read from a stream" in done.stderr


def test_columns_are_looked_at_before_the_model_is_compiled(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(ij, "compile", None)
    inputs = written(tmp_path, ".parquet", table(ROWS, ("a", "b", "c")))
    assert main(["run", saved(tmp_path), "-i", inputs]) == 2
    wanted = f"{inputs} lacks 2 of the 2 features that the model takes: age, pair[2]"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-i", "-o", "--expect"])
def test_without_pyarrow_the_exit_code_is_4(option: str, tmp_path) -> None:
    paths = {"-i": npy_file(tmp_path, ROWS), "-o": str(tmp_path / "out.csv")}
    paths[option] = str(tmp_path / "rows.parquet")
    if option != "-o":
        Path(paths[option]).write_bytes(b"PAR1")
    words = [word for pair in paths.items() for word in pair]
    code = f"import sys; sys.modules['pyarrow'] = None; from instjit.cli import main; sys.exit(main({['run', saved(tmp_path), *words]}))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 4
    assert b"rows in Arrow and Parquet take pyarrow: pip install" in done.stderr
    assert not (tmp_path / "out.csv").exists()


PEAK = """
import resource, sys
from instjit.cli import main
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model, small, large, out = sys.argv[1:]
assert main(["run", model, "-i", small, "-o", out, "--force"]) == 0
before = peak()
assert main(["run", model, "-i", large, "-o", out, "--force"]) == 0
print(peak() - before)
"""


def test_a_row_group_of_any_size_takes_little_memory(tmp_path) -> None:
    """2 million rows in one row group, 48 MB of float64 and 16 MB of outputs."""
    rows = np.random.default_rng(0).normal(size=(2_000_000, 3))
    large, small = tmp_path / "large.parquet", tmp_path / "small.parquet"
    parquet.write_table(table(rows), large, row_group_size=len(rows), use_dictionary=False)
    parquet.write_table(table(rows[:300_000]), small, use_dictionary=False)
    words = [saved(tmp_path), str(small), str(large), str(tmp_path / "out.parquet")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) <= 24 * 1024  # KiB
