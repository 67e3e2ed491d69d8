"""Whether a program is quicker row by row, elements across the vector, than over tiles of rows.

Counted in operations on a vector, from the structure alone: tiles fill every lane however narrow a
step is, but pass their rows through transposes; a row's steps round up to whole vectors.
"""

from __future__ import annotations

from instjit.functions import FUNCTIONS
from instjit.program import PARTIALS, Call, Expression, Map, Program, Reduce, Step, count_of, reads

MOVED = 2
"""A vector loaded and stored."""

JOINED = 20
"""The partials of a row's Reduce, which wait for one another."""

TRANSPOSED = 8
"""A vector of the caller's columns: softmax over 32 takes as long either way, 16 ns a row."""


def quicker_by_rows(program: Program, width: int) -> bool:
    """True for Maps and Reduces alone, of runs of slots, where they are wide enough.

    Parameters
    ----------
    width
        Floats of a vector.
    """
    if not all(_plain(step) for step in program.steps):
        return False
    columns = sum(column.view.count for column in (*program.loads, *program.stores))
    alone = sum(_row_cost(step, width) for step in program.steps)
    together = sum(count_of(step) / width * _cost(step) for step in program.steps)
    return alone < together + TRANSPOSED * columns / width


def _plain(step: Step) -> bool:
    """No product, which uses a weight for all rows at once, and nothing read slot by slot."""
    if not isinstance(step, Map | Reduce):
        return False
    return all(read.index.kind in ("each", "fixed") for read in reads(step.value))


def _row_cost(step: Step, width: int) -> int:
    if isinstance(step, Reduce):
        return -(-step.count // PARTIALS) * -(-PARTIALS // width) * _cost(step) + JOINED
    return -(-count_of(step) // width) * _cost(step)


def _cost(step: Step) -> int:
    """Operations for a vector of elements."""
    return MOVED + (_operations(step.value) if isinstance(step, Map | Reduce) else 0)


def _operations(value: Expression) -> int:
    if not isinstance(value, Call):
        return 0
    return FUNCTIONS[value.function].cost + sum(map(_operations, value.arguments))
