"""All peers over one job: a process each, one round at a time in turn, while the others sleep."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from bench.jobs import Job, expected
from bench.worker import Absent, Ready, Reply, Round, serve

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SETTLE = (
    0.3  # seconds between turns: OpenBLAS threads spin for 0.11 s after a product, ORT for 0.05
)


@dataclass
class Entry:
    """What one peer reached on one job; ``absent`` says why it did not."""

    peer: str
    version: str = ""
    chunk: int = 0
    ready: float = 0.0
    seconds: list[float] = field(default_factory=list)
    error: float = 0.0
    absent: str = ""

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return median(self.seconds)

    @property
    def minimum(self) -> float:
        """Least seconds of a round."""
        return min(self.seconds)


class Contestant:
    """The parent's end of one worker."""

    def __init__(self, name: str, job: Job, folder: Path, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, name, job, folder, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self.entry = Entry(name)

    def turn(self, order: str) -> None:
        """Let the worker prepare or run one round, and note what it answers."""
        if self.entry.absent:
            return
        match self._ask(order):
            case Ready(version, seconds, chunk):
                self.entry.version, self.entry.ready, self.entry.chunk = version, seconds, chunk
            case Round(seconds, error):
                self.entry.seconds.append(seconds)
                self.entry.error = max(self.entry.error, error)
            case Absent(reason):
                self.entry.absent = reason
        time.sleep(SETTLE)

    def stop(self) -> None:
        """End the worker."""
        if not self.entry.absent:
            self._pipe.send("stop")
        self._process.join()

    def _ask(self, order: str) -> Reply:
        try:
            self._pipe.send(order)
            reply: Reply = self._pipe.recv()
        except (EOFError, BrokenPipeError):
            self._process.join()
            return Absent(f"its process ended with code {self._process.exitcode}")
        return reply


def race(job: Job, peers: Sequence[str], rounds: int, threads: int) -> list[Entry]:
    """Run ``rounds`` rounds of every peer; entries in the order of ``peers``."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)  # the workers inherit it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in (0, 1):
            x = job.inputs(turn)
            np.save(folder / f"x{turn}.npy", x)
            np.save(folder / f"y{turn}.npy", expected(job.layers, x))
        contestants = [Contestant(peer, job, folder, threads) for peer in peers]
        for contestant in contestants:
            contestant.turn("prepare")
        for number in range(rounds):
            # every second round backwards, so that no peer always follows the same one
            for contestant in contestants if number % 2 == 0 else reversed(contestants):
                contestant.turn("round")
        for contestant in contestants:
            contestant.stop()
    return [contestant.entry for contestant in contestants]
