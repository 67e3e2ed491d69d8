"""``python -m bench.gpu`` and ``python -m bench.ptx``: that they run, without a device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A bench as a process of its own."""
    held = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**held, **environment},
    )


def test_the_simulated_bench_compares_bits_and_times_every_place() -> None:
    end = bench("bench.gpu", "--simulate", "--rounds", "1", "--models", "4")
    assert end.returncode == 0, end.stdout + end.stderr
    assert "6 models, 32 calls, " in end.stdout
    assert ": all have the bits of the CPU's" in end.stdout
    assert "measured: fma " in end.stdout
    for place in ("on the device", "from the host"):
        table = end.stdout.split(f"**3-5-2, 20 rows, {place}**", 1)[1]
        assert "| instjit " in table.split("no ratio", 1)[0]


def test_a_bit_that_differs_is_told_and_ends_in_1() -> None:
    code = (
        "import sys, numpy as np, bench.gpu as gpu, bench.gpu_check as check\n"
        "found = check.Found(1)\n"
        "wanted = np.array([[1.0, np.nan]], np.float32)\n"
        "found.add('a', lambda: wanted.copy(), wanted)\n"
        "found.add('b', lambda: np.nextafter(wanted, np.float32(9)), wanted)\n"
        "found.add('c', lambda: 1 / 0, wanted)\n"
        "found.add('d', lambda: wanted[:, :1], wanted)\n"
        "check.compared = lambda *options: found\n"
        "sys.exit(gpu.main(['--simulate', '--only', 'check']))"
    )
    end = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 1, end.stderr
    said = [line for line in end.stdout.splitlines() if line.startswith("WRONG")]
    assert said == [
        "WRONG b: 1 of 2 differ, at (0, 0) np.float32(1.0000001) and not np.float32(1.0)",
        "WRONG c: ZeroDivisionError: division by zero",
        "WRONG d: shape (1, 1), not (1, 2)",
    ]
    assert "1 models, 4 calls, " in end.stdout


def test_without_a_device_one_sentence_says_so() -> None:
    from numba import cuda

    if cuda.is_available():
        pytest.skip("there is a GPU")
    end = bench("bench.gpu")
    assert (end.returncode, end.stdout) == (4, "")
    assert end.stderr.startswith("no CUDA device to run on: ")
    assert end.stderr.count("\n") == 1


def test_without_a_compiler_the_table_of_registers_says_so() -> None:
    end = bench("bench.ptx", "--quick", NUMBA_ENABLE_CUDASIM="1")
    assert (end.returncode, end.stdout) == (4, "")
    assert "compiles nothing" in end.stderr


@pytest.mark.ptx
def test_the_table_of_registers_has_a_row_a_kernel() -> None:
    end = bench("bench.ptx", "--quick")
    if end.returncode == 4:
        pytest.skip(end.stderr)
    assert end.returncode == 0, end.stderr
    assert "| 4-16-2 | thread | -    |              0 |               0 | " in end.stdout


@pytest.mark.parametrize("name", ["PyTorch", "ONNX Runtime"])
@pytest.mark.parametrize("chunk", [1, 7, 30])
@pytest.mark.parametrize("place", ["device", "host"])
def test_a_peer_computes_the_net(monkeypatch, name, chunk, place) -> None:
    """On the CPU, where these peers run too."""
    monkeypatch.syspath_prepend(str(ROOT))
    pytest.importorskip({"PyTorch": "torch", "ONNX Runtime": "onnxruntime"}[name])
    pytest.importorskip("onnx")
    from bench.gpu_peers import PEERS
    from bench.jobs import Job, expected

    job = Job((5, 8, 6, 3), 30)
    x, out = job.inputs(1), np.full((30, 3), np.nan, np.float32)
    PEERS[name](job.layers, device="cpu").bind(x, out, chunk, place)()
    assert np.abs(out - expected(job.layers, x)).max() < 1e-6


def test_the_shares_of_the_peaks(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.gpu_peaks import Peaks
    from bench.gpu_table import table
    from bench.jobs import Job
    from bench.race import Entry

    job = Job((4, 2), 1000)  # 16,000 FLOP, 16 kB in, 8 kB out
    entries = [
        Entry("instjit", "1", 1000, 0.5, [2e-3]),
        Entry("slow", "2", 100, 0.5, [4e-3]),
        Entry("none", absent="not installed"),
    ]
    peaks = Peaks(fma=16e6, copy=24e6, to_device=16e6, to_host=4e6)
    there = table(job, "device", entries, peaks)
    assert "50% | 0.012" in there.replace("  ", " ")
    assert "|     50% |      1.00 |" in there
    assert "|     25% |      2.00 |" in there
    assert "none: not installed" in there
    assert "|    100% |      1.00 |" in table(job, "host", entries, peaks)
