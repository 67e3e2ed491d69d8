"""instjit and NumPy in this process: ``pytest bench --benchmark-only``.

For a change's before and after. Ratios against other runtimes come from ``python -m bench``, which
gives each a process of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.decode import MEGABYTE, PEERS, File
from bench.jobs import Job, document
from bench.nets import NETS
from bench.numpy_net import expected
from bench.peers import Instjit, Numpy, Setting
from bench.race import Race
from bench.worker import largest_error

SHARE = 0.02  # of the memory and the work of a batch in the race
THREADS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("peer", [Instjit, Numpy])
@pytest.mark.parametrize("rows", [64, 4096])
@pytest.mark.parametrize("name", NETS)
def test_inference(
    benchmark: BenchmarkFixture, name: str, rows: int, peer: type[Instjit] | type[Numpy]
) -> None:
    race = Race.of(NETS[name](), rows, SHARE)
    x = race.net.inputs(race.held, 0)
    out = np.full((race.held, race.net.outputs), np.nan, np.float32)
    chunk = min(2048, race.held) if peer.chunked else race.held
    bound = peer(race.net, Setting(THREADS)).bind(x, out, chunk)
    benchmark.extra_info["flops"] = race.held * race.net.flops
    benchmark(bound.run)
    assert largest_error(out, expected(race.net, x)) < 1e-5


def test_compilation(benchmark: BenchmarkFixture) -> None:
    """Up to the first rows; a width of its own each round, since equal structures compile once."""
    import instjit

    widths = iter(range(65, 100))
    rows = np.ones((64, 20), np.float32)

    def fresh() -> tuple[tuple[dict[str, object]], dict[str, object]]:
        return (document(Job((20, next(widths), 32, 1), 1).layers),), {}

    def compiled(net: dict[str, object]) -> np.ndarray:
        return instjit.compile(instjit.load(net)).predict(rows)

    result = benchmark.pedantic(  # type: ignore[no-untyped-call]
        compiled, setup=fresh, rounds=3, warmup_rounds=1
    )
    assert result.shape == (64, 1)


@pytest.mark.parametrize(
    ("format", "peer"), [(format, peer) for format, peers in PEERS.items() for peer in peers]
)
def test_decoding(benchmark: BenchmarkFixture, tmp_path: Path, format: str, peer: str) -> None:
    """A file of 4 MB from the page cache; ``python -m bench.decode`` has those of 100 MB."""
    path = tmp_path / format
    File(format, 4 * MEGABYTE).write(path)
    benchmark.extra_info["bytes"] = path.stat().st_size
    assert benchmark(PEERS[format][peer], path) is not None
