"""``python -m bench.startup``: every program runs, and takes its turn."""

from __future__ import annotations

import json

import pytest

import instjit
from bench import startup

PEERS = [name for name in startup.PROGRAMS if "onnx" in name]


@pytest.fixture
def programs(monkeypatch) -> dict[str, str]:
    """Those of instjit alone; the peer is an extra."""
    ours = {name: text for name, text in startup.PROGRAMS.items() if name not in PEERS}
    monkeypatch.setattr(startup, "PROGRAMS", ours)
    monkeypatch.setattr(startup, "onnx_bytes", lambda net: b"")
    return ours


def test_every_program_of_ours_runs(programs, capsys) -> None:
    assert startup.main(["--runs", "1", "--json"]) == 0
    seconds = json.loads(capsys.readouterr().out)
    assert list(seconds) == list(programs)
    assert all(len(found) == 1 for found in seconds.values())


def test_the_table_has_a_line_for_each(monkeypatch, capsys) -> None:
    monkeypatch.setattr(startup, "prepare", lambda folder: None)
    monkeypatch.setattr(startup, "measure", lambda folder, runs: {"a": [0.5, 0.1, 0.2]})
    assert startup.main([]) == 0
    assert "| a       | 200 ms | 100 ms | 500 ms |" in capsys.readouterr().out


def test_a_program_that_fails_is_not_timed(tmp_path) -> None:
    with pytest.raises(Exception, match="exit status 1"):
        startup._seconds(tmp_path, "raise SystemExit(1)", "off")


def test_both_sides_run_the_same_net(tmp_path) -> None:
    pytest.importorskip("onnx")
    startup.prepare(tmp_path)
    assert instjit.load(tmp_path / "net.json").input_size == startup.NET.width
    assert (tmp_path / "net.onnx").stat().st_size > 1000
