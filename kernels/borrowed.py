"""Regions that need no scratch where a program runs row by row: they are the caller's columns."""

from __future__ import annotations

from collections.abc import Sequence

from instjit.program import Column, Gemm, Lookup, Map, Program, Step, step_reads


def borrowed(program: Program) -> dict[int, int]:
    """The column at which each borrowed region begins, of a row of input or of output.

    Input that expressions alone read is read where it lies, output that Maps alone write is written
    there. The row of output may be that of input, or overlap it: output is borrowed only where all
    reads of borrowed input are done before.
    """
    taken, given = _taken(program), _given(program)
    reading = [number for number, step in enumerate(program.steps) if _reads(step) & taken.keys()]
    writing = [n for n, step in enumerate(program.steps) if step.target.region in given]
    if reading and writing and writing[0] <= reading[-1]:
        return taken
    return {**taken, **given}


def _taken(program: Program) -> dict[int, int]:
    found = _whole(program.loads, program)
    for step in program.steps:
        found.pop(step.target.region, None)
        if isinstance(step, Gemm | Lookup):
            found.pop(step.source.region, None)
    for column in program.stores:
        found.pop(column.view.region, None)
    return found


def _given(program: Program) -> dict[int, int]:
    found = _whole(program.stores, program)
    for step in program.steps:
        for region in (
            _reads(step) if isinstance(step, Map) else {*_reads(step), step.target.region}
        ):
            found.pop(region, None)
    for column in program.loads:
        found.pop(column.view.region, None)
    return found


def _reads(step: Step) -> set[int]:
    return {view.region for view in step_reads(step)}


def _whole(columns: Sequence[Column], program: Program) -> dict[int, int]:
    """First column of the regions that one run of columns holds as a whole."""
    views = [column.view for column in columns]
    return {
        column.view.region: column.first
        for column in columns
        if column.view.count == program.regions[column.view.region]
        and sum(view.region == column.view.region for view in views) == 1
    }
