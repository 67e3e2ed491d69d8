"""All peers over one job in one place, one round at a time in turn, in this process.

Times are of the wall clock, with the whole device waited for before and after: peers launch from
Python and work on streams of their own, which events of one stream would leave out. A round calls a
peer often enough to last ``LEAST_SECONDS``, so that waiting is a small part of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.gpu_bounds import FLOAT32_OUTPUTS, tolerance
from bench.gpu_check import differing
from bench.gpu_loaded import loaded
from bench.gpu_part import DOING, Message, described, works
from bench.gpu_peer import HOST_PLACES, GpuPeer, NotApplicable, Run
from bench.gpu_peers import OURS, PEERS
from bench.jobs import Float32, Float64, Job, document, expected
from bench.race import Entry
from bench.worker import WrongAnswer

ENTRY, BROKEN = "entry", "broken"
LEAST_CHUNK = 4096  # rows of a call that a batch is shared out over
CALIBRATION_RUNS = 2  # per chunk size, after one that warms up
SLOW = 0.3  # seconds of a call that is not repeated in calibration
LEAST_SECONDS, MOST_CALLS = 0.02, 50  # of a round: what is shorter is called several times
SAMPLE = 20_000  # rows that are compared with float64; the rest must be numbers
WARM_SECONDS = 0.5  # of arithmetic before the rounds: clocks rise only under load


@dataclass
class GpuEntry(Entry):
    """What a peer reached in one place.

    Attributes
    ----------
    precision
        Its class.
    allowed
        The largest error that was allowed in any output of the sample.
    loaded
        For our kernel, what it takes of a multiprocessor.
    """

    precision: str = "float32"
    allowed: float = 0.0
    loaded: dict[str, Any] = field(default_factory=dict)


class Arena:
    """A job's rows and outputs in one place, and what is right for a sample of the rows."""

    def __init__(self, job: Job, place: str, rows: Float32) -> None:
        from numba import cuda

        self.job, self.place = job, place
        self.sample = np.arange(0, job.rows, max(1, job.rows // SAMPLE))
        self.sample[-1] = job.rows - 1
        self.sampled: Float32 = rows[self.sample]
        self.answers: Float64 = expected(job.layers, self.sampled)
        shape = (job.rows, job.widths[-1])
        self.x: Any = rows
        if place == "device":
            self.x, self.out = cuda.to_device(rows), cuda.device_array(shape, np.float32)
        elif place == "pinned":
            self.x = cuda.pinned_array(rows.shape, np.float32)
            self.x[:] = rows
            self.out = cuda.pinned_array(shape, np.float32)
        else:
            self.out = np.empty(shape, np.float32)
        self._on_the_cpu: Float32 | None = None

    def clear(self) -> None:
        """Leave no output of another peer."""
        if self.place in HOST_PLACES:
            self.out.fill(np.nan)
            return
        from bench.gpu_kernels import filled

        filled[self._grid()](self.out.reshape(self.out.size), np.float32(np.nan))

    def error(self, precision: str) -> tuple[float, float]:
        """Largest error of the sampled outputs, and the largest that is allowed.

        Raises
        ------
        WrongAnswer
            An error is over its tolerance, or an output is NaN.
        """
        allowed = np.full(self.answers.shape, FLOAT32_OUTPUTS)
        if precision not in ("float32", "bf16x3"):
            allowed = tolerance(self.job.layers, self.sampled, precision)
        errors = np.abs(self._outputs() - self.answers)
        worst, most = float(errors.max()), float(allowed.max())
        if not (errors <= allowed).all():
            over = int((~(errors <= allowed)).sum())
            raise WrongAnswer(f"{over} outputs off, largest error {worst:.3g}, allowed {most:.3g}")
        if self._any_nan():
            raise WrongAnswer("outputs are NaN")
        return worst, most

    def differing(self) -> str:
        """What differs from the bits of the CPU's kernel."""
        import instjit

        if self._on_the_cpu is None:
            self._on_the_cpu = instjit.compile(document(self.job.layers)).predict(self.sampled)
        return differing(self._outputs(), self._on_the_cpu)

    def _outputs(self) -> Float32:
        out = self.out
        if self.place == "device":
            out = out.copy_to_host()
        result: Float32 = np.ascontiguousarray(out[self.sample])
        return result

    def _any_nan(self) -> bool:
        if self.place in HOST_PLACES:
            return bool(np.isnan(self.out.min()))  # the least number is NaN where any is
        from numba import cuda

        from bench.gpu_kernels import count_nan

        found = cuda.to_device(np.zeros(1, np.int64))
        count_nan[self._grid()](self.out.reshape(self.out.size), found)
        return bool(found.copy_to_host()[0])

    def _grid(self) -> tuple[int, int]:
        from instjit.gpu import build

        return (1, 4) if build.simulated() else (1024, 256)


class Contestant:
    """One peer on one job; what fails is noted and not called again."""

    def __init__(self, name: str, arena: Arena) -> None:
        self.arena, self.entry = arena, GpuEntry(name, precision=PEERS[name].precision)
        self._run: Run
        self._calls = 1

    def prepare(self) -> None:
        """Build the net, and find the best number of rows a call."""
        self._guarded(self._prepare)

    def round(self) -> None:
        """Time one round, after a call that brings back what others took from the caches."""
        self._guarded(lambda: self._run())
        self._guarded(lambda: self.entry.seconds.append(seconds(self._run, self._calls)))

    def check(self) -> None:
        """Run once more, over cleared outputs, and compare them."""
        self._guarded(self._check)

    def _prepare(self) -> None:
        began = time.perf_counter()
        peer = PEERS[self.entry.peer].make(self.arena.job.layers, precision=self.entry.precision)
        if self.arena.place not in peer.places:
            raise NotApplicable(f"not for rows of the {self.arena.place}")
        self.entry.version = peer.version
        self.entry.chunk, once = self._best_chunk(peer, began)
        self._run = self._bound(peer, self.entry.chunk)
        self._calls = min(MOST_CALLS, max(1, math.ceil(LEAST_SECONDS / once)))
        self._run()
        self._check()  # before it is timed: what is wrong has no time
        kernel = getattr(peer, "kernel", None)
        self.entry.loaded = loaded(kernel) if kernel is not None else {}

    def _best_chunk(self, peer: GpuPeer, began: float) -> tuple[int, float]:
        """The fastest number of rows a call, and the seconds of the whole batch with it."""
        found: dict[int, float] = {}
        for chunk in chunks(self.arena.job.rows, peer.pieces):
            try:
                run = self._bound(peer, chunk)
                took = seconds(run)
                self.entry.ready = self.entry.ready or time.perf_counter() - began
                runs = 1 if took > SLOW else CALIBRATION_RUNS
                seconds(run)
                found[chunk] = min(seconds(run) for _ in range(runs))
            except Exception as error:
                if not found or "memory" not in described(error).lower():
                    raise
        best = min(found, key=found.__getitem__)
        return best, found[best]

    def _bound(self, peer: GpuPeer, chunk: int) -> Run:
        return peer.bind(self.arena.x, self.arena.out, chunk, self.arena.place)

    def _check(self) -> None:
        self.arena.clear()
        seconds(self._run)
        self.entry.error, self.entry.allowed = self.arena.error(self.entry.precision)
        if self.entry.peer == OURS["float32"] and (said := self.arena.differing()):
            raise WrongAnswer(f"bits are not those of the CPU's kernel: {said}")

    def _guarded(self, work: Callable[[], Any]) -> None:
        if self.entry.absent:
            return
        try:
            work()
        except ImportError as error:
            self.entry.absent = f"not installed: {error}"
        except NotApplicable as error:
            self.entry.absent = f"does not apply: {error}"
        except Exception as error:
            self.entry.absent = f"failed: {described(error)}"
        if self.entry.absent:
            self.entry.seconds.clear()


def chunks(rows: int, pieces: Sequence[int]) -> list[int]:
    """Rows a call for each number of equal calls, fewest first."""
    sizes = {-(-rows // count) for count in pieces}
    return sorted(size for size in sizes if size >= min(rows, LEAST_CHUNK))


def seconds(run: Run, calls: int = 1) -> float:
    """Seconds of a call, the mean of several that follow each other."""
    from numba import cuda

    cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        run()
    cuda.synchronize()
    return (time.perf_counter() - began) / calls


def warm(simulated: bool) -> None:
    """Keep the device busy until its clocks are up."""
    from numba import cuda

    from bench.gpu_kernels import chained

    if simulated:
        return
    out = cuda.device_array(1024 * 256, np.float32)
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_SECONDS:
        chained[1024, 256](out, 200, np.float32(0.5), np.float32(1.0))
        cuda.synchronize()


def race(
    job: Job, places: Sequence[str], peers: dict[str, str], rounds: int, simulated: bool
) -> Iterator[Message]:
    """The part: ``rounds`` rounds of every peer in every place, an entry for each.

    ``peers`` has their names, and why they are to be left out where they are.
    """
    rows = job.inputs(0)
    for place in places:
        yield DOING, {"name": "", "place": place}
        arena = Arena(job, place, rows)
        contestants = [Contestant(name, arena) for name in peers]
        yield from _raced(contestants, peers, rounds, simulated)


def _raced(
    contestants: list[Contestant], peers: dict[str, str], rounds: int, simulated: bool
) -> Iterator[Message]:
    place = contestants[0].arena.place if contestants else ""
    for contestant in contestants:
        contestant.entry.absent = peers[contestant.entry.peer]
        yield DOING, {"name": contestant.entry.peer, "place": place}
        contestant.prepare()
        if contestant.entry.absent and not works():
            yield BROKEN, {"name": contestant.entry.peer, "reason": contestant.entry.absent}
            return
    warm(simulated)
    for number in range(rounds):
        # every second round backwards, so that no peer always follows the same one
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            yield DOING, {"name": contestant.entry.peer, "place": place}
            contestant.round()
    for contestant in contestants:
        yield DOING, {"name": contestant.entry.peer, "place": place}
        contestant.check()
        yield ENTRY, {"place": place, "entry": asdict(contestant.entry)}
