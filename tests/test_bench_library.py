"""The race of C libraries: every way has a figure and the same results, or is left out aloud."""

from __future__ import annotations

import importlib.util
import subprocess

import libraries
import pytest

from bench import library, library_programs
from bench.nets import chain

pytestmark = [libraries.needs_compiler, pytest.mark.library]

OURS = {"C", "kernel", "load_library", "generic"}
needs_onnx_runtime = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))),
    reason="there is no onnxruntime",
)


@pytest.fixture(autouse=True)
def fewer(monkeypatch) -> None:
    """What this CPU runs, once each; programs that are built anew."""
    monkeypatch.setattr(library, "CPUS", libraries.CPUS)
    monkeypatch.setattr(library_programs, "STARTS", 1)
    library.generic.cache_clear()
    library.onnx_runtime.cache_clear()


@pytest.fixture
def contest(tmp_path) -> library.Contest:
    (tmp_path / "net").mkdir()
    made = library.Contest(chain(8, 16, 1), tmp_path / "net", 0)
    assert made.build().startswith("JIT ")
    return made


@needs_onnx_runtime
@pytest.mark.parametrize("count", [1, 64])
def test_every_way_has_a_figure_and_the_same_results(contest, count) -> None:
    figures = dict(contest.figures(count))
    others = {f"ONNX Runtime {how}" for how in library_programs.HOWS}
    assert set(figures) == OURS | set(libraries.CPUS[1:]) | others
    assert all(taken > 0 for taken in figures.values())
    assert "with ONNX Runtime" in contest.starts()


def test_without_onnx_runtime_a_line_says_so(contest, monkeypatch, capsys) -> None:
    monkeypatch.setattr(library_programs, "find_spec", lambda name: None)
    assert set(dict(contest.figures(1))) == OURS | set(libraries.CPUS[1:])
    assert capsys.readouterr().out.count("without ONNX Runtime: onnxruntime is not") == 1


def test_a_program_with_other_results_is_an_error(contest) -> None:
    contest.kernel = kernel_of_other_numbers()
    with pytest.raises(RuntimeError, match="results differ by"):
        list(contest.figures(64))


def kernel_of_other_numbers() -> object:
    import instjit
    from bench.models import model

    return instjit.compile(model(chain(8, 16, 1, name="another")))


@needs_onnx_runtime
@pytest.mark.parametrize("spoiled", ["model", "library"])
def test_what_onnx_runtime_refuses_is_told(contest, spoiled, tmp_path) -> None:
    program = library.onnx_runtime(tmp_path)
    bad = tmp_path / "bad"
    bad.write_bytes(b"no model")
    rows = library_programs.Rows.of(contest.net.inputs(1, 0), tmp_path)
    model = bad if spoiled == "model" else contest.onnx_file()
    command = program.command(rows, 0, model, contest.widths, "run")
    command[1] = bad if spoiled == "library" else command[1]
    wanted = "not ONNX Runtime" if spoiled == "library" else "onnxruntime_loop|Load model|protobuf"
    with pytest.raises(RuntimeError, match=wanted):
        library_programs.nanoseconds(command)


def test_a_wrong_use_of_a_program_fails(contest) -> None:
    assert subprocess.run([contest.program.path], check=False).returncode == 2
