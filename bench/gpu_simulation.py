"""The embed case: models called in the threads of the user's own kernels. Every way, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.gpu_part import DOING, Message, described, works
from bench.gpu_peer import Run
from bench.gpu_peers import COMPILED, TOO_SLOW
from bench.gpu_race import BROKEN, LEAST_SECONDS, MOST_CALLS, seconds, warm

TIMED = "timed"


@dataclass
class Timed:
    """One way of doing some work: ``amount`` of ``unit`` a run; ``note`` says what came out."""

    work: str
    name: str
    unit: str
    amount: float = 0.0
    seconds: list[float] = field(default_factory=list)
    note: str = ""
    absent: str = ""

    @property
    def title(self) -> str:
        """What tells it from all others."""
        return f"{self.work}: {self.name}"

    @property
    def median(self) -> float:
        """Median seconds of a run."""
        return median(self.seconds)


@dataclass(frozen=True)
class Bound:
    """A way that is ready: a call, and its result after that as an array on the host."""

    run: Run
    result: Callable[[], Any]
    judge: Callable[[Any], str]
    """What is wrong with a result."""


@dataclass(frozen=True)
class Work:
    """What is to be done and in which ways; ``reached`` gives a result's amount and a note."""

    name: str
    unit: str
    ways: dict[str, Callable[[], Bound]]
    reached: Callable[[Any], tuple[float, str]]


def simulation(
    simulated: bool, rounds: int, without: dict[str, str], compilers: bool
) -> Iterator[Message]:
    """The part; ``without`` says why ways are left out, by their titles."""
    from bench.gpu_embedded import cart_poles, packed_rows

    for make in (cart_poles, packed_rows):
        yield DOING, {"name": ""}
        work = make(simulated)
        pairs: list[tuple[Timed, _Turn]] = []
        for name in work.ways:
            entry = Timed(work.name, name, work.unit)
            slow = "" if compilers or not name.startswith(COMPILED) else TOO_SLOW
            entry.absent = without.get(entry.title, slow)
            yield DOING, {"name": entry.title}
            pairs.append((entry, _Turn(entry, work)))
            if entry.absent and not works():
                yield BROKEN, {"name": entry.title, "reason": entry.absent}
                return
        warm(simulated)
        for number in range(rounds):
            for entry, turn in pairs if number % 2 == 0 else reversed(pairs):
                yield DOING, {"name": entry.title}
                turn.round()
        for entry, _ in pairs:
            yield TIMED, asdict(entry)


class _Turn:
    """A way that is called in turn with others; what fails is noted and not called again."""

    def __init__(self, entry: Timed, work: Work) -> None:
        self.entry, self._calls = entry, 1
        self._bound: Bound
        self._guarded(lambda: self._prepare(work))

    def round(self) -> None:
        """Time a round, after a call that is not timed."""
        self._guarded(lambda: self._bound.run())
        self._guarded(lambda: self.entry.seconds.append(seconds(self._bound.run, self._calls)))

    def _prepare(self, work: Work) -> None:
        self._bound = work.ways[self.entry.name]()
        self._bound.run()
        once = seconds(self._bound.run)
        self._calls = min(MOST_CALLS, max(1, round(LEAST_SECONDS / once)))
        result = self._bound.result()
        if said := self._bound.judge(result):
            raise ValueError(f"wrong: {said}")
        self.entry.amount, self.entry.note = work.reached(result)

    def _guarded(self, call: Callable[[], object]) -> None:
        if self.entry.absent:
            return
        try:
            call()
        except ImportError as error:
            self.entry.absent = f"not installed: {error}"
        except Exception as error:
            self.entry.absent = f"failed: {described(error)}"
        if self.entry.absent:
            self.entry.seconds.clear()
