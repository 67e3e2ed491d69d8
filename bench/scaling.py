"""How much faster several threads are than one: a loop of multiply-adds, and instjit, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bench.models import model
from bench.nets import NETS, Net
from bench.peaks import STEPS, multiply_adds_loop, vector_width

NET = "250-300-200"
ROWS = 200_000
ROUNDS = 7


@dataclass(frozen=True)
class Scaling:
    """Throughput of ``threads`` as a multiple of one thread's, the median over the rounds."""

    threads: int
    rows: int
    peak: float
    instjit: float

    @property
    def share(self) -> float:
        """Of what the loop scales to."""
        return self.instjit / self.peak

    def __str__(self) -> str:
        return (
            f"**{self.threads} threads against one**: multiply-adds {self.peak:.3f}x, "
            f"{NET} at {self.rows:,} rows {self.instjit:.3f}x, {self.share:.1%} of that"
        )


def scaling(
    threads: int,
    rows: int = ROWS,
    rounds: int = ROUNDS,
    steps: int = STEPS,
    net: Net | None = None,
) -> Scaling:
    """Measure both; each round has all four, so that a change of clock is in all of them."""
    import instjit

    used = net or NETS[NET]()
    kernel = instjit.compile(model(used))
    x, out = used.inputs(rows, 0), np.empty((rows, used.outputs), np.float32)
    loop = multiply_adds_loop(vector_width())
    kernel.predict(x, out=out)
    peaks, ratios = [], []
    with ThreadPoolExecutor(threads) as pool:

        def loops(count: int) -> None:
            for future in [pool.submit(loop, steps) for _ in range(count)]:
                future.result()

        loops(threads)
        for _ in range(rounds):
            peaks.append(threads * _seconds(lambda: loops(1)) / _seconds(lambda: loops(threads)))
            single = _seconds(lambda: kernel.predict(x, out=out, threads=1))
            ratios.append(single / _seconds(lambda: kernel.predict(x, out=out, threads=threads)))
    return Scaling(threads, rows, statistics.median(peaks), statistics.median(ratios))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
