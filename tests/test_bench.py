"""``python -m bench``: its nets, its peers, its search, its tables and its chart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import instjit
from bench import __main__ as command
from bench import nets, numpy_net
from bench.calibrate import best, chunk_sizes
from bench.contestants import CONTESTANTS, SINGLE
from bench.entry import Entry
from bench.models import model
from bench.nets import Net
from bench.peaks import Peaks, measured
from bench.peers import DoesNotApply, Setting
from bench.plot import svg
from bench.race import Race
from bench.scaling import Scaling, scaling
from bench.table import record, single_rows, summary, table
from bench.worker import Team, WrongAnswer, largest_error

ROOT = Path(__file__).parents[1]

TINY: dict[str, Callable[[], Net]] = {
    "relu, sigmoid": lambda: nets.chain(5, 8, 6, 3),
    "tanh, softmax": lambda: nets.chain(5, 8, 6, 3, inner="TANH", last="SOFTMAX"),
    "attention": lambda: nets.attention(8),
    "heads": lambda: nets.heads(12, 3),
    "softmax": lambda: nets.softmax(7),
    "embeddings": lambda: nets.embeddings(20, 5),
    "lookups": lambda: nets.lookups(50, 7),
    "elementwise": lambda: nets.elementwise(40),
    "all of them": lambda: nets.everything(16),
}
ROWS = 150
HEAVY = ("torch.compile", "TensorFlow")  # seconds to import or to compile
COMPILED = ("instjit", "JAX")  # where every net takes a second
PEAKS = Peaks(fma=2e9, copy=1e9)


@pytest.mark.parametrize("name", TINY)
def test_the_model_is_the_net(name) -> None:
    net = TINY[name]()
    x = net.inputs(ROWS, 0)
    assert instjit.validate(model(net)) == ()
    error = instjit.reference.run64(model(net), x) - numpy_net.expected(net, x)
    assert np.abs(error).max() < 1e-14


def test_every_net_of_the_race_is_a_valid_model() -> None:
    for name, make in [*nets.NETS.items(), *nets.SINGLE.items()]:
        net = make()
        assert net.name == name
        if net.width < 10_000:
            assert instjit.validate(model(net)) == ()


@pytest.mark.parametrize("peer", [peer for peer in CONTESTANTS if peer not in HEAVY])
def test_a_peer_computes_every_net(peer) -> None:
    contestant = CONTESTANTS[peer]
    missing = {
        "OpenVINO": "openvino",
        "OpenVINO bf16": "openvino",
        "ONNX Runtime": "onnxruntime",
        "JAX": "jax",
    }
    missing |= {"PyTorch": "torch", "scikit-learn": "sklearn"}
    if peer in missing:
        pytest.importorskip(missing[peer])
    computed, names = 0, ("all of them",) if peer in COMPILED else tuple(TINY)
    for name in names:
        net = TINY[name]()
        x = net.inputs(ROWS, 0)
        right = numpy_net.expected(net, x)
        try:
            computed += _computes(contestant, net, x, right)
        except DoesNotApply:
            assert peer == "scikit-learn" or "bf16" in peer
        except WrongAnswer:  # which a race says, and goes on without it
            assert peer == "OpenVINO bf16"
    if "bf16" not in peer:  # those need a wide product and a CPU for it
        assert computed == (2 if peer == "scikit-learn" else len(names))


def _computes(contestant: Any, net: Net, x: np.ndarray, right: np.ndarray) -> bool:
    tried = contestant.settings(2, ROWS)
    for setting, chunk in [(tried[0], ROWS), (tried[-1], 64), (tried[0], 1)]:
        rows = 1 if chunk == 1 else ROWS
        out = np.full((rows, net.outputs), np.nan, np.float32)
        team = Team(contestant.build(net, setting), setting, x[:rows], out, chunk)
        team.run()
        team.finish()
        assert largest_error(out, right[:rows], contestant.tolerance) <= contestant.tolerance
    return True


@pytest.mark.parametrize("way", ["instjit", "instjit, new array", "NumPy", "read loop"])
def test_single_rows(way) -> None:
    net = nets.chain(5, 8, 3)
    x, out = net.inputs(9, 0), np.full((9, 3), np.nan, np.float32)
    contestant = SINGLE[way]
    (setting, *_) = contestant.settings(1, 1)
    contestant.build(net, setting).bind(x, out, 1).run()
    if contestant.answers:
        assert largest_error(out, numpy_net.expected(net, x)) < 1e-6
    else:
        assert np.isnan(out).all()


def test_a_wrong_answer_is_told() -> None:
    right = np.zeros((3, 2))
    assert largest_error(np.full((3, 2), 5e-6, np.float32), right) == pytest.approx(5e-6)
    for wrong in (2e-5, np.nan):
        out = np.zeros((3, 2), np.float32)
        out[2, 1] = wrong
        with pytest.raises(WrongAnswer, match="allowed 1e-05"):
            largest_error(out, right)


def test_the_search_finds_the_fastest_pair() -> None:
    tried = []

    def seconds(setting: str, chunk: int) -> float:
        tried.append((setting, chunk))
        return {"one": 3.0, "all": 1.0}[setting] + abs(np.log2(chunk / 512))

    assert best(["one", "all"], chunk_sizes(200_000), seconds) == ("all", 512)
    assert ("all", 200_000) not in tried  # ever slower from 1,024 on
    assert len(tried) == len(set(tried))


def test_the_whole_batch_may_be_the_best() -> None:
    assert chunk_sizes(200) == [64, 200]
    assert chunk_sizes(5000, work=200.0) == [1024, 4096, 5000]  # no calls of next to nothing
    assert best([0], chunk_sizes(200), lambda setting, chunk: 1 / chunk) == (0, 200)


def test_parts_of_a_batch_run_in_threads() -> None:
    seen = []

    class Slow:
        def bind(self, x: np.ndarray, out: np.ndarray, chunk: int) -> Any:
            from bench.peers import Bound

            def run() -> None:
                time.sleep(0.05)
                out[:] = x
                seen.append(len(x))

            return Bound(run)

    x, out = np.ones((5, 1), np.float32), np.zeros((5, 1), np.float32)
    began = time.perf_counter()
    Team(Slow(), Setting(1, workers=5), x, out, 1).run()  # type: ignore[arg-type]
    assert time.perf_counter() - began < 0.15
    assert seen == [1] * 5
    assert (out == x).all()


def fake(rows: int = 1000) -> tuple[Race, list[Entry]]:
    race = Race(nets.chain(4, 2), rows, rows)
    entries = [
        Entry("instjit", "1", rows, 0.5, [2e-3, 2e-3], 1e-7, setting="2 threads", memory=2000),
        Entry("quick", "2", 64, 0.5, [1e-3, 1e-3] if rows == 1 else [5e-3, 3e-3]),
        Entry("slow", "3", 64, 0.5, [8e-3, 9e-3]),
        Entry("gone", absent="not installed"),
    ]
    return race, entries


def test_the_table_has_settings_shares_and_ratios() -> None:
    race, entries = fake()
    lines = table(race, entries, PEAKS).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    found = {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}
    assert found["instjit 1"]["of fma"] == "0.4%"  # 16,000 FLOP in 2 ms of 2 GFLOP/s
    assert found["instjit 1"]["memory"] == "2 kB"
    assert found["instjit 1"]["setting"] == "2 threads"
    assert found["quick 2"]["x instjit"] == "2.00"
    assert found["quick 2"]["memory"] == "-"
    assert "gone: not installed" in lines
    assert lines[-1].startswith("instjit against the best peer, quick: 2.00x by the median")


def test_rows_beyond_memory_are_counted_and_said() -> None:
    race = Race.of(nets.elementwise(1000), 10_000_000)
    assert race.held == 33_536  # of 256 MiB
    assert race.name.endswith("10,000,000 rows")
    assert "33,536 rows are timed" in table(race, fake()[1], PEAKS)
    assert Race.of(nets.chain(4, 2), 200_000).held == 200_000


def test_the_summary_marks_what_is_below_one() -> None:
    text = summary([fake(1), fake(1000)])
    assert "**< 1: 0.50x quick**" in text
    assert "2.00x quick" in text
    assert "1 of 2 below 1.0" in text
    assert "all 1 at 1.0 or above" in summary([fake(1000)])


def test_single_rows_are_compared_with_reading() -> None:
    def rows(net: Net, seconds: float) -> tuple[Race, list[Entry]]:
        entries = [Entry("instjit", seconds=[seconds]), Entry("read loop", seconds=[2.0])]
        return Race(net, 10, 10, single=True), entries

    text = single_rows([rows(nets.chain(9, 5), 6.0), rows(nets.chain(2, 1), 1.0)])
    assert text == (
        "9-5 takes 500 ms a row more than 2-1; reading its constants takes 200 ms: 2.50x\n"
    )


def test_the_json_of_a_race() -> None:
    found = json.loads(json.dumps(record(*fake())))
    assert (found["best_peer"], found["ratio"], found["rows"]) == ("quick", 2.0, 1000)
    assert found["entries"][0]["median"] == 2e-3
    assert found["entries"][3]["absent"] == "not installed"


def test_the_chart_is_svg_with_a_bar_a_batch() -> None:
    text = svg([fake(1), fake(1000)], "A CPU <1>", 2)
    root = ElementTree.fromstring(text)
    titles = [e.text for e in root.iter() if e.tag.endswith("title")]
    assert titles == [
        "0.50x quick", "quick 0.50x", "slow 4.25x", "2.00x quick", "quick 2.00x", "slow 4.25x",
    ]  # fmt: skip
    widths = [float(e.get("width", "0")) for e in root.iter() if e.get("height") == "12"]
    assert widths[0] == pytest.approx(widths[1], abs=0.2)  # half and twice, on a logarithmic axis


def test_the_peaks_are_measured() -> None:
    peaks = measured(1, steps=1_000_000, copied=2**22)
    assert 1e8 < peaks.fma < 1e13
    assert 1e7 < peaks.copy < 1e13


def test_scaling_is_measured_in_turn_and_said_in_one_line() -> None:
    found = scaling(2, rows=300, rounds=1, steps=100_000, net=nets.chain(5, 8, 3))
    assert found.threads == 2
    assert found.peak > 0
    assert found.instjit > 0
    said = str(Scaling(2, 200_000, 2.0, 1.9))
    assert said.endswith("multiply-adds 2.000x, 250-300-200 at 200,000 rows 1.900x, 95.0% of that")


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ([], 200_000),
        (["--quick"], 10_000),
        (["--only", "scaling", "--job", "4-8"], 200_000),
        (["--job", "4-8-6-1"], None),
        (["--only", "batch"], None),
        (["--threads", "1"], None),
    ],
)
def test_scaling_is_measured_when_asked_for(words, rows, monkeypatch) -> None:
    monkeypatch.setattr(command, "scaling", lambda threads, rows: (threads, rows))
    given = ["--threads", "2", *words]
    found = command.thread_scaling(command.arguments(given))
    assert found == (None if rows is None else (2, rows))
    races = list(command.several_races(command.arguments(given)))
    assert bool(races) == ("scaling" not in words)


def test_the_document_holds_the_scaling() -> None:
    options = command.arguments([])
    found = command.document(options, PEAKS, Scaling(2, 100, 2.0, 1.0), [])["scaling"]
    assert found == {"threads": 2, "rows": 100, "peak": 2.0, "instjit": 1.0, "share": 0.5}
    assert command.document(options, PEAKS, None, [])["scaling"] is None


def test_a_race_from_the_command_line(tmp_path) -> None:
    """Two processes that are stopped in turn; JSON and chart beside the tables."""
    words = ["--job", "4-8-6-1", "--batch", "64", "--peer", "NumPy", "--rounds", "2"]
    files = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.svg")]
    end = subprocess.run(
        [sys.executable, "-m", "bench", *words, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert end.returncode == 0, end.stderr
    assert "**4-8-6-1, 64 rows**" in end.stdout
    assert "x NumPy |" in end.stdout
    found = json.loads((tmp_path / "a.json").read_text())
    entries = found["jobs"][0]["entries"]
    ran = [(entry["peer"], len(entry["seconds"])) for entry in entries if not entry["absent"]]
    assert ran == [("instjit", 2), ("NumPy", 2)]
    assert (tmp_path / "a.svg").read_text().startswith("<svg ")


def test_quick_leaves_out_who_starts_slowly() -> None:
    options = command.arguments(["--quick"])
    several = list(command.several_races(options))
    assert [race.rows for race in several[0]] == list(nets.BATCHES)
    peers = command.peers_of(several[0], options)
    assert peers[0] == "instjit"
    assert "torch.compile" not in peers
    assert several[-1][0].single
    assert command.peers_of(several[-1], options)[-1] == "read loop"
