"""A process of its own for one peer and one net: it sleeps on its pipe until asked for a round."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench import memory
from bench.calibrate import best, chunk_sizes
from bench.contestants import CONTESTANTS, SINGLE, TOLERANCE
from bench.jobs import Float32, Float64
from bench.nets import Net
from bench.peers import DoesNotApply, Peer, Setting

BLOCK = 2**20  # elements compared at a time
ROUND_SECONDS = 0.01  # a round repeats the pass for so long
WARM_SECONDS = 0.1  # a pass that takes longer is not repeated to warm up
TRIAL_FLOPS, TRIAL_BYTES = 1e9, 2**24  # rows of a trial: so much work, or input and output
TRIAL_CALLS = 256  # at most
TRIALS = 2  # of a chunk size, after one that warms up
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Batch:
    """One race: ``rows`` at once or, with ``single``, one by one; files x0, x1, y0 and y1."""

    rows: int
    folder: Path
    single: bool = False


@dataclass(frozen=True)
class Ready:
    """A peer at its best setting: seconds of import, build and first call; bytes beyond x and y."""

    version: str
    seconds: float
    chunk: int
    setting: str = ""
    memory: int | None = None
    checked: bool = True


@dataclass(frozen=True)
class Round:
    """Seconds of one timed pass over all rows, and the largest error against float64."""

    seconds: float
    error: float


@dataclass(frozen=True)
class Absent:
    """A peer that is not installed, does not apply or failed: why."""

    reason: str


Reply = Ready | Round | Absent


class WrongAnswer(Exception):
    """A peer's output is NaN somewhere, or off by more than the tolerance."""


