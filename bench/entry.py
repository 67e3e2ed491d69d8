"""What one contestant reached in one race."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

OURS = "instjit"
BF16 = " bf16"
"""How names of peers end that multiply in bfloat16; they are compared with ours of that name."""


@dataclass
class Entry:
    """What one peer reached on one job; ``absent`` says why it did not.

    ``memory`` is bytes beyond input and output, None where it is not known; ``checked`` says that
    the output was compared, and that ``error`` means something.
    """

    peer: str
    version: str = ""
    chunk: int = 0
    ready: float = 0.0
    seconds: list[float] = field(default_factory=list)
    error: float = 0.0
    absent: str = ""
    setting: str = ""
    memory: int | None = None
    checked: bool = True

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return median(self.seconds)

    @property
    def minimum(self) -> float:
        """Least seconds of a round."""
        return min(self.seconds)

    @property
    def is_ours(self) -> bool:
        """It is instjit, in some precision or way of calling, and no peer of it."""
        return self.peer.startswith(OURS)


def ratio(entry: Entry, ours: Entry) -> float:
    """Median of the rounds' ratios: the two times of a round share the machine's mood."""
    pairs = zip(entry.seconds, ours.seconds, strict=False)  # a peer that failed midway has fewer
    return median(theirs / mine for theirs, mine in pairs)


def own(entries: Sequence[Entry]) -> Entry | None:
    """Instjit in float32, if it ran."""
    return next((entry for entry in entries if entry.peer == OURS and entry.seconds), None)


def best_peer(entries: Sequence[Entry]) -> Entry | None:
    """The float32 peer of the least median, if any ran; what computes nothing is no peer."""
    peers = [entry for entry in entries if entry.seconds and not entry.is_ours]
    peers = [entry for entry in peers if entry.peer != READ_LOOP and not entry.peer.endswith(BF16)]
    return min(peers, key=lambda entry: entry.median, default=None)


READ_LOOP = "read loop"
