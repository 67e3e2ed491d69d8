"""Turn copies into index maps of what reads them, where nothing is overwritten in between."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import islice

from instjit.passes.access import Accesses, substituted, with_value
from instjit.program import (
    EACH,
    FIXED,
    Expression,
    Gemm,
    Index,
    Lookup,
    Map,
    Program,
    Read,
    Step,
    View,
    count_of,
    gather,
    repeat,
    value_of,
)


def forward_copies(program: Program) -> Program:
    """Let the readers of a copied region read where the copy came from.

    Copies that nobody reads any more are left to ``drop_dead``.
    """
    steps = list(program.steps)
    accesses = Accesses(steps)
    loaded = {column.view.region for column in program.loads}
    for number, step in enumerate(steps):
        forwarded = _forwarded(step, number, accesses, loaded)
        if forwarded != step:
            accesses.remove(number, step)
            steps[number] = forwarded
            accesses.steps = steps
            accesses.add(number, forwarded)
    return replace(program, steps=tuple(steps), offsets=(), slots=0)


def _forwarded(step: Step, number: int, accesses: Accesses, loaded: set[int]) -> Step:
    def through(read: Read, count: int) -> Read:
        low, high = read.index.extent(count)
        view = View(read.region, read.start + low, high - low)
        copy = None if read.region in loaded else _copy_behind(view, number, accesses)
        if copy is None or not isinstance(copy.value, Read):
            return read
        composed = compose(read, copy.value, read.start - copy.target.start, count)
        return read if composed.region == step.target.region else composed

    if isinstance(step, Lookup):
        read = through(Read(step.source.region, step.source.start, FIXED), 1)
        return replace(step, source=View(read.region, read.start, 1))
    if isinstance(step, Gemm):
        read = through(Read(step.source.region, step.source.start), step.source.count)
        if read.index == EACH:
            step = replace(step, source=View(read.region, read.start, step.source.count))
    value = value_of(step)
    if value is None:
        return step

    def change(leaf: Expression) -> Expression | None:
        return through(leaf, count_of(step)) if isinstance(leaf, Read) else None

    return with_value(step, substituted(value, change))


def _copy_behind(view: View, reader: int, accesses: Accesses) -> Map | None:
    """The copy that alone wrote all slots of the view, if its own source still holds the same."""
    writers = accesses.writers[view.region]
    before = reversed(range(bisect_left(writers, reader)))
    found = (writers[at] for at in before if _writes(accesses, writers[at], view))
    numbers = list(islice(found, 2))  # one more says no: a slot may have thousands of writers
    if len(numbers) != 1:
        return None
    copy = accesses.steps[numbers[0]]
    if not isinstance(copy, Map) or not isinstance(copy.value, Read):
        return None
    if view.start < copy.target.start or view.stop > copy.target.stop:
        return None
    low, high = copy.value.index.extent(copy.target.count)
    source = View(copy.value.region, copy.value.start + low, high - low)
    return None if accesses.written_between([source], numbers[0], reader) else copy


def _writes(accesses: Accesses, number: int, view: View) -> bool:
    step = accesses.steps[number]
    return step is not None and step.target.overlaps(view)


def compose(read: Read, copied: Read, shift: int, count: int) -> Read:
    """The read of a copy's source that gives what ``read`` finds in the copy.

    ``shift`` is where the read starts, counted from the copy's first slot; ``count`` the elements
    read.
    """
    if copied.index == EACH:
        return Read(copied.region, copied.start + shift, read.index)
    if read.index == FIXED or copied.index == FIXED:
        return Read(copied.region, copied.start + copied.index.at(shift), FIXED)
    if (
        copied.index.kind == "repeat"
        and shift % copied.index.every == 0
        and read.index.kind != "gather"
    ):
        every = copied.index.every * (read.index.every if read.index.kind == "repeat" else 1)
        return Read(copied.region, copied.start + shift // copied.index.every, repeat(every))
    slots = tuple(copied.index.at(shift + read.index.at(i)) for i in range(count))
    return Read(copied.region, copied.start, _plainest(slots))


def _plainest(slots: tuple[int, ...]) -> Index:
    return EACH if slots == tuple(range(len(slots))) else gather(slots)