class Team:
    """A peer bound to rows: one call after the other, or parts of the rows in several threads."""

    def __init__(self, peer: Peer, setting: Setting, x: Float32, out: Float32, chunk: int) -> None:
        height = -(-len(x) // setting.workers)
        self._parts = [
            peer.bind(x[start : start + height], out[start : start + height], chunk)
            for start in range(0, len(x), height)
        ]
        self._pool = ThreadPoolExecutor(len(self._parts)) if len(self._parts) > 1 else None
        self.run: Callable[[], object] = self._together if self._pool else self._parts[0].run

    def _together(self) -> None:
        assert self._pool is not None
        for future in [self._pool.submit(part.run) for part in self._parts]:
            future.result()

    def finish(self) -> None:
        for part in self._parts:
            part.finish()


class Worker:
    """One peer on one batch: two inputs in turn, one output, the float64 answers to both."""

    def __init__(self, name: str, net: Net, threads: int, batch: Batch) -> None:
        self._contestant = (SINGLE if batch.single else CONTESTANTS)[name]
        self._net, self._batch = net, batch
        files = [f"{batch.folder}/{{}}{turn}.npy" for turn in (0, 1)]
        self._inputs: list[Float32] = [np.load(file.format("x")) for file in files]
        self._answers: list[Float64] = [np.load(file.format("y"), mmap_mode="r") for file in files]
        self._out = np.full((batch.rows, net.outputs), np.nan, np.float32)
        self._turn, self._built = 0, None
        began = time.perf_counter()
        settings = self._contestant.settings(threads, 1 if batch.single else batch.rows)
        self._peer, self._setting = self._build(settings[0]), settings[0]
        Team(self._peer, Setting(1), self._inputs[0][:1], self._out[:1], 1).run()
        seconds = time.perf_counter() - began
        setting, chunk = self._choose(settings)
        self._bind_afresh(setting, chunk)
        version, checked = self._peer.version, self._contestant.answers
        self.ready = Ready(version, seconds, chunk, str(setting), self._memory, checked)

    def round(self) -> Round:
        """Time passes over one input, after an untimed pass over the other unless it is long."""
        errors = []
        if self._seconds < WARM_SECONDS:
            errors.append(self._pass(1).error)
        timed = self._pass(self._repeats)
        return Round(timed.seconds, max([timed.error, *errors]))

    def _build(self, setting: Setting) -> Peer:
        return self._contestant.build(self._net, setting)

    def _choose(self, settings: list[Setting]) -> tuple[Setting, int]:
        whole = 1 if self._batch.single else self._batch.rows
        chunked = self._contestant.chunked and not self._batch.single
        chunks = chunk_sizes(whole, self._net.work) if chunked else [whole]
        if len(settings) == 1 and len(chunks) == 1:
            return settings[0], whole
        return best(settings, chunks, self._trial)

    def _trial(self, setting: Setting, chunk: int) -> float:
        """Seconds a row over enough rows for every worker, and for the caches to tell."""
        if setting != self._setting:
            self._peer, self._setting = self._build(setting), setting
        rows = self._batch.rows
        enough = min(TRIAL_FLOPS / max(1, self._net.flops), TRIAL_BYTES / self._net.bytes)
        whole = chunk * max(setting.workers, min(TRIAL_CALLS, int(enough) // chunk))
        count = rows if self._batch.single else min(rows, whole)
        team = Team(self._peer, setting, self._inputs[0][:count], self._out[:count], chunk)
        seconds = time_of(team.run, 1)
        repeats = repetitions(seconds, ROUND_SECONDS / 4)
        return min(time_of(team.run, repeats) for _ in range(TRIALS)) / count

    def _bind_afresh(self, setting: Setting, chunk: int) -> None:
        """Build the chosen peer again, without what the search left, and measure its memory."""
        del self._peer
        memory.reset_peak()
        self._peer, self._setting = self._build(setting), setting
        Team(self._peer, Setting(1), self._inputs[0][:1], self._out[:1], 1).run()
        before = memory.resident()
        self._teams = [Team(self._peer, setting, self._inputs[0], self._out, chunk)]
        memory.reset_peak()  # what compiling took is not counted, what it left is
        self._teams[0].run()
        after = memory.peak()
        self._memory = None if before is None or after is None else max(0, after - before)
        self._teams.append(Team(self._peer, setting, self._inputs[1], self._out, chunk))
        self._pass(1)
        self._seconds = self._pass(1).seconds
        self._repeats = repetitions(self._seconds, ROUND_SECONDS)

    def _pass(self, repeats: int) -> Round:
        self._turn = 1 - self._turn
        team = self._teams[self._turn]
        self._out.fill(np.nan)
        seconds = time_of(team.run, repeats)
        team.finish()
        if not self._contestant.answers:
            return Round(seconds, 0.0)
        answers = self._answers[self._turn]
        return Round(seconds, largest_error(self._out, answers, self._contestant.tolerance))


def time_of(run: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, the mean of so many."""
    calls = range(repeats)
    began = time.perf_counter()
    for _ in calls:
        run()
    return (time.perf_counter() - began) / repeats


def repetitions(seconds: float, wanted: float) -> int:
    """Calls that take at least the wanted time."""
    return max(1, int(np.ceil(wanted / max(seconds, 1e-7))))


def largest_error(out: Float32, answer: Float64, allowed: float = TOLERANCE) -> float:
    """Largest absolute difference; WrongAnswer above the tolerance or where a NaN is left."""
    height = max(1, BLOCK // out.shape[1])
    worst = 0.0
    for start in range(0, len(out), height):
        part = slice(start, start + height)
        error = float(np.abs(out[part] - answer[part]).max())
        if not error <= allowed:
            raise WrongAnswer(f"largest error {error:.3g}, allowed {allowed:g}")
        worst = max(worst, error)
    return worst


def serve(pipe: Connection, name: str, net: Net, threads: int) -> None:
    """Answer a Batch with Ready and "round" with Round or, in their place, Absent; end at "stop".

    After an Absent the next Batch is tried all the same, unless the peer cannot be had at all.
    """
    end_with_the_parent()
    mute_libraries()
    worker: Worker | None = None
    while (order := pipe.recv()) != "stop":
        try:
            if isinstance(order, Batch):
                worker = None
                worker = Worker(name, net, threads, order)
                pipe.send(worker.ready)
            elif worker is not None:
                pipe.send(worker.round())
        except ImportError as error:
            pipe.send(Absent(f"not installed: {error}"))
        except DoesNotApply as error:
            pipe.send(Absent(f"does not apply: {error}"))
        except Exception as error:
            if not isinstance(error, WrongAnswer):
                traceback.print_exc()
            pipe.send(Absent(f"failed: {type(error).__name__}: {error}"))


def mute_libraries() -> None:
    """Drop what native code writes to stderr; Python's own messages still arrive."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def end_with_the_parent() -> None:
    """Ask Linux to kill this process when the parent ends: a stopped one would stay for ever."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
