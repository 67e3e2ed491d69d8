"""What the calls at the head of the generated text say: one record for each kind of step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from instjit.kernels.located import Located, places


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
class MapSpec:
    """``target[i] = value(i)`` for i < count."""

    count: int
    target: int
    value: Located

    def operands(self) -> tuple[tuple[str, int], ...]:
        """Target, then the value's places."""
        return (("s", self.target), *value_operands(self.value))


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


StepSpec: TypeAlias = "GemmSpec | MapSpec | ReduceSpec | LookupSpec"


def value_operands(value: Located) -> tuple[tuple[str, int], ...]:
    """Area and place of each leaf, a gather's list after its base."""
    found: list[tuple[str, int]] = []
    for place in places(value):
        found.append((place.area, place.at))
        if place.index == "gather":
            found.append(("n", place.listed))
    return tuple(found)
