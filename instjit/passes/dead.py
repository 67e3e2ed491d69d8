"""Drop steps whose slots nobody reads before they are overwritten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from instjit.program import Program, Step, View, step_reads


def drop_dead(program: Program) -> Program:
    """Keep the steps that a store or a kept step reads from, slot by slot, found from the end."""
    live: dict[int, np.ndarray] = {}

    def slots(view: View) -> np.ndarray:
        if view.region not in live:
            live[view.region] = np.zeros(program.regions[view.region], dtype=bool)
        part: np.ndarray = live[view.region][view.start : view.stop]
        return part

    for column in program.stores:
        slots(column.view)[:] = True
    kept: list[Step] = []
    for step in reversed(program.steps):
        target = slots(step.target)
        if not target.any():
            continue
        target[:] = False
        for view in step_reads(step):
            slots(view)[:] = True
        kept.append(step)
    return replace(program, steps=tuple(reversed(kept)))
