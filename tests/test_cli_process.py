"""The command line as a process: streams, signals, terminals, imports."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_cases import NET, ROOT, ROWS, call, csv_file, npy_file, saved, start

import instjit
from instjit.cli import VERBS, main
from instjit.progress import CLEAR
from instjit.rowfiles.writing import csv_text

README = "instjit run examples/digits/digits.json -i examples/digits/rows.csv"


NET_AT_ZERO = instjit.compile(NET).predict(np.zeros((1, 3), np.float32))


def modules_after(*words: str) -> set[str]:
    code = (
        "import sys; from instjit.cli import main; main(sys.argv[1:]);"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *words]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr.split())


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
)
def test_help_imports_neither_numba_nor_numpy(words):
    modules = modules_after(*words)
    assert "instjit.cli" in modules
    assert not modules & {"numba", "llvmlite", "numpy", "orjson"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_ends_with_an_example_that_works(
    verb, capsys, monkeypatch, tmp_path
):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    *_, title, example = text.splitlines()
    assert title == "example:"
    assert max(map(len, text.splitlines()[:-1])) <= 80
    program, *words = shlex.split(example)
    assert program == "instjit"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    assert verb in words


def test_the_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(
        re.search(rf"^ +{verb} +{re.escape(what)}$", text, re.M) for verb, what in VERBS.items()
    )


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"instjit {instjit.__version__}\n"


def test_help_costs_little_more_than_python():
    def loaded(*command: str) -> int:
        """Modules that a process imports."""
        words = [sys.executable, "-X", "importtime", *command]
        found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        return found.stderr.count("import time:")

    bare = loaded("-c", "import argparse, signal, re, typing")
    assert loaded("-m", "instjit", "--help") < bare + 40


def test_readme_command_ends_with_predictions_and_their_accuracy():
    words = shlex.split(f"{README} --expect examples/digits/labels.csv")
    result = call(*words[1:])
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 0
    assert lines[0].split() == ["row", "predicted", "expected", "output"]
    assert lines[1].split()[:3] == ["0", "7", "7"]
    accuracy, right = re.fullmatch(
        r"accuracy (0\.\d+): (\d+) of 360 rows right", lines[-1]
    ).groups()
    assert float(accuracy) == pytest.approx(int(right) / 360, abs=1e-4)
    assert float(accuracy) > 0.9


def test_a_stream_in_and_a_stream_out(tmp_path):
    content = Path(npy_file(tmp_path, ROWS)).read_bytes()
    result = call("run", saved(tmp_path), stdin=content)
    out = np.loadtxt(result.stdout.decode().splitlines()[1:], delimiter=",", dtype=np.float32)
    assert out.tobytes() == instjit.compile(NET).predict(ROWS).tobytes()
    assert result.stderr == b""


def test_rows_typed_into_a_pipe_come_out_at_once(tmp_path):
    with start("run", saved(tmp_path), stdin=subprocess.PIPE) as process:
        process.stdin.write(b"0,0,0\n")
        process.stdin.flush()
        head = process.stdout.readline()
        process.stdin.close()
        assert head == b"y0,y1\n"
        assert process.stdout.readline() == csv_text(NET_AT_ZERO)
    assert process.returncode == 0


def test_a_reader_that_leaves_early_is_no_fault(tmp_path):
    path = npy_file(tmp_path, np.zeros((200_000, 3), np.float32))
    with start("run", saved(tmp_path), "-i", path) as process:
        assert process.stdout.readline() == b"y0,y1\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """Children see SIGINT, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("heard_interrupts")
def test_an_interrupted_run_leaves_no_file_and_no_traceback(tmp_path, number, code):
    model, folder = saved(tmp_path), tmp_path / "out"
    folder.mkdir()
    words = ["run", model, "-i", "-", "-o", str(folder / "out.npy")]
    with start(*words, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"0,0,0\n" * 10)
        process.stdin.flush()
        end = time.monotonic() + 60
        while not os.listdir(folder) and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(number)
        assert process.stderr.read() == b""
    assert process.returncode == code
    assert os.listdir(folder) == []


