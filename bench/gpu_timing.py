"""What is timed, and the parts that time it: who crashes or hangs is left out, the others go on."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.gpu_part import DIED, DOING, Message, Part, messages
from bench.gpu_peer import HOST_PLACES, PLACES
from bench.gpu_peers import COMPILED, NOT_CHOSEN, PEERS, TOO_SLOW
from bench.gpu_race import BROKEN, ENTRY, GpuEntry
from bench.gpu_simulation import TIMED, Timed
from bench.jobs import Job

MOST_STARTS = 4  # of the process of a part
SILENCE = 90.0  # seconds that a peer may take to get ready


@dataclass(frozen=True)
class Contest:
    """A job, where its rows lie, and whether peers that compile for many seconds take part."""

    job: Job
    places: tuple[str, ...] = ("device",)
    compilers: bool = False

    def quick(self) -> Contest:
        """A tenth of the rows, and nobody who compiles long."""
        return replace(self, job=self.job.quick(), compilers=False)

    def without(self, chosen: Collection[str]) -> dict[str, str]:
        """All peers, and why they are left out: nothing where they are not."""
        slow = {name: TOO_SLOW for name in PEERS if name.startswith(COMPILED)}
        unwanted = {name: NOT_CHOSEN for name in PEERS if name not in chosen}
        return dict.fromkeys(PEERS, "") | ({} if self.compilers else slow) | unwanted


CONTESTS = (
    Contest(Job((250, 300, 200), 200_000), PLACES, compilers=True),
    Contest(Job((20, 64, 32, 1), 1_000_000), PLACES, compilers=True),
    Contest(Job((8, 32, 4), 10_000_000)),
    Contest(Job((250, 300, 200), 2_000_000)),
    Contest(Job((40, 300, 32, 2), 10_000_000)),
    Contest(Job((20, 64, 32, 1), 4_096), compilers=True),
)
QUICK = 2  # contests of a quick run
TINY = (Contest(Job((3, 5, 2), 20), ("device", *HOST_PLACES)),)


def raced(
    contest: Contest, peers: Mapping[str, str], rounds: int, simulated: bool, deadline: float
) -> Iterator[tuple[str, list[GpuEntry], str]]:
    """Each place with its entries, as soon as it is done, and why nothing more comes, if so.

    ``peers`` says why they are left out, as ``Contest.without`` does.
    """
    without = dict(peers)
    left = list(contest.places)
    for _ in range(MOST_STARTS):
        given = {"job": contest.job, "places": left, "peers": without, "rounds": rounds}
        part = Part("bench.gpu_race:race", {**given, "simulated": simulated}, SILENCE)
        found: list[GpuEntry] = []
        for kind, fields in _culprits(part, deadline, without):
            if kind == ENTRY:
                found.append(GpuEntry(**fields["entry"]))
                if len(found) == len(without):
                    yield left.pop(0), found, ""
                    found = []
            elif kind == DIED:
                yield left[0], [], fields["reason"]
                return
        if not left:
            return
    yield left[0], [], f"{MOST_STARTS} processes ended"


def embedded(
    rounds: int, compilers: bool, simulated: bool, deadline: float
) -> tuple[list[Timed], str]:
    """Everything that was timed of the embed case, and why something is missing, if so."""
    without: dict[str, str] = {}
    found: dict[str, Timed] = {}
    for _ in range(MOST_STARTS):
        given: dict[str, Any] = {"simulated": simulated, "rounds": rounds, "without": without}
        given["compilers"] = compilers
        part = Part("bench.gpu_simulation:simulation", given, SILENCE)
        again = False
        for kind, fields in _culprits(part, deadline, without):
            if kind == TIMED:
                timed = Timed(**fields)
                found[timed.title] = timed
            elif kind == DIED:
                return list(found.values()), fields["reason"]
            elif kind == BROKEN:
                again = True
        if not again:
            return list(found.values()), ""
    return list(found.values()), f"{MOST_STARTS} processes ended"


def _culprits(part: Part, deadline: float, without: dict[str, str]) -> Iterator[Message]:
    """What a part says; whoever was at work when it ended is added to ``without``, as BROKEN.

    DIED comes last where nobody can be left out, or there is no time for another process.
    """
    doing = ""
    for kind, fields in messages(part, deadline):
        if kind == DOING:
            doing = fields["name"]
        elif kind == BROKEN:
            without[fields["name"]] = fields["reason"]
            yield kind, fields
            return
        elif kind == DIED and doing and not without.get(doing) and time.monotonic() < deadline:
            without[doing] = fields["reason"]
            yield BROKEN, {"name": doing, **fields}
            return
        else:
            yield kind, fields


def failed_ours(entries: Sequence[Any]) -> list[str]:
    """What of ours failed: peers may be missing, and a precision may not apply."""
    excused = ("not installed", "does not apply", "left out")
    return [
        f"{entry.name if isinstance(entry, Timed) else entry.peer}: {entry.absent}"
        for entry in entries
        if entry.absent and _ours(entry) and not entry.absent.startswith(excused)
    ]


def _ours(entry: Any) -> bool:
    name = entry.name if isinstance(entry, Timed) else entry.peer
    return str(name).startswith(("instjit", "gpu.", "kernel.", "device_function"))
