"""Which regions of a tile's scratch lie in shared memory: all, or those that are read most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from instjit.program import Gemm, Program, reads, value_of


@dataclass(frozen=True, slots=True)
class Placement:
    """Places of a program's regions.

    Attributes
    ----------
    offsets
        First slot of each region, counted in the memory that it lies in.
    shared
        Regions in shared memory; the others are in global memory.
    shared_slots, global_slots
        Slots of both.
    """

    offsets: tuple[int, ...]
    shared: frozenset[int]
    shared_slots: int
    global_slots: int


def split(program: Program, most: int) -> Placement:
    """At most so many slots in shared memory, for the regions with the most reads of a slot.

    Regions that share slots are never needed at once, so each may lie in its own memory; those in
    one memory share slots as before.
    """
    chosen: list[int] = []
    for region in _by_reads(program):
        if len(_slots(program, [*chosen, region])) <= most:
            chosen.append(region)
    others = [region for region in range(len(program.regions)) if region not in chosen]
    offsets = [0] * len(program.regions)
    sizes = []
    for regions in (chosen, others):
        places = {slot: place for place, slot in enumerate(_slots(program, regions))}
        sizes.append(len(places))
        for region in regions:
            offsets[region] = places.get(program.offsets[region], 0)
    return Placement(tuple(offsets), frozenset(chosen), *sizes)


def _slots(program: Program, regions: list[int]) -> list[int]:
    """Slots of any of the regions, in order."""
    found: set[int] = set()
    for region in regions:
        start = program.offsets[region]
        found.update(range(start, start + program.regions[region]))
    return sorted(found)


def _by_reads(program: Program) -> list[int]:
    """Regions, first those whose slots are read most often."""
    count: Counter[int] = Counter()
    for step in program.steps:
        if isinstance(step, Gemm):
            count[step.source.region] += step.target.count
        value = value_of(step)
        for read in reads(value) if value is not None else ():
            count[read.region] += 1
    return sorted(range(len(program.regions)), key=lambda region: (-count[region], region))
