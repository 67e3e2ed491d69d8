"""Expression trees as text, and where their leaves lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from instjit.gpu.text import called, number
from instjit.kernels.layout import Layout
from instjit.program import (
    Accumulator,
    Call,
    Constant,
    Expression,
    Index,
    Literal,
    Program,
    View,
)

Slot = Callable[[int, str], str]
"""From a region and the number of a slot to the expression that reads or is assigned its value."""


def plus(*terms: str | int) -> str:
    """The sum as text, constants added up in front."""
    constant, named = 0, []
    for term in terms:
        first, _, rest = str(term).partition(" + ")
        if first.isdigit():
            constant += int(first)
            named += [rest] if rest else []
        else:
            named.append(str(term))
    if constant or not named:
        named.insert(0, str(constant))
    return " + ".join(named)


def times(term: str, factor: int) -> str:
    """The product of a number, a name or a sum with a number, as text."""
    if term.isdigit():
        return str(int(term) * factor)
    if factor == 1:
        return term
    return f"{_operand(term)} * {factor}"


def _operand(term: str) -> str:
    return term if term.isidentifier() else f"({term})"


@dataclass(frozen=True)
class Values:
    """Writes the values of a program's steps; ``slot`` says how the form keeps a row's scratch."""

    program: Program
    places: Layout
    slot: Slot

    def at(self, view: View) -> int:
        """First slot of a view."""
        return self.program.offsets[view.region] + view.start

    def element(self, view: View, i: str | int) -> str:
        """Slot ``i`` of a view, to read or to assign."""
        return self.slot(view.region, plus(self.at(view), i))

    def lines(self, value: Expression, i: str | int, total: str = "") -> tuple[list[str], str]:
        """Statements, then the expression of the value's element ``i``.

        A call that occurs several times is worked out once, in a statement.

        Parameters
        ----------
        value
            The tree.
        i
            The element: a name, a sum, or a number.
        total
            What the accumulator is called.
        """
        counts = Counter(_calls(value))
        held: dict[Expression, str] = {}
        lines: list[str] = []

        def text(node: Expression) -> str:
            if node in held:
                return held[node]
            if not isinstance(node, Call):
                return self._leaf(node, i, total)
            written = f"{called(node.function)}({', '.join(map(text, node.arguments))})"
            if counts[node] < 2:
                return written
            held[node] = f"v{len(held)}"
            lines.append(f"{held[node]} = {written}")
            return held[node]

        result = text(value)
        return lines, result

    def _leaf(self, leaf: Expression, i: str | int, total: str) -> str:
        if isinstance(leaf, Accumulator):
            return total
        if isinstance(leaf, Literal):
            return number(leaf.value)
        if isinstance(leaf, Constant):
            at = self.places.vectors[leaf.vector] + leaf.start
            return f"k[{self._entry(at, leaf.index, i)}]"
        if isinstance(leaf, Call):  # for the type checker: a call is no leaf
            return ""
        at = self.program.offsets[leaf.region] + leaf.start
        return self.slot(leaf.region, self._entry(at, leaf.index, i))

    def _entry(self, at: int, index: Index, i: str | int) -> str:
        if index.kind == "fixed":
            return str(at)
        if index.kind == "each":
            return plus(at, i)
        if index.kind == "repeat":
            inner = i // index.every if isinstance(i, int) else f"{_operand(i)} // {index.every}"
            return plus(at, inner)
        return plus(at, f"n[{plus(self.places.lists[index.slots], i)}]")


def functions_of(program_values: list[Expression]) -> list[str]:
    """Names of the functions that occur in the values, in the order of their first use."""
    found: dict[str, None] = {}
    for value in program_values:
        for node in _calls(value):
            found[node.function] = None
    return list(found)


def _calls(value: Expression) -> list[Call]:
    """Every call in the tree, repeats included."""
    if not isinstance(value, Call):
        return []
    return [value, *(node for argument in value.arguments for node in _calls(argument))]
