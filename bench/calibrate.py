"""Which chunk size and which setting a peer is fastest with: a short search before the race."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

S = TypeVar("S")
Measure: TypeAlias = Callable[[S, int], float]
"""Seconds a row, of a setting and a chunk size."""

CHUNKS = (64, 256, 1024, 4096, 16_384, 65_536)
WORSE = 1.15  # a chunk size this much slower than the best so far; after two of them no larger ones


LEAST_WORK = 2e5  # operations of a call; with fewer, what it takes is the call


def chunk_sizes(rows: int, work: float = LEAST_WORK) -> list[int]:
    """Sizes worth trying, the whole batch last; ``work`` is the operations of a row."""
    return [*(size for size in CHUNKS if size < rows and size * work >= LEAST_WORK), rows]


def best(settings: Sequence[S], chunks: Sequence[int], measure: Measure[S]) -> tuple[S, int]:
    """Find the fastest pair: all settings, ascending chunks, then half and twice the best chunk."""
    found: dict[tuple[int, int], float] = {}
    for number, setting in enumerate(settings):
        times = _ascending(chunks, partial(measure, setting))
        found |= {(number, chunk): seconds for chunk, seconds in times}
    number, chunk = min(found, key=found.__getitem__)
    for near in (chunk // 2, 2 * chunk):
        if chunks[0] <= near < chunks[-1] and (number, near) not in found:
            found[number, near] = measure(settings[number], near)
    number, chunk = min(found, key=found.__getitem__)
    return settings[number], chunk


def _ascending(chunks: Sequence[int], measure: Callable[[int], float]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    fastest, slower = float("inf"), 0
    for chunk in chunks:
        found.append((chunk, measure(chunk)))
        slower = slower + 1 if found[-1][1] > WORSE * fastest else 0
        fastest = min(fastest, found[-1][1])
        if slower == 2:
            break
    return found
