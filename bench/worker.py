"""A process of its own for one peer: it sleeps on its pipe until the parent asks for a round."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench.jobs import Float32, Float64, Job
from bench.peers import PEERS, Peer, Run

TOLERANCE = 1e-5  # absolute, on sigmoid outputs; float32 sums of 300 products stay below 1e-6
BLOCK = 8192  # rows compared at a time
FIRST_ROWS = 64  # rows of the first call, which may compile
CALIBRATION_RUNS = 2  # per chunk size, after one that warms up
CHUNKS = (128, 256, 512, 1024, 2048, 4096, 8192, 32_768, 131_072)  # and the whole batch


@dataclass(frozen=True)
class Ready:
    """A peer after import, build and first call, at its best chunk size."""

    version: str
    seconds: float
    chunk: int


@dataclass(frozen=True)
class Round:
    """One timed pass over all rows, and its largest error against float64."""

    seconds: float
    error: float


@dataclass(frozen=True)
class Absent:
    """A peer that is not installed, or failed: why."""

    reason: str


Reply = Ready | Round | Absent


class WrongAnswer(Exception):
    """A peer's output is NaN somewhere, or off by more than the tolerance."""


class Worker:
    """One peer on one job: two inputs in turn, one output, the float64 answers to both."""

    def __init__(self, name: str, job: Job, folder: Path, threads: int) -> None:
        began = time.perf_counter()
        self._peer: Peer = PEERS[name](job.layers, threads)
        first = np.ones((FIRST_ROWS, job.widths[0]), np.float32)
        out = np.empty((FIRST_ROWS, job.widths[-1]), np.float32)
        self._peer.bind(first, out, 1 if job.one_by_one else FIRST_ROWS)()
        seconds = time.perf_counter() - began

        self._inputs: list[Float32] = [np.load(folder / f"x{turn}.npy") for turn in (0, 1)]
        self._answers: list[Float64] = [
            np.load(folder / f"y{turn}.npy", mmap_mode="r") for turn in (0, 1)
        ]
        self._out = np.empty((job.rows, job.widths[-1]), np.float32)
        self._turn = 0
        chunk = 1 if job.one_by_one else self._best_chunk(job.rows)
        self._runs = self._bind(chunk)
        self.ready = Ready(self._peer.version, seconds, chunk)

    def round(self) -> Round:
        """Time one pass over one input, right after an untimed pass over the other."""
        warm, timed = self._pass(), self._pass()
        return Round(timed.seconds, max(warm.error, timed.error))

    def _pass(self) -> Round:
        self._turn = 1 - self._turn
        self._out.fill(np.nan)
        began = time.perf_counter()
        self._runs[self._turn]()
        seconds = time.perf_counter() - began
        return Round(seconds, largest_error(self._out, self._answers[self._turn]))

    def _bind(self, chunk: int) -> list[Run]:
        return [self._peer.bind(x, self._out, chunk) for x in self._inputs]

    def _best_chunk(self, rows: int) -> int:
        if not self._peer.chunked:
            return rows
        seconds = {}
        for chunk in [*(size for size in CHUNKS if size < rows), rows]:
            run = self._bind(chunk)[0]
            run()
            times = []
            for _ in range(CALIBRATION_RUNS):
                began = time.perf_counter()
                run()
                times.append(time.perf_counter() - began)
            seconds[chunk] = min(times)
        return min(seconds, key=seconds.__getitem__)


def largest_error(out: Float32, answer: Float64) -> float:
    """Largest absolute difference; WrongAnswer above the tolerance or where a NaN is left."""
    worst = max(
        float(np.abs(out[start : start + BLOCK] - answer[start : start + BLOCK]).max())
        for start in range(0, len(out), BLOCK)
    )
    if np.isnan(out).any() or worst > TOLERANCE:
        raise WrongAnswer(f"largest error {worst:.3g}, allowed {TOLERANCE:g}")
    return worst


def serve(pipe: Connection, name: str, job: Job, folder: Path, threads: int) -> None:
    """Answer "prepare" with Ready and "round" with Round, until "stop" or a failure."""
    worker: Worker | None = None
    while pipe.recv() != "stop":
        try:
            if worker is None:
                worker = Worker(name, job, folder, threads)
                pipe.send(worker.ready)
            else:
                pipe.send(worker.round())
        except ImportError as error:
            pipe.send(Absent(f"not installed: {error}"))
            return
        except Exception as error:
            traceback.print_exc()
            pipe.send(Absent(f"failed: {type(error).__name__}: {error}"))
            return
