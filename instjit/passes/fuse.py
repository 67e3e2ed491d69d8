"""Fuse elementwise chains into the Gemm that feeds them, or into one Map."""

from __future__ import annotations

from dataclasses import replace

from instjit.passes.access import (
    Accesses,
    kept_regions,
    merged_origin,
    reads_of,
    size_of,
    substituted,
    with_value,
)
from instjit.program import (
    EACH,
    Expression,
    Gemm,
    Lookup,
    Map,
    Program,
    Read,
    Step,
    count_of,
    step_reads,
    value_of,
)

LARGEST = 48
"""Nodes of a fused expression: longer ones gain nothing and deepen the recursion over them."""


def fuse(program: Program) -> Program:
    """Write the producer of a region into its only reader, when that reads it element by element.

    The fused step stands where the reader stood, so whatever the producer reads must be unchanged
    there.
    """
    steps: list[Step | None] = list(program.steps)
    accesses = Accesses(steps)
    kept = kept_regions(program)
    for number in range(len(steps)):
        while (found := _producer(number, steps, accesses, kept)) is not None:
            producer, reader = steps[found], steps[number]
            if producer is None or reader is None:
                break
            fused = _fused(producer, reader)
            accesses.remove(found, producer)
            accesses.remove(number, reader)
            steps[found], steps[number] = None, fused
            accesses.add(number, fused)
    kept_steps = tuple(step for step in steps if step is not None)
    return replace(program, steps=kept_steps, offsets=(), slots=0)


def _producer(
    number: int, steps: list[Step | None], accesses: Accesses, kept: set[int]
) -> int | None:
    """Number of a step that can be fused into step ``number``."""
    reader = steps[number]
    if reader is None or isinstance(reader, Lookup):
        return None
    for view in step_reads(reader):
        writers = accesses.writers[view.region]
        if view.region in kept or len(writers) != 1 or writers[0] >= number:
            continue
        if accesses.readers[view.region] != [number]:
            continue
        producer = steps[writers[0]]
        if producer is not None and _fits(producer, writers[0], reader, number, accesses):
            return writers[0]
    return None


def _fits(producer: Step, at: int, reader: Step, number: int, accesses: Accesses) -> bool:
    value = value_of(reader)
    if value is None or not isinstance(producer, Map | Gemm):
        return False
    if isinstance(producer, Gemm) and not isinstance(reader, Map):
        return False
    if isinstance(reader, Gemm) and reader.source.region == producer.target.region:
        return False
    found = reads_of(value, producer.target.region)
    aligned = Read(producer.target.region, producer.target.start, EACH)
    if (
        not found
        or any(read != aligned for read in found)
        or count_of(reader) != producer.target.count
    ):
        return False
    made = value_of(producer)
    if made is None or size_of(value) + len(found) * size_of(made) > LARGEST:
        return False
    needed = step_reads(producer)
    if any(view.region == reader.target.region for view in needed):
        return False
    return not accesses.written_between(needed, at, number)


def _fused(producer: Step, reader: Step) -> Step:
    value, made = value_of(reader), value_of(producer)
    if value is None or made is None:
        return reader
    region = producer.target.region

    def change(leaf: Expression) -> Expression | None:
        return made if isinstance(leaf, Read) and leaf.region == region else None

    whole, origin = substituted(value, change), merged_origin(producer, reader)
    if isinstance(producer, Gemm):
        return replace(producer, target=reader.target, epilogue=whole, origin=origin)
    return replace(with_value(reader, whole), origin=origin)
