"""Checks on the device, some families of them in a part, and what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, islice
from typing import Any

import numpy as np

from bench.gpu_part import DIED, DOING, Message, Part, described, messages, works
from bench.jobs import Float32

FOUND, LEFT_OUT, BROKEN = "found", "left out", "broken"
MOST_STARTS = 6  # of the process of a family
FAMILIES = {
    "nets": "bench.gpu_bits",
    "arrays": "bench.gpu_arrays",
    "tensor": "bench.gpu_tensor",
    "packed": "bench.gpu_bits",
    "random": "bench.gpu_bits",
}
"""Where ``FAMILY(options)`` is, a generator of checks."""

SHARES = {"nets": 3, "tensor": 3, "random": 4, "arrays": 1, "packed": 1}
"""Processes of each family."""

SILENCE = 90.0  # seconds of one check, with what it compiles


@dataclass(frozen=True)
class Options:
    """Whether at tiny sizes, how many random models, and which share of the checks."""

    simulated: bool
    models: int
    share: int = 0
    shares: int = 1


@dataclass(frozen=True)
class Check:
    """``call`` returns what is wrong, or nothing; an error that it raises is wrong, too."""

    name: str
    call: Callable[[], str]


@dataclass(frozen=True)
class LeftOut:
    """Checks that cannot be made here, and why."""

    name: str
    reason: str


@dataclass
class Found:
    """What was checked, what was wrong, what could not be checked here, what was to be and was not.

    ``done`` counts the checks and what was left out.
    """

    checks: int = 0
    done: int = 0
    left_out: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether everything was checked and right."""
        return not self.wrong and not self.unchecked

    def add(self, name: str, reason: str) -> None:
        """Count a check; an empty reason says that all was right."""
        self.checks += 1
        self.done += 1
        if reason:
            self.wrong.append(f"{name}: {reason}")


def families(names: Sequence[str], options: dict[str, Any], skip: int = 0) -> Iterator[Message]:
    """The part: run the checks of families from number ``skip`` on."""
    given = Options(**options)
    checks = chain.from_iterable(getattr(import_module(FAMILIES[n]), n)(given) for n in names)
    for check in islice(checks, skip, None):
        if isinstance(check, LeftOut):
            yield LEFT_OUT, {"name": check.name, "reason": check.reason}
            continue
        yield DOING, {"name": check.name}
        reason = outcome(check)
        yield FOUND, {"name": check.name, "reason": reason}
        if reason and not works():
            yield BROKEN, {}
            return


def outcome(check: Check) -> str:
    """What is wrong, an error included."""
    try:
        return check.call()
    except Exception as error:
        return described(error)


def parts(simulated: bool, models: int) -> list[Part]:
    """Families as processes beside each other: compiling is what takes the time."""
    if simulated:
        options = {"simulated": True, "models": models}
        return [Part("bench.gpu_check:families", {"names": [*FAMILIES], "options": options})]
    found = []
    for name, shares in SHARES.items():
        for share in range(shares):
            options = {"simulated": False, "models": models, "share": share, "shares": shares}
            arguments = {"names": [name], "options": options}
            found.append(Part("bench.gpu_check:families", arguments, SILENCE))
    return found


def overseen(part: Part, deadline: float) -> Found:
    """Run families; a check that crashes or hangs is wrong, and a new process does the others."""
    found, began = Found(), time.monotonic()
    label = " and ".join(part.arguments["names"])
    for _ in range(MOST_STARTS):
        doing, ended = "", True
        for kind, fields in messages(part.given(skip=found.done), deadline):
            if kind == DOING:
                doing = fields["name"]
            elif kind == FOUND:
                found.add(fields["name"], fields["reason"])
                doing = ""
            elif kind == LEFT_OUT:
                found.left_out.append(f"{fields['name']}: {fields['reason']}")
                found.done += 1
            elif kind == BROKEN:
                ended = False
            elif kind == DIED and doing and time.monotonic() < deadline:
                found.add(doing, fields["reason"])
                ended = False
            elif kind == DIED:
                found.unchecked.append(f"{label} from {doing or 'its start'}: {fields['reason']}")
        if ended:
            break
    else:
        found.unchecked.append(f"{label} after {found.done} checks: {MOST_STARTS} processes ended")
    found.seconds = time.monotonic() - began
    return found


def differing(a: Any, b: Float32) -> str:
    """How many elements differ in a bit, and the first; nothing where all are equal."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} of shape {a.shape}, not {b.dtype} of {b.shape}"
    places = np.argwhere(_bits(a) != _bits(b))
    if not len(places):
        return ""
    first = tuple(int(i) for i in places[0])
    return f"{len(places)} of {b.size} differ, at {first} {a[first]!r} and not {b[first]!r}"


def _bits(a: Any) -> Any:
    """As integers, every NaN the same one."""
    return np.where(np.isnan(a), np.uint32(0x7FC00000), np.ascontiguousarray(a).view(np.uint32))
