"""Located values: expression trees whose leaves are places in scratch, constants and rows of input.

The emitter writes them as text; running the text rebuilds them from the constructors below, which
are all that the text's own namespace offers besides the kernel functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from instjit.functions import FUNCTIONS


@dataclass(frozen=True, slots=True)
class Place:
    """Leaf in an area: ``s`` scratch slots, ``k`` packed float constants, ``x`` a row of input.

    Element i is entry ``at + i`` (each), ``at`` (fixed), ``at + i // every`` (repeat) or ``at +
    n[listed + i]`` (gather; n holds the packed integers).
    """

    area: str
    at: int
    index: str = "each"
    every: int = 1
    listed: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A float32 literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Total:
    """The accumulator of a gemm."""


@dataclass(frozen=True, slots=True)
class Node:
    """A function of ``instjit.functions`` of located values."""

    function: str
    arguments: tuple[Located, ...]


Located: TypeAlias = "Place | Number | Total | Node"


def each(at: int) -> Place:
    """Scratch slot at + i."""
    return Place("s", at)


def fixed(at: int) -> Place:
    """Scratch slot at."""
    return Place("s", at, "fixed")


def repeat(at: int, every: int) -> Place:
    """Scratch slot at + i // every."""
    return Place("s", at, "repeat", every=every)


def gather(at: int, listed: int) -> Place:
    """Scratch slot at + n[listed + i]."""
    return Place("s", at, "gather", listed=listed)


def constant(at: int) -> Place:
    """Packed constant at + i."""
    return Place("k", at)


def constant_fixed(at: int) -> Place:
    """Packed constant at."""
    return Place("k", at, "fixed")


def column(at: int) -> Place:
    """Column at + i of the row of input."""
    return Place("x", at)


def column_fixed(at: int) -> Place:
    """Column at of the row of input."""
    return Place("x", at, "fixed")


def column_repeat(at: int, every: int) -> Place:
    """Column at + i // every of the row of input."""
    return Place("x", at, "repeat", every=every)


def column_gather(at: int, listed: int) -> Place:
    """Column at + n[listed + i] of the row of input."""
    return Place("x", at, "gather", listed=listed)


def _node(name: str, *arguments: Located) -> Node:
    return Node(name, arguments)


CONSTRUCTORS: dict[str, Callable[..., Any] | Total] = {
    "each": each,
    "fixed": fixed,
    "repeat": repeat,
    "gather": gather,
    "constant": constant,
    "constant_fixed": constant_fixed,
    "column": column,
    "column_fixed": column_fixed,
    "column_repeat": column_repeat,
    "column_gather": column_gather,
    "number": Number,
    "total": Total(),
    **{name: partial(_node, name) for name in FUNCTIONS},
}


def text_of(value: Located) -> str:
    """The Python expression that rebuilds the value."""
    if isinstance(value, Node):
        return f"{value.function}({', '.join(text_of(argument) for argument in value.arguments)})"
    if isinstance(value, Number):
        return f"number({value.value!r})"
    if isinstance(value, Total):
        return "total"
    tail = {"each": "", "fixed": "", "repeat": f", {value.every}", "gather": f", {value.listed}"}
    return f"{_constructor(value)}({value.at}{tail[value.index]})"


def _constructor(place: Place) -> str:
    if place.area == "s":
        return place.index
    kind = {"k": "constant", "x": "column"}[place.area]
    return kind if place.index == "each" else f"{kind}_{place.index}"


def places(value: Located) -> tuple[Place, ...]:
    """Every leaf with a place, each once, left to right."""
    found: dict[Place, None] = {}
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, Place):
            found[top] = None
        elif isinstance(top, Node):
            stack.extend(reversed(top.arguments))
    return tuple(found)


def numbered(value: Located, seen: dict[Place, int] | None = None) -> Located:
    """The value with its places numbered in order, which is all that its code depends on."""
    seen = {} if seen is None else seen
    if isinstance(value, Node):
        return Node(value.function, tuple(numbered(part, seen) for part in value.arguments))
    if isinstance(value, Place):
        return replace(value, at=seen.setdefault(value, len(seen)), listed=0)
    return value


def of_total(value: Located) -> bool:
    """Whether the value needs the accumulator of a gemm."""
    if isinstance(value, Node):
        return any(map(of_total, value.arguments))
    return isinstance(value, Total)


def operations(value: Located) -> int:
    """Arithmetic operations per element, as the functions' own costs add up."""
    if not isinstance(value, Node):
        return 0
    return FUNCTIONS[value.function].cost + sum(
        operations(argument) for argument in value.arguments
    )


def evaluate(
    value: Located, arithmetic: Any, leaf: Callable[[Place], Any], total: Any = None
) -> Any:
    """The value's meaning in an arithmetic, each distinct subtree worked out once."""
    known: dict[Located, Any] = {}

    def meaning(node: Located) -> Any:
        if node not in known:
            known[node] = _meaning(node)
        return known[node]

    def _meaning(node: Located) -> Any:
        if isinstance(node, Place):
            return leaf(node)
        if isinstance(node, Number):
            return arithmetic.const(node.value)
        if isinstance(node, Total):
            return total
        return FUNCTIONS[node.function].sequence(
            arithmetic, *(meaning(part) for part in node.arguments)
        )

    return meaning(value)
