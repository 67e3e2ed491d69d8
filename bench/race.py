"""All peers over one net: a process each, one round at a time in turn, while the others stand.

A process that is not at its turn is stopped by a signal, since the threads of some libraries spin
for a while after their work (OpenBLAS's for 0.11 s).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench.entry import Entry
from bench.nets import Net
from bench.numpy_net import expected
from bench.worker import Absent, Batch, Ready, Reply, Round, serve

__all__ = ["Entry", "Race", "races"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
HELD_BYTES = 2**28
HELD_FLOPS = 60e9
TURN_SECONDS = 300  # of preparing, or of a round: who takes longer is out of the race


@dataclass(frozen=True)
class Race:
    """``rows`` at once, of which ``held`` are in memory and timed; or ``rows`` calls of one row.

    What is more than ``held`` would take the same time a row: the seconds of entries are those of
    ``held`` rows times ``rows / held``.
    """

    net: Net
    rows: int
    held: int
    single: bool = False

    @classmethod
    def of(cls, net: Net, rows: int, share: float = 1.0) -> Race:
        """The race of a batch, within ``share`` of the bounds on memory and work."""
        bound = share * min(HELD_BYTES / net.bytes, HELD_FLOPS / max(1, net.flops))
        return cls(net, rows, min(rows, max(64, int(bound) // 64 * 64)))

    @property
    def name(self) -> str:
        """Net and rows, as in the table."""
        kind = "single rows" if self.single else f"row{'s' * (self.rows > 1)}"
        return f"{self.net.name}, {self.rows:,} {kind}"

    @property
    def flops(self) -> int:
        return self.rows * self.net.flops

    @property
    def bytes(self) -> int:
        """Of input and output."""
        return self.rows * self.net.bytes


class Contestant:
    """The parent's end of one worker."""

    def __init__(self, name: str, net: Net, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, name, net, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self.entry = Entry(name)
        self._gone = ""

    def enter(self, batch: Batch) -> None:
        """Let the worker prepare for a batch."""
        self.entry = Entry(self.name, absent=self._gone)
        self._turn(batch)

    def round(self, scale: float) -> None:
        """Let the worker run one round, and note its seconds times ``scale``."""
        self._turn("round", scale)

    def stop(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _turn(self, order: str | Batch, scale: float = 1.0) -> None:
        if self.entry.absent:
            return
        entry = self.entry
        match self._ask(order):
            case Ready(version, seconds, chunk, setting, memory, checked):
                entry.version, entry.ready, entry.chunk = version, seconds, chunk
                entry.setting, entry.memory, entry.checked = setting, memory, checked
            case Round(seconds, error):
                entry.seconds.append(seconds * scale)
                entry.error = max(entry.error, error)
            case Absent(reason):
                entry.absent = reason
                if reason.startswith("not installed"):
                    self._gone = reason

    def _ask(self, order: str | Batch) -> Reply:
        try:
            self._signal(signal.SIGCONT)
            self._pipe.send(order)
            if not self._pipe.poll(TURN_SECONDS):
                self.stop()
                self._gone = f"took more than {TURN_SECONDS} s"
                return Absent(self._gone)
            reply: Reply = self._pipe.recv()
            self._signal(signal.SIGSTOP)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            self._gone = f"its process ended with code {self._process.exitcode}"
            return Absent(self._gone)
        return reply

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)


def races(
    several: Sequence[Race], peers: Sequence[str], rounds: int, threads: int
) -> Iterator[tuple[Race, list[Entry]]]:
    """Run races of one net, one after the other; entries are in the order of ``peers``."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)  # the workers inherit it
    with _contestants(peers, several[0].net, threads) as contestants:
        for race in several:
            with tempfile.TemporaryDirectory() as folder:
                batch = Batch(race.held, Path(folder), race.single)
                _write(race, batch.folder)
                _run(contestants, batch, rounds, race)
            yield race, [contestant.entry for contestant in contestants]


@contextmanager
def _contestants(peers: Sequence[str], net: Net, threads: int) -> Iterator[list[Contestant]]:
    contestants: list[Contestant] = []
    try:
        contestants += (Contestant(peer, net, threads) for peer in peers)
        yield contestants
    finally:
        for contestant in contestants:
            contestant.stop()


def _run(contestants: list[Contestant], batch: Batch, rounds: int, race: Race) -> None:
    _tell(f"{race.name}: ")
    for contestant in contestants:
        contestant.enter(batch)
        _tell("-" if contestant.entry.absent else "+")
    for number in range(rounds):
        # every second round backwards, so that no peer always follows the same one
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            contestant.round(race.rows / race.held)
        _tell(".")
    _tell("\n")


def _tell(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _write(race: Race, folder: Path) -> None:
    for turn in (0, 1):
        x = race.net.inputs(race.held, turn)
        np.save(folder / f"x{turn}.npy", x)
        np.save(folder / f"y{turn}.npy", expected(race.net, x))
