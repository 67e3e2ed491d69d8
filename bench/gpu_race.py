"""All peers over one job on one device, one round at a time in turn, in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.gpu_check import same_bits
from bench.gpu_peers import PEERS, GpuPeer, Run
from bench.jobs import Float32, Float64, Job, document, expected
from bench.race import Entry
from bench.worker import TOLERANCE, WrongAnswer

CHUNKS = (16_384, 131_072, 1_048_576)  # and the whole batch
CALIBRATION_RUNS = 2  # per chunk size, after one that warms up
LEAST_SECONDS, MOST_CALLS = 0.02, 50  # of a round: what is shorter is called several times
SAMPLE = 20_000  # rows that are compared with float64; the rest must be numbers


class Arena:
    """A job's rows and outputs in one place, and what is right for a sample of the rows."""

    def __init__(self, job: Job, place: str) -> None:
        from numba import cuda

        self.job, self.place = job, place
        rows = job.inputs(0)
        self.sample = np.arange(0, job.rows, max(1, job.rows // SAMPLE))
        self.sample[-1] = job.rows - 1
        self.sampled: Float32 = rows[self.sample]
        self.answers: Float64 = expected(job.layers, self.sampled)
        self._nothing = np.full((job.rows, job.widths[-1]), np.nan, np.float32)
        self.x: Any = rows if place == "host" else cuda.to_device(rows)
        self.out: Any = self._nothing.copy()
        if place == "device":
            self.out = cuda.to_device(self._nothing)

    def clear(self) -> None:
        """Leave no output of another peer."""
        if self.place == "host":
            np.copyto(self.out, self._nothing)
        else:
            self.out.copy_to_device(self._nothing)

    def error(self, exact: bool) -> float:
        """Largest error of the sampled outputs.

        Raises
        ------
        WrongAnswer
            It is over the tolerance, an output is NaN, or bits differ from the CPU's where those
            are asked for.
        """
        out = self.out if self.place == "host" else self.out.copy_to_host()
        worst = float(np.abs(out[self.sample] - self.answers).max())
        if np.isnan(out).any() or worst > TOLERANCE:
            raise WrongAnswer(f"largest error {worst:.3g}, allowed {TOLERANCE:g}")
        if exact and not same_bits(out[self.sample], self._on_the_cpu()):
            raise WrongAnswer("bits differ from those of the CPU's kernel")
        return worst

    def _on_the_cpu(self) -> Float32:
        import instjit

        return instjit.compile(document(self.job.layers)).predict(self.sampled)


class Contestant:
    """One peer on one job; what fails is noted and not called again."""

    def __init__(self, name: str, arena: Arena) -> None:
        self.arena, self.entry = arena, Entry(name)
        self._run: Run
        self._calls = 1
        self._guarded(self._prepare)

    def round(self) -> None:
        """Time one round."""
        self._guarded(lambda: self.entry.seconds.append(seconds(self._run, self._calls)))

    def check(self) -> None:
        """Run once more, over cleared outputs, and compare them."""
        self._guarded(self._check)

    def _prepare(self) -> None:
        began = time.perf_counter()
        peer = PEERS[self.entry.peer](self.arena.job.layers)
        self.entry.version = peer.version
        self.entry.chunk, once = self._best_chunk(peer, began)
        self._run = self._bound(peer, self.entry.chunk)
        self._calls = min(MOST_CALLS, max(1, math.ceil(LEAST_SECONDS / once)))
        self._run()

    def _best_chunk(self, peer: GpuPeer, began: float) -> tuple[int, float]:
        """The fastest number of rows a call, and the seconds of the whole batch with it."""
        rows = self.arena.job.rows
        found: dict[int, float] = {}
        smaller = CHUNKS if peer.chunked else ()
        for chunk in [*(size for size in smaller if size < rows), rows]:
            try:
                run = self._bound(peer, chunk)
                seconds(run)
                self.entry.ready = self.entry.ready or time.perf_counter() - began
                found[chunk] = min(seconds(run) for _ in range(CALIBRATION_RUNS))
            except Exception as error:
                if not found or "memory" not in f"{type(error).__name__} {error}".lower():
                    raise
        best = min(found, key=found.__getitem__)
        return best, found[best]

    def _bound(self, peer: GpuPeer, chunk: int) -> Run:
        return peer.bind(self.arena.x, self.arena.out, chunk, self.arena.place)

    def _check(self) -> None:
        self.arena.clear()
        seconds(self._run)
        self.entry.error = self.arena.error(exact=self.entry.peer == "instjit")

    def _guarded(self, work: Any) -> None:
        if self.entry.absent:
            return
        try:
            work()
        except ImportError as error:
            self.entry.absent = f"not installed: {error}"
        except Exception as error:
            self.entry.absent = f"failed: {type(error).__name__}: {error}"
            self.entry.seconds.clear()


def seconds(run: Run, calls: int = 1) -> float:
    """Seconds of a call, the mean of several that follow each other."""
    from numba import cuda

    cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        run()
    cuda.synchronize()
    return (time.perf_counter() - began) / calls


def race(job: Job, place: str, peers: Sequence[str], rounds: int) -> list[Entry]:
    """Run ``rounds`` rounds of every peer; entries in the order of ``peers``."""
    arena = Arena(job, place)
    contestants = [Contestant(peer, arena) for peer in peers]
    for number in range(rounds):
        # every second round backwards, so that no peer always follows the same one
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            contestant.round()
    for contestant in contestants:
        contestant.check()
    return [contestant.entry for contestant in contestants]
