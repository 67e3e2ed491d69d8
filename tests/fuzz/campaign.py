"""Mutated files by number: the same seed and number give the same file, in any process."""

from __future__ import annotations

import os
import resource
import signal
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from . import blind, json_text, rmd1_file, rnn0_file
from .seeds import choose, seeds
from .verdict import Violation, judge

AWARE = {"instmodel": json_text.mutate, "rmd1": rmd1_file.mutate, "rnn0": rnn0_file.mutate}
"""By codec: the mutation that knows the format."""

CODECS = tuple(AWARE)
BLIND = 0.25
"""Of all files: what only mutations get that know nothing."""

BOTH = 0.1
REPAIRED = 0.5

ADDRESS_SPACE = 2**30
"""Bytes that a worker may map besides what it has when it begins: an allocation by a number in a
file fails here, and is told."""

GROWTH = 64 * 2**20
"""Bytes of resident memory that a worker may gain: files of kilobytes must stay within 32 MiB."""

WATCH = 3.0
"""Seconds of CPU time after which a file that is not done yet counts as hanging."""


@dataclass
class Share:
    """What one worker found.

    Attributes
    ----------
    kinds
        How the files ended.
    found
        Numbers of the files that broke a rule, each with the sentence.
    """

    codec: str
    kinds: Counter[str] = field(default_factory=Counter)
    found: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    growth: int = 0


def mutated(codec: str, seed: int, number: int) -> bytes:
    """The file of that number."""
    rng = Random(hash((CODECS.index(codec), seed, number)))  # the same in every process
    content = bytearray(choose(codec, rng))
    choice = rng.random()
    if choice >= BLIND:
        AWARE[codec](content, rng, seeds(codec))
    if choice < BLIND + BOTH:
        blind.mutate(content, rng, seeds(codec))
        if codec == "rnn0" and rng.random() < REPAIRED:
            rnn0_file.repair(content)
    return bytes(content)


def work(codec: str, seed: int, numbers: range, folder: Path, most: int = 5) -> Share:
    """Judge the files of those numbers; those that break a rule are kept in the folder.

    The whole process is bounded from here on: it is meant to be one of its own.
    """
    share = Share(codec)
    warnings.simplefilter("error")
    for number in numbers[:200]:  # imports and caches are not the files' doing
        judge_number(share, seed, number, folder)
    share = Share(codec)
    _bound()
    began, before = time.monotonic(), _peak()
    watch = Watch()
    for number in numbers:
        watch.number = number
        judge_number(share, seed, number, folder)
        if len(share.found) >= most:
            break
    watch.stop()
    share.seconds, share.growth = time.monotonic() - began, _peak() - before
    if share.growth > GROWTH:
        message = f"memory grew by {share.growth >> 20} MiB, allowed {GROWTH >> 20} MiB"
        share.found.append((-1, message))
    return share


def judge_number(share: Share, seed: int, number: int, folder: Path) -> None:
    """Judge one file; keep it, and what is wrong, if it breaks a rule."""
    content = mutated(share.codec, seed, number)
    try:
        share.kinds[judge(share.codec, content, number)] += 1
    except Violation as violation:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{share.codec}-{seed}-{number}").write_bytes(content)
        share.found.append((number, str(violation)[:2000]))


class Watch:
    """Interrupts a file that takes all of a turn."""

    def __init__(self) -> None:
        self.number = -1
        self._last: int | None = -1
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, WATCH / 2, WATCH / 2)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if self.number == self._last:
            self._last = None  # whoever catches this has two turns to stop the watch or go on
            raise Violation(f"hangs: more than {WATCH / 2:g} s of CPU time")
        self._last = self.number


def _bound() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + ADDRESS_SPACE
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
