"""What a net is made of: a few operations on (rows, width) values, the same for every peer.

Value 0 is the input; operation k makes value k + 1. Semantics are those of the instruction of the
same name in ``instjit.ops``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from bench.jobs import Float32


@dataclass(frozen=True, eq=False)
class Dense:
    """``activation(weights @ x + bias)``; weights are ``(outputs, inputs)``."""

    x: int
    weights: Float32
    bias: Float32
    activation: str | None

    @property
    def width(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Activate:
    """An activation by its name in ``instjit.Activation``."""

    x: int
    activation: str
    width: int


@dataclass(frozen=True, eq=False)
class Join:
    """Values of equal width, added ("add") or multiplied ("multiply") from left to right."""

    kind: str
    values: tuple[int, ...]
    width: int


@dataclass(frozen=True, eq=False)
class Affine:
    """A constant vector added to every row ("add") or multiplied with it ("multiply")."""

    kind: str
    x: int
    vector: Float32

    @property
    def width(self) -> int:
        return len(self.vector)


@dataclass(frozen=True, eq=False)
class Clip:
    """Bounds for every column."""

    x: int
    low: Float32
    high: Float32

    @property
    def width(self) -> int:
        return len(self.low)


@dataclass(frozen=True, eq=False)
class Heads:
    """Each block of ``width / heads.width`` columns with its one number of ``heads``."""

    kind: str
    x: int
    heads: int
    count: int
    width: int


@dataclass(frozen=True, eq=False)
class Attention:
    """``softmax(weights @ key + bias) * query``."""

    query: int
    key: int
    weights: Float32
    bias: Float32

    @property
    def width(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of a row, as one column."""

    x: int
    width: int = 1


@dataclass(frozen=True, eq=False)
class Concatenate:
    """Values side by side."""

    values: tuple[int, ...]
    width: int


@dataclass(frozen=True, eq=False)
class Pick:
    """Chosen columns."""

    x: int
    columns: tuple[int, ...]

    @property
    def width(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, eq=False)
class Embed:
    """The table's row whose key is the integer in ``column``; ``default`` where there is none."""

    x: int
    column: int
    keys: tuple[int, ...]
    values: Float32
    default: Float32

    @property
    def width(self) -> int:
        return len(self.default)

    @cached_property
    def table(self) -> Float32:
        """A row for every integer from ``keys[0] - 1`` to ``keys[-1] + 1``: keys ascend.

        Peers index it after clipping the id, which is their shortest way to the answer.
        """
        first = self.keys[0] - 1
        dense = np.tile(self.default, (self.keys[-1] + 2 - first, 1))
        dense[np.array(self.keys) - first] = self.values
        return dense


Operation: TypeAlias = (
    Dense | Activate | Join | Affine | Clip | Heads | Attention | Sum | Concatenate | Pick | Embed
)


def operands(operation: Operation) -> tuple[int, ...]:
    """The values that it reads."""
    match operation:
        case Join(values=values) | Concatenate(values=values):
            return values
        case Heads(x=x, heads=heads):
            return x, heads
        case Attention(query=query, key=key):
            return query, key
        case _:
            return (operation.x,)
