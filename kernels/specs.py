"""What the calls at the head of the generated text say: one record for each kind of step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from instjit.kernels.located import Located, numbered, places
from instjit.kernels.multiplier import Multiplier


@dataclass(frozen=True, slots=True)
class GemmSpec:
    """``target[o] = value(total = bias[o] + weights[o] . source)``; slots, and a place in ``k``.

    ``ahead``: floats of the next tile's rows and outputs that are fetched into the cache meanwhile,
    as (x from, x for each output of this gemm, y from, y for each output); empty for none.
    """

    outputs: int
    depth: int
    chains: int
    source: int
    target: int
    weights: int
    value: Located
    ahead: tuple[int, ...] = ()

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Area and place of source, target, weights, what is fetched, then the value's places."""
        fetched = (("x", self.ahead[0]), ("y", self.ahead[2])) if self.ahead else ()
        return (
            ("s", self.source),
            ("s", self.target),
            ("k", self.weights),
            *fetched,
            *value_operands(self.value),
        )


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Slots source .. source + count as bfloat16, two to a word, at slot ``target``.

    The words of part p of pair i are slot ``target + p * pairs + i``; all past the last are zeros.
    """

    count: int
    source: int
    target: int
    precision: str
    unit: str

    @property
    def multiplier(self) -> Multiplier:
        """Whose words they are."""
        return Multiplier(self.precision, self.unit)

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Source and target."""
        return (("s", self.source), ("s", self.target))


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """As ``GemmSpec``, multiplied by a unit for bfloat16: the source is what a split made.

    ``pairs``: place of the source's words. ``sums``: place of 32 slots that AMX stores to.
    ``following``: where the words of the values go for the next product, or -1. ``kept``: whether
    the values go to ``target``, which is written to in any case.
    """

    outputs: int
    depth: int
    pairs: int
    target: int
    weights: int
    value: Located
    precision: str
    unit: str
    sums: int
    following: int = -1
    kept: bool = True
    ahead: tuple[int, ...] = ()

    @property
    def multiplier(self) -> Multiplier:
        """What multiplies."""
        return Multiplier(self.precision, self.unit)

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Area and place: pairs, target, weights, sums, following, fetched, the value's places."""
        fetched = (("x", self.ahead[0]), ("y", self.ahead[2])) if self.ahead else ()
        return (
            ("s", self.pairs),
            ("s", self.target),
            ("k", self.weights),
            ("s", self.sums),
            ("s", max(0, self.following)),
            *fetched,
            *value_operands(self.value),
        )


@dataclass(frozen=True, slots=True)
class MapSpec:
    """``target[i] = value(i)`` for i < count; ``into``: slots (s), or columns of the output (y)."""

    count: int
    target: int
    value: Located
    into: str = "s"

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Target, then the value's places."""
        return ((self.into, self.target), *value_operands(self.value))


@dataclass(frozen=True, slots=True)
class ReduceSpec:
    """``target[0] = value(0) . value(1) ...`` with ``function`` add or maximum."""

    function: str
    count: int
    target: int
    value: Located

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Target, then the value's places."""
        return (("s", self.target), *value_operands(self.value))


@dataclass(frozen=True, slots=True)
class LookupSpec:
    """``target[0 .. size]`` = the row of the key in source; the directory is at n[directory]."""

    size: int
    directory: int
    source: int
    target: int

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Source, target, directory."""
        return (("s", self.source), ("s", self.target), ("n", self.directory))


@dataclass(frozen=True, slots=True)
class ColumnsSpec:
    """Columns of the caller's rows of ``width`` as (column, slot, count), loaded or stored."""

    width: int
    columns: tuple[tuple[int, int, int], ...]

    def operands(self) -> tuple[tuple[str, int], ...]:
        """One place for each run of columns."""
        return tuple(("s", slot) for _, slot, _ in self.columns)


@dataclass(frozen=True, slots=True)
class WordsSpec:
    """As ``SplitSpec``, of columns column .. column + count of the caller's rows of ``width``."""

    width: int
    column: int
    count: int
    target: int
    precision: str
    unit: str

    @property
    def multiplier(self) -> Multiplier:
        """Whose words they are."""
        return Multiplier(self.precision, self.unit)

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Target."""
        return (("s", self.target),)


StepSpec: TypeAlias = "GemmSpec | SplitSpec | ProductSpec | MapSpec | ReduceSpec | LookupSpec"


def shape_of(spec: StepSpec) -> StepSpec:
    """The spec with its places numbered in order, which is all that its code depends on."""
    if isinstance(spec, GemmSpec | ProductSpec):
        ahead = (0, *spec.ahead[1:2], 0, *spec.ahead[3:]) if spec.ahead else ()
        spec = replace(spec, target=0, weights=0, value=numbered(spec.value), ahead=ahead)
        if isinstance(spec, GemmSpec):
            return replace(spec, source=0)
        return replace(spec, pairs=0, sums=0, following=min(0, spec.following))
    if isinstance(spec, SplitSpec):
        return replace(spec, source=0, target=0)
    if isinstance(spec, LookupSpec):
        return replace(spec, source=0, target=0, directory=0)
    return replace(spec, target=0, value=numbered(spec.value))


def value_operands(value: Located) -> tuple[tuple[str, int], ...]:
    """Area and place of each leaf, a gather's list after its base."""
    found: list[tuple[str, int]] = []
    for place in places(value):
        found.append((place.area, place.at))
        if place.index == "gather":
            found.append(("n", place.listed))
    return tuple(found)
