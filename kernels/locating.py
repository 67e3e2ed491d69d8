"""A program's values and views, located: where its slots and constants lie, for every CPU text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instjit.kernels.layout import Layout
from instjit.kernels.located import Located, Node, Number, Place, Total
from instjit.program import (
    Accumulator,
    Call,
    Constant,
    Expression,
    Literal,
    Program,
    Step,
    View,
)

SCRATCH: Mapping[int, int] = {}
"""No region is borrowed: all lie in scratch."""


def located(
    program: Program, places: Layout, value: Expression, borrowed: Mapping[int, int] = SCRATCH
) -> Located:
    """The value with the place of each leaf: in scratch, the caller's row or the packed constants.

    Parameters
    ----------
    borrowed
        Regions that lie in the caller's row, each with its first column there.
    """
    if isinstance(value, Call):
        arguments = (located(program, places, argument, borrowed) for argument in value.arguments)
        return Node(value.function, tuple(arguments))
    if isinstance(value, Literal):
        return Number(value.value)
    if isinstance(value, Accumulator):
        return Total()
    if isinstance(value, Constant):
        return Place("k", places.vectors[value.vector] + value.start, value.index.kind)
    area = "x" if value.region in borrowed else "s"
    at = borrowed.get(value.region, program.offsets[value.region]) + value.start
    listed = places.lists[value.index.slots] if value.index.kind == "gather" else 0
    return Place(area, at, value.index.kind, value.index.every, listed)


def slot_of(program: Program, view: View, borrowed: Mapping[int, int] = SCRATCH) -> int:
    """First slot of a view in a row's scratch, or the column of a borrowed one."""
    return borrowed.get(view.region, program.offsets[view.region]) + view.start


def comment_of(step: Step, kinds: Sequence[str]) -> str:
    """The instructions a step was made of, "0: DOT" and the like, by the wire names of all."""
    if not step.origin:
        return "slots that are read before anything wrote them"
    return ", ".join(f"{number}: {kinds[number]}" for number in step.origin)
