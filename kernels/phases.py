"""How tiles go together through a program whose weights no core's cache holds.

A tile alone reads all weights. Together, tiles go through the program phase by phase: in most
phases a unit of work is a tile, in those of a wide product some outputs of one or of all tiles
(``spans``). Threads share the units of a phase (``batches``) and meet at its end. So three tiles
take two threads as long as one and a half, and weights that come out of memory come once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from instjit.kernels.target import Level
from instjit.program import Program

Steps: TypeAlias = Callable[[str, int, str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps that a tile takes alone, or the number of one wide product."""

    steps: tuple[int, ...] = ()
    wide: int | None = None


def phases(program: Program, wide: frozenset[int]) -> list[Phase]:
    """The phases; the first takes rows in, the last gives them out, maybe with no step besides."""
    found = [Phase()]
    for number in range(len(program.steps)):
        if number in wide:
            found.append(Phase(wide=number))
        elif found[-1].wide is None:
            found[-1] = Phase((*found[-1].steps, number))
        else:
            found.append(Phase((number,)))
    return found if found[-1].wide is None else [*found, Phase()]


def units(program: Program, found: Sequence[Phase], level: Level) -> tuple[int, ...]:
    """Spans of each phase, 0 for one whose units are tiles."""
    return tuple(
        0 if phase.wide is None else -(-program.steps[phase.wide].target.count // level.span)
        for phase in found
    )


def text(found: Sequence[Phase], lanes: int, width_in: int, steps: Steps) -> Iterable[str]:
    """The function ``phases``: units first .. last of a phase of all rows of ``x``.

    ``steps(indent, number, rows)`` is the call of a step. No tile gives rows out before all have
    been taken in, so the rows may share memory.
    """
    yield "def phases(x, y, phase, pairs, first, last, k, n, scratch):"
    yield "    rows = x.shape[0]"
    yield f"    tiles = (rows + {lanes - 1}) // {lanes}"
    for place, phase in enumerate(found):
        if phase.wide is not None:
            yield f"    if phase == {place}:"
            yield f"        span{phase.wide}(scratch, k, n, tiles, pairs, first, last)"
            yield "        return"
    yield "    for tile in range(first, last):"
    yield "        s = scratch_of(scratch, tile)"
    yield f"        row, count = tile * {lanes}, {lanes}"
    yield f"        if rows < {lanes}:"
    yield "            count = rows"
    yield f"        elif row + {lanes} > rows:"
    yield f"            row = rows - {lanes}"
    last = len(found) - 1
    for place, phase in enumerate(found):
        if phase.wide is None:
            yield f"        if phase == {place}:"
            if place == 0:
                yield from _either(lanes, "take(x, row, s)", _part("take", "x", width_in))
            for number in phase.steps:
                yield from steps("            ", number, "0, 0")
            if place == last:
                yield from _either(lanes, "give(y, row, s)", _part("give", "y", None))


def _part(name: str, rows: str, width: int | None) -> str:
    columns = f"{rows}.shape[1]" if width is None else str(width)
    return f"{name}_part({rows}, row, count, 0, {columns}, s)"


def _either(lanes: int, whole: str, part: str) -> Iterable[str]:
    yield f"            if count == {lanes}:"
    yield f"                {whole}"
    yield "            else:"
    yield f"                {part}"
