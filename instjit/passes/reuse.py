"""Give regions that are never alive together the same slots."""

from __future__ import annotations

from dataclasses import replace

from instjit.program import EACH, Map, Program, Step, reads, step_reads


def reuse_regions(program: Program) -> Program:
    """Choose an offset for every region, first fit over the steps in order.

    A region lives from its first write to its last read. Regions of one step never overlap, with
    one exception: a Map may write over a region that dies in it, if it reads that element by
    element.
    """
    last = _last_use(program)
    offsets = [0] * len(program.regions)
    scratch = _Scratch()
    placed: set[int] = set()

    def place(region: int) -> None:
        if region not in placed:
            placed.add(region)
            offsets[region] = scratch.take(program.regions[region])

    for column in program.loads:
        place(column.view.region)
    for number, step in enumerate(program.steps):
        dying = {view.region for view in step_reads(step) if last[view.region] == number}
        heir = _heir(step, dying, placed, program.regions)
        if heir is not None:
            placed.add(step.target.region)
            offsets[step.target.region] = offsets[heir]
            dying.discard(heir)
        place(step.target.region)
        if last.get(step.target.region, -1) <= number:
            dying.add(step.target.region)
        for region in dying:
            scratch.give(offsets[region], program.regions[region])
    for column in program.stores:
        place(column.view.region)
    return replace(program, offsets=tuple(offsets), slots=scratch.end)


def _last_use(program: Program) -> dict[int, int]:
    last: dict[int, int] = {}
    for number, step in enumerate(program.steps):
        for view in (step.target, *step_reads(step)):
            last[view.region] = number
    for column in program.stores:
        last[column.view.region] = len(program.steps)
    return last


def _heir(step: Step, dying: set[int], placed: set[int], sizes: tuple[int, ...]) -> int | None:
    """A dying region whose slots the step's target can take over element by element."""
    target = step.target
    if not isinstance(step, Map) or target.region in placed or target.count != sizes[target.region]:
        return None
    found = reads(step.value)
    for read in found:
        same = sizes[read.region] == target.count and read.start == 0 and read.index == EACH
        alone = all(other == read for other in found if other.region == read.region)
        if same and alone and read.region in dying:
            return read.region
    return None


class _Scratch:
    """Free runs of slots, first fit; grows at the end."""

    def __init__(self) -> None:
        self.end = 0
        self.free: list[tuple[int, int]] = []

    def take(self, size: int) -> int:
        for number, (start, length) in enumerate(self.free):
            if length >= size:
                rest = [(start + size, length - size)] if length > size else []
                self.free[number : number + 1] = rest
                return start
        if self.free and sum(self.free[-1]) == self.end:
            start, length = self.free.pop()
            self.end += size - length
            return start
        self.end += size
        return self.end - size

    def give(self, start: int, size: int) -> None:
        self.free = sorted([*self.free, (start, size)])
        merged: list[tuple[int, int]] = []
        for run in self.free:
            if merged and sum(merged[-1]) == run[0]:
                merged[-1] = (merged[-1][0], merged[-1][1] + run[1])
            elif run[1]:
                merged.append(run)
        self.free = merged
