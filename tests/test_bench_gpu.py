"""``python -m bench.gpu`` and ``python -m bench.ptx``, without a device: what they run and say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


@pytest.fixture(autouse=True)
def _checkout(monkeypatch) -> None:
    """The bench is imported from the root of the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own."""
    held = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    paths = os.pathsep.join([str(ROOT), str(TESTS)])
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**held, "PYTHONPATH": paths, **environment},
    )


def test_the_simulated_bench_checks_and_times_everything(tmp_path) -> None:
    path = tmp_path / "found.json"
    words = ("--simulate", "--rounds", "1", "--models", "1", "--json", str(path))
    end = program("-m", "bench.gpu", *words)
    assert end.returncode == 0, end.stdout + end.stderr
    assert "left out tensor cores: not simulated" in end.stdout
    assert " checks, " in end.stdout
    assert ": all right" in end.stdout
    assert "measured: fma " in end.stdout
    for place in ("the device", "ordinary host memory", "page-locked host memory"):
        table = end.stdout.split(f"{place}**", 1)[1].split("**", 1)[0]
        assert "| instjit 0.1.0 | float32 " in table
        assert "instjit bf16x3: does not apply: not simulated" in table
        assert "torch.compile graph: left out of this run: it compiles for long" in table
    assert end.stdout.count("| gpu.predict, a model a thread ") == 2
    assert "| 3-5-2 | float32   | thread " in end.stdout
    for way in ("PyTorch", "PyTorch graph"):
        for layout in ("one model", "a model a block", "a model a thread"):
            assert f"{way}, {layout}" in end.stdout
    found = json.loads(path.read_text())
    assert found["about"]["device"] == "Numba's CUDA simulator"
    assert found["measured"]["copy"] > 0
    assert [job["place"] for job in found["jobs"]] == ["device", "host", "pinned"]
    assert all(job["entries"][0]["seconds"] for job in found["jobs"])
    assert found["checks"][0]["checks"] > 40


def test_a_race_times_who_is_right_and_says_of_the_others_why_not() -> None:
    end = program(str(TESTS / "fake_race.py"), NUMBA_ENABLE_CUDASIM="1")
    assert end.returncode == 0, end.stderr
    found = json.loads(end.stdout)
    rounds = {name: len(entry["seconds"]) for name, entry in found.items()}
    right = {name for name, count in rounds.items() if count == 3}
    assert right == {"instjit", "next float", "coarse tf32", "hungry"}
    assert {rounds[name] for name in rounds if name not in right} == {0}
    for name, said in {
        "coarse": "failed: WrongAnswer: 30000 outputs off, largest error 3.01e-05, allowed 1e-05",
        "coarsest tf32": "failed: WrongAnswer: 30000 outputs off",
        "unwritten": "failed: WrongAnswer: 3 outputs off, largest error nan",
        "missing": "not installed: no such library",
        "elsewhere": "does not apply: not for rows of the host",
        "unfit": "does not apply: not for this net",
        "left out": "it hung",
        "wrong bits": "failed: WrongAnswer: bits are not those of the CPU's kernel: 30000 of 30000",
    }.items():
        assert found[name]["absent"].startswith(said)
    assert found["hungry"]["chunk"] == 5000


def test_a_check_that_crashes_or_hangs_is_wrong_and_the_next_are_made() -> None:
    from bench.gpu_check import overseen
    from bench.gpu_part import Part

    part = Part("fake_parts:script", {"names": ["script"]}, silence=1.0)
    found = overseen(part, time.monotonic() + 60)
    assert found.wrong == [
        "2 wrong: off",
        "3 hangs: ended after 1 s without a word",
        "5 crashes: its process ended with code 3",
        "6 breaks: off",
    ]
    assert (found.checks, found.done, found.left_out) == (7, 8, ["1 left out: not here"])
    assert found.unchecked == []
    assert not found.good


@pytest.mark.parametrize(
    ("function", "seconds", "said"),
    [
        ("fake_parts:fails_to_start", 60, "script from its start: OSError: no library"),
        ("fake_parts:script", 0, "script from its start: ended after 0 s without a word"),
    ],
)
def test_what_was_not_checked_is_told(function, seconds, said) -> None:
    from bench.gpu_check import overseen
    from bench.gpu_part import Part

    found = overseen(Part(function, {"names": ["script"]}), time.monotonic() + seconds)
    assert (found.unchecked, found.checks, found.good) == ([said], 0, False)


def test_without_a_device_one_sentence_says_so() -> None:
    from numba import cuda

    if cuda.is_available():
        pytest.skip("there is a GPU")
    end = program("-m", "bench.gpu")
    assert (end.returncode, end.stdout) == (4, "")
    assert end.stderr.startswith("no CUDA device to run on: ")
    assert end.stderr.count("\n") == 1


def test_without_a_compiler_the_table_of_registers_says_so() -> None:
    end = program("-m", "bench.ptx", "--quick", NUMBA_ENABLE_CUDASIM="1")
    assert (end.returncode, end.stdout) == (4, "")
    assert "compiles nothing" in end.stderr


@pytest.mark.ptx
def test_the_table_of_registers_has_a_row_a_kernel() -> None:
    end = program("-m", "bench.ptx", "--quick")
    if end.returncode == 4:
        pytest.skip(end.stderr)
    assert end.returncode == 0, end.stderr
    assert "| 4-16-2 | thread | -    |            512 |               0 | " in end.stdout


# What is wrong


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ([[1.0, np.nan]], ""),
        ([[1.0000001, np.nan]], "1 of 2 differ, at (0, 0) np.float32(1.0000001) and not np.float"),
        ([[1.0, 0.0]], "1 of 2 differ, at (0, 1)"),
        ([[1.0]], "float32 of shape (1, 1), not float32 of (1, 2)"),
    ],
)
def test_what_differs_in_a_bit(got, said) -> None:
    from bench.gpu_check import differing

    found = differing(np.array(got, np.float32), np.array([[1.0, np.nan]], np.float32))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_check_that_raises_is_wrong() -> None:
    from bench.gpu_check import Check, outcome

    assert outcome(Check("a", lambda: str(1 // 0))).startswith("ZeroDivisionError: ")
    assert outcome(Check("a", lambda: "")) == ""


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """Float32 numbers as tensor cores read them; tf32 cut off, which is the worse."""
    words = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.int64)
    if precision == "tf32":
        return (words & 0xFFFFE000).astype(np.uint32).view(np.float32)
    words += 0x7FFF + (words >> 16 & 1)
    return (words & 0xFFFF0000).astype(np.uint32).view(np.float32)


def product(x: np.ndarray, weights: np.ndarray, precision: str) -> np.ndarray:
    """What tensor cores make of it, but for the rounding of their sums."""
    if precision != "bf16x3":
        return rounded(x, precision).astype(float) @ rounded(weights, precision).T.astype(float)
    high, above = rounded(x, precision).astype(float), rounded(weights, precision).astype(float)
    low, below = (rounded(a - b, precision) for a, b in ((x, high), (weights, above)))
    return high @ above.T + low @ above.T + high @ below.T


@pytest.mark.parametrize("precision", ["tf32", "bf16", "bf16x3"])
@pytest.mark.parametrize("widths", [(250, 300, 200), (20, 64, 32, 1)])
def test_a_tolerance_holds_what_a_format_does_and_little_more(widths, precision) -> None:
    from bench.gpu_bounds import FLOAT32_OUTPUTS, activated, tolerance
    from bench.jobs import Job, expected

    job = Job(widths, 300)
    x = value = job.inputs(1)
    for layer in job.layers:
        total = product(value, layer.weights, precision) + layer.bias
        value = activated(total, layer.activation).astype(np.float32)
    errors = np.abs(value - expected(job.layers, x))
    bounds = tolerance(job.layers, x, precision)
    assert (errors <= bounds).all()
    assert bounds.max() < 50 * errors.max()
    if precision == "bf16x3":
        assert errors.max() <= FLOAT32_OUTPUTS


@pytest.mark.parametrize("precision", ["tf32", "bf16", "bf16x3"])
def test_tensor_outputs_are_held_to_their_elements_and_together(precision) -> None:
    from nets import dense

    from bench.gpu_bounds import tolerance
    from bench.gpu_tensor import beyond, layers_of
    from instjit import reference

    model = dense(17, 9, last=None)
    rows = np.random.default_rng(0).standard_normal((40, 17), np.float32)
    exact = reference.run64(model, rows)
    bounds = tolerance(layers_of(model), rows, precision)
    little = (exact + bounds / 40).astype(np.float32)
    assert beyond(little, model, rows, precision) == ""
    far = little.copy()
    far[3, 2] += 2 * bounds[3, 2]
    assert beyond(far, model, rows, precision).startswith("1 of 360 are off, at (3, 2) ")
    assert beyond(little[:, ::-1], model, rows, precision) != ""
    assert beyond(far * np.nan, model, rows, precision).startswith("360 of 360 are off")
    assert "relative error" in beyond((exact + 0.9 * bounds), model, rows, precision)


def test_a_net_without_a_wide_product_is_to_be_refused() -> None:
    from bench.gpu_tensor import taken, wide

    assert [wide(w) for w in ((4, 16, 2), (8, 32, 4), (16, 8), (15, 8))] == [0, 0, 1, 0]
    assert taken((4, 16, 2), "bf16") == ""
    assert taken((16, 8), "bf16").startswith("taken, though")


def test_an_array_is_handed_over_by_one_protocol_alone() -> None:
    from types import SimpleNamespace

    from bench.gpu_libraries import WAYS, handed
    from instjit.gpu.arrays import on_device

    array = SimpleNamespace(
        __cuda_array_interface__={},
        __dlpack__=lambda **options: 0,
        __dlpack_device__=lambda: (2, 0),
    )
    protocols = ("__cuda_array_interface__", "__dlpack__")
    found = {way: [hasattr(handed(array, way), p) for p in protocols] for way in WAYS}
    assert found == {"itself": [True, True], "interface": [True, False], "DLPack": [False, True]}
    assert all(on_device(handed(array, way)) for way in WAYS)
