"""What ``python -m bench.gpu`` times and prints: peers on the CPU, who is left out, the tables."""

from __future__ import annotations

import gc
import time
import weakref
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _checkout(monkeypatch) -> None:
    """The bench is imported from the root of the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


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


class FakeStream:
    """A stream of the CPU: work is done at once."""

    def wait_stream(self, other: object) -> None:
        pass


class FakeGraph:
    """A graph that holds nothing of what was captured, as Torch's do of arrays made before."""

    replays = 0

    def replay(self) -> None:
        FakeGraph.replays += 1


@pytest.fixture
def cuda_on_the_cpu(monkeypatch):
    """Let Torch capture graphs without a device: what is captured is run."""
    torch = pytest.importorskip("torch")
    for name, fake in {
        "Stream": FakeStream,
        "current_stream": FakeStream,
        "synchronize": lambda: None,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": FakeGraph,
        "graph": lambda graph: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr("bench.gpu_torch.compiled", lambda step: step)
    return torch


GRAPHS = [
    *(f"PyTorch graph{precision}" for precision in ("", " tf32", " bf16")),
    *(f"torch.compile graph{precision}" for precision in ("", " tf32", " bf16")),
]


@pytest.mark.parametrize("name", GRAPHS)
def test_what_a_graph_writes_to_lives_as_long_as_the_bound_call(
    cuda_on_the_cpu, monkeypatch, name
) -> None:
    from bench.gpu_bounds import tolerance
    from bench.gpu_peers import PEERS
    from bench.jobs import Job, expected

    torch, made = cuda_on_the_cpu, []

    def empty(*shape, empty=torch.empty, **options):
        array = empty(*shape, **options)
        made.append(weakref.ref(array))
        return array

    monkeypatch.setattr(torch, "empty", empty)
    job, entrant = Job((5, 8, 6, 3), 30), PEERS[name]
    x, out = job.inputs(1), np.full((30, 3), np.nan, np.float32)
    peer = entrant.make(job.layers, precision=entrant.precision, device="cpu")
    weights = weakref.ref(peer._layers[0][0])
    bound = peer.bind(x, out, 10, "device")
    allowed = 1e-6 if entrant.precision != "bf16" else tolerance(job.layers, x, "bf16")
    assert (np.abs(out - expected(job.layers, x)) < allowed).all()
    del peer
    gc.collect()
    assert weights() is not None
    assert len(made) == (0 if "compile" in name else 3 + name.endswith("bf16"))
    assert all(array() is not None for array in made)
    before = FakeGraph.replays
    bound()
    assert FakeGraph.replays == before + 1
    del bound
    gc.collect()
    assert not any(array() is not None for array in made)


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
    import instjit
    from bench.gpu_embedded import POLICY
    from instjit import gpu

    policies = instjit.Population.of([instjit.load(POLICY)] * 5)
    assert len(set(gpu.pack(policies).offsets)) == 5


def packed(way, kind: str, *given, **options):
    """A way of Torch over twelve rows and three models, the judge of their layout with it."""
    from functools import partial

    from bench import gpu_embedded

    models = [gpu_embedded._variant((5, 8, 2), seed) for seed in range(3)]
    rows = np.random.default_rng(0).standard_normal((12, 5), np.float32)
    judge = partial(gpu_embedded._unlike, models, gpu_embedded._chosen(kind, 4, 3), rows, 1e-6)
    which = models[0] if kind == "one" else models
    return way(which, *given, rows, judge, device="cpu", **options)


def is_right(bound) -> bool:
    """Whether a call that is bound gives each row its model's outputs, and others are seen."""
    bound.run()
    return bound.judge(bound.result()) == "" != bound.judge(bound.result()[::-1])


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("kind", ["block", "thread"])
def test_torch_runs_rows_through_models_of_their_own(cuda_on_the_cpu, kind, graph) -> None:
    from bench import gpu_embedded_torch

    assert is_right(packed(gpu_embedded_torch.models_each, kind, kind, 4, graph=graph))


@pytest.mark.parametrize("name", ["PyTorch", "PyTorch graph", "torch.compile graph"])
def test_torch_runs_rows_through_one_model_as_in_the_race(
    cuda_on_the_cpu, monkeypatch, name
) -> None:
    from functools import partial

    from bench.gpu_embedded_torch import ONE_MODEL, one_model

    monkeypatch.delattr("torch.baddbmm")  # a batch of one, which the race does not run
    assert is_right(packed(partial(one_model, ONE_MODEL[name]), "one"))


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
    found = list(raced(contest, {"instjit": "", "PyTorch": ""}, 1, True, time.monotonic() + 60))
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
    found = list(raced(contest, {"PyTorch": ""}, 1, True, time.monotonic() + seconds))
    assert found == [("device", [], "ended")]


@pytest.mark.parametrize(
    ("compilers", "chosen", "left_out"),
    [
        (True, None, {}),
        (False, None, {"torch.compile": "compiles for long", "torch.compile graph": "for long"}),
        (True, ["instjit"], {"PyTorch": "left out of this run", "CuPy": "left out"}),
        (False, ["instjit", "torch.compile"], {"torch.compile": "for long", "PyTorch": "left out"}),
    ],
)
def test_who_takes_no_part_in_a_contest_is_listed(compilers, chosen, left_out) -> None:
    from bench.gpu_peers import PEERS
    from bench.gpu_timing import Contest
    from bench.jobs import Job

    found = Contest(Job((3, 2), 5), compilers=compilers).without(chosen or PEERS)
    assert [*found] == [*PEERS]
    assert {name: why in found[name] for name, why in left_out.items()} == dict.fromkeys(
        left_out, True
    )
    assert found["instjit"] == ""
    assert any(found.values()) == bool(left_out)


def test_a_quick_run_compiles_nothing() -> None:
    from bench.gpu_peers import PEERS
    from bench.gpu_timing import CONTESTS

    left_out = {name for name, why in CONTESTS[0].quick().without(PEERS).items() if why}
    assert left_out == {name for name in PEERS if name.startswith("torch.compile")}
    assert not any(CONTESTS[0].without(PEERS).values())


@pytest.mark.parametrize(
    ("name", "absent", "counts"),
    [
        ("instjit", "failed: WrongAnswer", True),
        ("instjit bf16", "ended after 90 s without a word", True),
        ("instjit bf16", "does not apply: no wide product", False),
        ("instjit bf16", "left out of this run", False),
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
        GpuEntry("late", absent="left out of this run"),
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
    assert (
        "instjit against the best of the peers timed in float32, slow (no time of none, late): "
        "2.00x by the median"
    ) in there
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