def on_a_terminal(*words: str, **environment: str) -> str:
    """What ``instjit`` writes to a terminal, standard output and error together."""
    ours, theirs = pty.openpty()
    env = {**os.environ, **environment}
    process = start(*words, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    except OSError:  # Linux says so at the end
        pass
    os.close(ours)
    process.wait()
    return b"".join(pieces).decode()


def test_a_terminal_is_shown_the_first_rows(tmp_path):
    text = on_a_terminal("run", saved(tmp_path), "-i", npy_file(tmp_path, ROWS))
    *announced, table = text.replace("\r\n", "\n").split(CLEAR)
    lines = table.splitlines()
    assert set(announced) <= {"", "instjit: compiling ..."}
    assert lines[0].split() == ["row", "y0", "y1"]
    assert [line.split()[0] for line in lines[1:11]] == list("0123456789")
    assert lines[11] == "... 27 more rows"
    assert lines[12].startswith("37 rows in ")


def test_a_terminal_needs_rows(tmp_path):
    text = on_a_terminal("run", saved(tmp_path))
    assert text == "instjit: no rows: give -i FILE, or rows on standard input\r\n"


def test_colour_is_for_terminals_that_want_it(tmp_path):
    path = saved(tmp_path)
    coloured = f"\x1b[32m{path}: good, 1 validation row run\x1b[0m\r\n"
    assert on_a_terminal("validate", path, NO_COLOR="") == coloured
    assert "\x1b" not in on_a_terminal("validate", path, NO_COLOR="1")
    assert b"\x1b" not in call("validate", path).stdout


def test_memory_does_not_grow_with_the_file(tmp_path):
    rows = 3_000_000
    path = tmp_path / "rows.csv"
    path.write_bytes(b"0.5,-1,2\n" * rows)
    code = (
        "import resource, sys; from instjit.cli import main; model, rows, out = sys.argv[1:]\n"
        "for span in '0:1000', '0:':\n"
        "    main(['run', model, '-i', rows, '-o', out, '--force', '--rows', span])\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    words = [saved(tmp_path), str(path), str(tmp_path / "out.npy")]
    command = [sys.executable, "-c", code, *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    few, many = (int(line) for line in result.stdout.split(b"\n") if line.isdigit())
    assert np.load(tmp_path / "out.npy", mmap_mode="r").shape == (rows, 2)
    assert many < few + 30


@pytest.mark.parametrize(
    "words", [["run"], ["validate"], ["inspect"], ["bogus"], [], ["info", "x"]]
)
def test_wrong_words_exit_with_2_and_a_usage(words, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: instjit")


def test_a_missing_part_exits_with_4(tmp_path, monkeypatch, capsys):
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'numba'", name="numba.core")

    monkeypatch.setattr("instjit.compile", missing)
    assert main(["run", saved(tmp_path), "-i", csv_file(tmp_path, "1,2,3\n")]) == 4
    assert capsys.readouterr().err == "instjit: numba is not installed: pip install numba\n"


@pytest.mark.parametrize("count", [20, 21, 1022])
def test_twenty_problems_are_printed_and_the_rest_counted(tmp_path, monkeypatch, capsys, count):
    def wrong(*_: object, **__: object) -> None:
        raise instjit.ModelError(instjit.errors.Problem("Any", f"fault {k}") for k in range(count))

    monkeypatch.setattr("instjit.load", wrong)
    path = saved(tmp_path)
    assert main(["inspect", path]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[19] == f"instjit: {path}: fault 19"
    more = f"{count - 20:,} more problem{'s' * (count > 21)}"
    assert told[20:] == ([f"instjit: and {more}"] if count > 20 else [])


def test_too_little_memory_exits_with_3(tmp_path, monkeypatch, capsys):
    def large(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("instjit.load", large)
    assert main(["inspect", saved(tmp_path)]) == 3
    assert capsys.readouterr().err == "instjit: there is not enough memory\n"


def test_a_fault_of_ours_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr("instjit.load", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", saved(tmp_path)])
