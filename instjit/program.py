"""A model lowered to a few kinds of step.

Back ends know the steps of this module and no instruction. A step works on *regions*: runs of
float32 slots, one value per row each. How rows lie in memory (one row, a tile of lanes, a CUDA
thread) is the business of the back end.

Values are expression trees: leaves read a region, a constant vector or the accumulator of a Gemm at
an element number ``i``; nodes name a function of ``instjit.functions``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal as OneOf
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Index:
    """Which slot, counted from the start of a read, belongs to element ``i``.

    ``each``: i.  ``fixed``: 0.  ``repeat``: i // every.  ``gather``: slots[i].
    """

    kind: OneOf["each", "fixed", "repeat", "gather"]
    every: int = 1
    slots: tuple[int, ...] = ()

    def at(self, i: int) -> int:
        """Slot of element ``i``."""
        if self.kind == "each":
            return i
        if self.kind == "fixed":
            return 0
        return i // self.every if self.kind == "repeat" else self.slots[i]

    def extent(self, count: int) -> tuple[int, int]:
        """Lowest slot and one past the highest that elements 0 .. count-1 read."""
        if count == 0:
            return 0, 0
        if self.kind == "gather":
            return min(self.slots[:count]), max(self.slots[:count]) + 1
        return 0, self.at(count - 1) + 1


EACH = Index("each")
FIXED = Index("fixed")


def repeat(every: int) -> Index:
    """Index map i // every: one head value for ``every`` consecutive elements."""
    return EACH if every == 1 else Index("repeat", every=every)


def gather(slots: tuple[int, ...]) -> Index:
    """Index map slots[i]."""
    return Index("gather", slots=slots)


@dataclass(frozen=True, slots=True)
class Read:
    """Element of a region: slot ``start + index.at(i)``."""

    region: int
    start: int
    index: Index = EACH


@dataclass(frozen=True, slots=True)
class Constant:
    """Element of the model's parameter vector ``vector``: entry ``start + index.at(i)``."""

    vector: int
    index: Index = EACH
    start: int = 0


@dataclass(frozen=True, slots=True)
class Literal:
    """A number fixed by the kind of instruction, never by the file."""

    value: float


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The finished sum of a Gemm's output i; only inside an epilogue."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of ``instjit.functions`` applied to values."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = "Read | Constant | Literal | Accumulator | Call"


def call(function: str, *arguments: Expression) -> Call:
    """Shorthand for ``Call(function, arguments)``."""
    return Call(function, arguments)


@dataclass(frozen=True, slots=True)
class View:
    """``count`` consecutive slots of a region from ``start``."""

    region: int
    start: int
    count: int

    @property
    def stop(self) -> int:
        """One past the last slot."""
        return self.start + self.count

    def overlaps(self, other: View) -> bool:
        """Whether the two views share a slot."""
        return self.region == other.region and self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Gemm:
    """``target[o] = epilogue(bias[o] + sum over k of weights[o][k] * source[k])``.

    The sum is one fma chain over ascending k that starts at the bias or, for few outputs and long
    k, ``chains(outputs, depth)`` interleaved ones (see there).
    """

    weights: int
    source: View
    target: View
    epilogue: Expression = Accumulator()
    origin: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Map:
    """``target[i] = value(i)`` for every slot; an element is written after all it reads is read."""

    target: View
    value: Expression
    origin: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reduce:
    """``target[0] = value(0) . ... . value(count - 1)`` in the fixed shape of ``partials``."""

    kind: OneOf["sum", "maximum"]
    count: int
    value: Expression
    target: View
    origin: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """``target = table[key]``, or the default where the key is absent.

    The key is ``source[0]`` rounded half away from zero and saturated to int32, NaN counting as 0.
    """

    table: int
    default: tuple[float, ...]
    source: View
    target: View
    origin: tuple[int, ...] = ()


Step: TypeAlias = "Gemm | Map | Reduce | Lookup"


@dataclass(frozen=True, slots=True)
class Column:
    """Columns ``first ..`` of a row of the caller's array, and the slots that hold them."""

    first: int
    view: View


@dataclass(frozen=True, slots=True)
class Program:
    """Steps over regions; ``loads`` fill slots from a row of input, ``stores`` give the output.

    ``regions`` holds the slots of each region; ``offsets`` their places in a row's scratch, empty
    until the regions are laid out. ``width_in`` and ``width_out`` are the columns of the caller's
    arrays.
    """

    regions: tuple[int, ...]
    steps: tuple[Step, ...]
    loads: tuple[Column, ...]
    stores: tuple[Column, ...]
    width_in: int
    width_out: int
    offsets: tuple[int, ...] = ()
    slots: int = 0

    def laid_out(self) -> Program:
        """The program with an offset for every region: one after the other unless a pass chose."""
        if self.offsets:
            return self
        offsets, total = [], 0
        for size in self.regions:
            offsets.append(total)
            total += size
        return replace(self, offsets=tuple(offsets), slots=total)


PARTIALS = 16


def partials(count: int) -> int:
    """Interleaved partial results of a Reduce over ``count`` elements.

    Partial p folds elements p, p + 16, p + 32 ... in ascending order, starting with element p
    itself; then partial p takes p + 8, p + 4, p + 2, p + 1 in turn, where both exist.
    """
    return min(count, PARTIALS)


def chains(outputs: int, depth: int) -> int:
    """Interleaved fma chains of a Gemm, from its shape alone: the same on every target.

    Chain c sums k = c, c + chains, ... in ascending order; chain 0 starts at the bias, the others
    at -0.0 (the identity of addition, so that a chain's first fma is its first product). Chain c
    then takes c + chains / 2, and so on down to 1. Few outputs leave the fma units idle without
    this: one fma has a latency of 4 cycles and two can start in each.
    """
    if outputs <= 4 and depth >= 16:
        return 8
    if outputs <= 16 and depth >= 64:
        return 4
    return 2 if outputs <= 48 and depth >= 64 else 1


def reads(value: Expression) -> tuple[Read, ...]:
    """Every region read in an expression, left to right, each once."""
    found: dict[Read, None] = {}
    _collect(value, found)
    return tuple(found)


def _collect(value: Expression, found: dict[Read, None]) -> None:
    if isinstance(value, Read):
        found[value] = None
    elif isinstance(value, Call):
        for argument in value.arguments:
            _collect(argument, found)


def value_of(step: Step) -> Expression | None:
    """The expression of a step, None for a Lookup."""
    if isinstance(step, Gemm):
        return step.epilogue
    return None if isinstance(step, Lookup) else step.value


def count_of(step: Step) -> int:
    """Elements its expression is evaluated for."""
    return step.count if isinstance(step, Reduce) else step.target.count


def step_reads(step: Step) -> tuple[View, ...]:
    """The slots a step reads, as views (a gather's view spans its lowest to its highest slot)."""
    value = value_of(step)
    found = () if value is None else _views(value, count_of(step))
    return (step.source, *found) if isinstance(step, Gemm | Lookup) else found


def _views(value: Expression, count: int) -> tuple[View, ...]:
    views = []
    for read in reads(value):
        low, high = read.index.extent(count)
        views.append(View(read.region, read.start + low, high - low))
    return tuple(views)
