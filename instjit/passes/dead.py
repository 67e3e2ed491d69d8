"""Drop steps whose slots nobody reads before they are overwritten."""

from __future__ import annotations

from dataclasses import replace

from instjit.program import Program, Step, step_reads
from instjit.slot_set import SlotSet


def drop_dead(program: Program) -> Program:
    """Keep the steps that a store or a kept step reads from, slot by slot, found from the end."""
    live = [SlotSet(size) for size in program.regions]
    for column in program.stores:
        live[column.view.region].add(column.view.start, column.view.stop)
    kept: list[Step] = []
    for step in reversed(program.steps):
        target = step.target
        if not live[target.region].any(target.start, target.stop):
            continue
        live[target.region].remove(target.start, target.stop)
        for view in step_reads(step):
            live[view.region].add(view.start, view.stop)
        kept.append(step)
    return replace(program, steps=tuple(reversed(kept)))
