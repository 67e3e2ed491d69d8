"""``python -m bench.gpu`` and ``python -m bench.ptx``, without a device: what they run and say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from copy import deepcopy
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
    assert end.stdout.count("| gpu.predict, a model a thread ") == 2
    assert "| 3-5-2 | float32   | thread " in end.stdout
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
    assert "| 4-16-2 | thread | -    |              0 |               0 | " in end.stdout


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


# What is timed


@pytest.mark.parametrize(
    ("rows", "pieces", "sizes"),
    [
        (200_000, (1, 2, 16, 128), [12_500, 100_000, 200_000]),
        (2_000_000, (1, 16), [125_000, 2_000_000]),
        (4_096, (1, 2), [4_096]),
        (20, (1, 2), [20]),
    ],
)
def test_a_batch_is_shared_out_into_equal_calls(rows, pieces, sizes) -> None:
    from bench.gpu_race import chunks

    assert chunks(rows, pieces) == sizes


@pytest.mark.parametrize("name", ["PyTorch", "PyTorch tf32", "PyTorch bf16", "ONNX Runtime"])
@pytest.mark.parametrize("chunk", [1, 7, 30])
@pytest.mark.parametrize("place", ["device", "host", "pinned"])
def test_a_peer_computes_the_net(name, chunk, place) -> None:
    """On the CPU, where these peers run too."""
    pytest.importorskip("onnxruntime" if name.startswith("ONNX") else "torch")
    pytest.importorskip("onnx")
    from bench.gpu_bounds import tolerance
    from bench.gpu_peers import PEERS
    from bench.jobs import Job, expected

    job, entrant = Job((5, 8, 6, 3), 30), PEERS[name]
    x, out = job.inputs(1), np.full((30, 3), np.nan, np.float32)
    peer = entrant.make(job.layers, precision=entrant.precision, device="cpu")
    peer.bind(x, out, chunk, place)()
    allowed = 1e-6 if "bf16" not in name else tolerance(job.layers, x, "bf16")
    errors = np.abs(out - expected(job.layers, x))
    assert (errors < allowed).all()
    assert (errors.max() > 1e-4) == ("bf16" in name)


def test_torch_steers_the_episodes_of_numpy() -> None:
    pytest.importorskip("torch")
    import instjit
    from bench import gpu_embedded, gpu_embedded_torch

    policy = instjit.load(gpu_embedded.POLICY)
    starts = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 4)).astype(np.float32)
    bound = gpu_embedded_torch.eager(policy, starts, 60, None, device="cpu")
    bound.run()
    wanted = gpu_embedded.survived(policy, starts, 60)
    assert 0 < (wanted < 60).sum() < 50
    assert (bound.result() == wanted).mean() > 0.95


def test_every_copy_of_a_policy_has_words_of_its_own() -> None:
    from copy import copy

    import instjit
    from bench.gpu_embedded import POLICY
    from instjit import gpu

    policy = instjit.load(POLICY)
    assert len(set(gpu.pack([copy(policy) for _ in range(5)]).offsets)) == 5


@pytest.mark.parametrize("kind", ["one", "block", "thread"])
def test_torch_runs_rows_through_models_of_their_own(kind) -> None:
    pytest.importorskip("torch")
    from functools import partial

    from bench import gpu_embedded, gpu_embedded_torch

    models = [gpu_embedded._variant((5, 8, 2), seed) for seed in range(3)]
    rows = np.random.default_rng(0).standard_normal((12, 5), np.float32)
    judge = partial(gpu_embedded._unlike, models, gpu_embedded._chosen(kind, 4, 3), rows, 1e-6)
    bound = gpu_embedded_torch.rows_by_torch(models, kind, 4, rows, judge, device="cpu")
    bound.run()
    assert bound.judge(bound.result()) == ""
    assert bound.judge(bound.result()[::-1]) != ""


def spoken(monkeypatch, *processes: list[tuple[str, dict]]) -> list[dict]:
    """Let parts say these messages, a process after the other; what the processes are given."""
    from bench import gpu_timing

    left, given = iter(processes), []

    def messages(part, deadline):
        given.append(deepcopy(part.arguments))
        return iter(next(left))

    monkeypatch.setattr(gpu_timing, "messages", messages)
    return given


def doing(name: str) -> tuple[str, dict]:
    return "doing", {"name": name}


def entry(name: str, place: str, absent: str = "") -> tuple[str, dict]:
    return "entry", {"place": place, "entry": {"peer": name, "absent": absent}}


DIED = ("died", {"reason": "ended"})
BROKE = ("broken", {"name": "PyTorch", "reason": "failed: illegal address"})


@pytest.mark.parametrize(("end", "reason"), [(DIED, "ended"), (BROKE, "failed: illegal address")])
def test_a_peer_that_takes_the_process_along_is_left_out(monkeypatch, end, reason) -> None:
    from bench.gpu_timing import Contest, raced
    from bench.jobs import Job

    given = spoken(
        monkeypatch,
        [entry("instjit", "device"), entry("PyTorch", "device"), doing("PyTorch"), end],
        [entry("instjit", "host"), entry("PyTorch", "host", "left out")],
    )
    contest = Contest(Job((3, 2), 5), ("device", "host"))
    found = list(raced(contest, ["instjit", "PyTorch"], 1, True, time.monotonic() + 60))
    assert [(place, len(entries)) for place, entries, _ in found] == [("device", 2), ("host", 2)]
    assert [each["peers"]["PyTorch"] for each in given] == ["", reason]
    assert [each["places"] for each in given] == [["device", "host"], ["host"]]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [([doing(""), DIED], 60), ([doing("PyTorch"), DIED], 0)],
)
def test_a_race_without_a_culprit_or_without_time_ends(monkeypatch, said, seconds) -> None:
    from bench.gpu_timing import Contest, raced
    from bench.jobs import Job

    spoken(monkeypatch, said)
    contest = Contest(Job((3, 2), 5))
    found = list(raced(contest, ["PyTorch"], 1, True, time.monotonic() + seconds))
    assert found == [("device", [], "ended")]


@pytest.mark.parametrize(
    ("name", "absent", "counts"),
    [
        ("instjit", "failed: WrongAnswer", True),
        ("instjit bf16", "ended after 90 s without a word", True),
        ("instjit bf16", "does not apply: no wide product", False),
        ("PyTorch", "failed: anything", False),
        ("instjit", "", False),
    ],
)
def test_only_what_is_ours_makes_the_run_wrong(name, absent, counts) -> None:
    from bench.gpu_race import GpuEntry
    from bench.gpu_timing import failed_ours

    assert bool(failed_ours([GpuEntry(name, absent=absent)])) == counts


# What is printed


def test_the_table_of_a_job() -> None:
    from bench.gpu_peaks import Peaks
    from bench.gpu_race import GpuEntry
    from bench.gpu_table import table
    from bench.jobs import Job

    job = Job((4, 2), 1000)  # 16,000 FLOP, 16 kB in, 8 kB out
    entries = [
        GpuEntry("instjit", "1", 1000, 0.5, [2e-3]),
        GpuEntry("slow", "2", 100, 0.5, [4e-3]),
        GpuEntry("instjit tf32", "1", 1000, 0.5, [1e-3], precision="tf32"),
        GpuEntry("slow tf32", "2", 1000, 0.5, [3e-3], precision="tf32"),
        GpuEntry("slow bf16", "2", 1000, 0.5, [3e-3], precision="bf16"),
        GpuEntry("none", absent="not installed"),
    ]
    peaks = Peaks(fma=16e6, copy=24e6, to_device=16e6, to_host=4e6)
    there = table(job, "device", entries, peaks)
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in there.splitlines()
        if line.startswith("| ")
    }
    assert cells["instjit 1"][5:10] == ["50%", "0.012", "50%", "1.00", "1.00"]
    assert cells["slow 2"][7:10] == ["25%", "2.00", "2.00"]
    assert cells["slow tf32 2"][8:10] == ["3.00", "1.50"]
    assert cells["slow bf16 2"][8:10] == ["-", "1.50"]
    assert "none: not installed" in there
    assert "instjit against the best peer in float32, slow: 2.00x by the median" in there
    assert "instjit tf32 against the best peer in tf32, slow tf32: 3.00x by the median" in there
    assert "100% |   1.00 |" in table(job, "host", entries, peaks)
    assert "no ratio" in table(job, "device", entries[:1], peaks)


def test_the_table_of_kernels_names_each_once() -> None:
    from bench.gpu_race import GpuEntry
    from bench.gpu_table import kernels
    from bench.jobs import Job

    held = {"form": "block", "tile": "128 x 256", "registers": 64, "occupancy": 0.5}
    entries = [GpuEntry("instjit", loaded=held), GpuEntry("PyTorch")]
    text = kernels([(Job((4, 2), 10), entries), (Job((4, 2), 20), entries)])
    assert text.count("| 4-2 ") == 1
    assert "|        64 |" in text
    assert "|       50% |" in text
    assert kernels([]) == ""


def test_the_table_of_the_embed_case_begins_with_the_fastest() -> None:
    from bench.gpu_simulation import Timed
    from bench.gpu_table import simulation

    timed = [
        Timed("poles", "PyTorch", "steps", 2e6, [4.0], "5 survived"),
        Timed("poles", "gpu.predict", "steps", 2e6, [1.0], "5 survived"),
        Timed("poles", "none", "steps", absent="not installed"),
    ]
    lines = simulation(timed).splitlines()
    assert lines[0] == "**Embedded: poles**"
    assert [line.split("|")[1].strip() for line in lines[4:6]] == ["gpu.predict", "PyTorch"]
    assert " 0.5 |   4.00 | 5 survived |" in lines[5]
    assert "none: not installed" in lines
