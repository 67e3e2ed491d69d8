"""Where the words of wide products lie in scratch, which steps make them, what is left out."""

from __future__ import annotations

from dataclasses import dataclass

from instjit.errors import CompileError, Problem
from instjit.kernels.multiplier import DEPTH, MACRO, OUTPUTS, Multiplier, wide_step
from instjit.program import Column, Gemm, Program, Step, View, step_reads


@dataclass(frozen=True, slots=True)
class Pairing:
    """Of one wide product.

    Attributes
    ----------
    pairs
        Slot of its source's words.
    split
        Whether a split makes them; else the product before left them, or another one's are used.
    following
        Slot for the words of its values, for the next product; -1 for none.
    kept
        Whether anything else reads its values.
    multiplier, sums
        What multiplies, and a slot from which it may leave sums.
    """

    pairs: int
    split: bool
    following: int
    kept: bool
    multiplier: Multiplier
    sums: int

    @property
    def form(self) -> str:
        """Arguments of both calls in the text."""
        return f'precision="{self.multiplier.precision}", unit="{self.multiplier.unit}"'


@dataclass(frozen=True, slots=True)
class Plan:
    """How a program multiplies.

    Attributes
    ----------
    multiplier
        What multiplies wide products.
    products
        They, by number of step.
    slots
        Slots of scratch after the program's own.
    straight
        Number of the product whose words are made of the caller's rows, their first column and
        count.
    taken
        Columns of the caller's rows that go into slots, where all rows of a tile are there.
    """

    multiplier: Multiplier
    products: dict[int, Pairing]
    slots: int
    straight: tuple[int, int, int] | None
    taken: tuple[Column, ...]


def plan(program: Program, multiplier: Multiplier) -> Plan:
    """Lay out the words of every wide product: two areas, which products in a row take in turn.

    Raises
    ------
    CompileError
        Unsupported: no product is wide enough.
    """
    sources = [s.source.count for s in program.steps if wide_step(s) and isinstance(s, Gemm)]
    if not sources:
        sentence = (
            f"the model has no product of at least {OUTPUTS} outputs and {DEPTH} inputs, which "
            f'precision "{multiplier.precision}" is for: take precision "float32"'
        )
        raise CompileError(Problem("Unsupported", sentence))
    area = max(map(multiplier.slots, sources))
    products = _products(program, multiplier, area)
    slots = 2 * area + (MACRO if multiplier.unit == "amx" else 0)
    straight, taken = _straight(program, products)
    return Plan(multiplier, products, slots, straight, taken)


def _straight(
    program: Program, products: dict[int, Pairing]
) -> tuple[tuple[int, int, int] | None, tuple[Column, ...]]:
    """Whether the first wide product's source is just columns of the input, and what else is read.

    Later ones would find the words overwritten.
    """
    number = min(products)
    source = step_reads(program.steps[number])[0]
    users = {number} | {other for other, pairing in products.items() if not pairing.split}
    before = program.steps[:number]
    for column in program.loads:
        if column.view == source and not any(_overwrites(program, s, source) for s in before):
            others = tuple(other for other in program.loads if other != column)
            taken = program.loads if _read_besides(program, source, users) else others
            return (number, column.first, source.count), taken
    return None, program.loads


def _products(program: Program, multiplier: Multiplier, area: int) -> dict[int, Pairing]:
    areas, sums = (program.slots, program.slots + area), program.slots + 2 * area
    found: dict[int, Pairing] = {}
    held: View | None = None  # whose words are in areas[at]
    at = 0
    for number, step in enumerate(program.steps):
        if not (isinstance(step, Gemm) and wide_step(step)):
            if held is not None and _overwrites(program, step, held):
                held = None
            continue
        split = step.source != held
        fused = _next_takes_all(program, number)
        following = areas[1 - at] if fused else -1
        kept = not fused or _read(program, number)
        found[number] = Pairing(areas[at], split, following, kept, multiplier, sums)
        if fused:
            held, at = step.target, 1 - at
        else:
            held = step.source  # which no Gemm overwrites
    return found


def _next_takes_all(program: Program, number: int) -> bool:
    """Whether the next step is a wide product of just what this one makes."""
    if number + 1 == len(program.steps):
        return False
    step, after = program.steps[number], program.steps[number + 1]
    return isinstance(after, Gemm) and wide_step(after) and after.source == step.target


def _read(program: Program, number: int) -> bool:
    """Whether anything but the next step's product reads what a step makes."""
    return _read_besides(program, program.steps[number].target, {number + 1})


def _read_besides(program: Program, view: View, products: set[int]) -> bool:
    """Whether anything but these products, which take its words, reads a view."""
    views = [column.view for column in program.stores]
    for other, step in enumerate(program.steps):
        seen = step_reads(step)
        views += seen[1:] if other in products else seen
    return any(each.overlaps(view) for each in views)


def _overwrites(program: Program, step: Step, view: View) -> bool:
    """Whether a step writes memory of a view: regions may share it."""
    (a, b), (c, d) = (_range(program, v) for v in (step.target, view))
    return a < d and c < b


def _range(program: Program, view: View) -> tuple[int, int]:
    start = program.offsets[view.region] + view.start
    return start, start + view.count
