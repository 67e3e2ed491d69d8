"""How a field of an instruction stands in a file.

Declared with the field, read by every codec: adding an instruction changes no codec.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from typing import Literal as OneOf

from instjit.arrays import integer, rounded
from instjit.errors import ModelError, Problem
from instjit.ops.activation import activation_named

if TYPE_CHECKING:
    from instjit.ops.instruction import Instruction


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        message = f"an operand: expected a list of integers, got {type(values).__name__}"
        raise ModelError(Problem("InvalidNumber", message))
    return tuple(_integer(value) for value in values)


def _integer(value: Any) -> int:
    return integer(value, "an operand")


class Wire(Enum):
    """Shape of a field: what a file must hold there, and how the record keeps it."""

    freeze: Callable[[Any], Any]

    def __new__(cls, value: str, freeze: Callable[[Any], Any]) -> Wire:
        """One member of the table below."""
        member = object.__new__(cls)
        member._value_ = value
        member.freeze = freeze
        return member

    INDEX = "an integer >= 0", _integer
    INDEXES = "a list of integers >= 0", _integers
    SLOTS = "a list of integers", _integers
    NUMBERS = "a list of numbers", rounded
    ACTIVATION = "the name of an activation", activation_named


Parts: TypeAlias = OneOf["buffers", "weights", "parameters", "maps"]
"""What of the model a number may refer to."""


@dataclass(frozen=True, slots=True)
class WireField:
    """A field: its name in the record and in files, its shape, whether it may be left out.

    ``refers_to`` says which part of the model its numbers count; None: they are no such numbers.
    """

    name: str
    wire: Wire
    optional: bool
    refers_to: Parts | None


def wire(
    shape: Wire,
    refers_to: Parts | None = None,
    *,
    optional: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """Declare a field; ``optional`` says that files may leave it out, which is None."""
    return dataclasses.field(
        default=None if optional else default,
        metadata={"wire": shape, "optional": optional, "refers_to": refers_to},
    )


@cache
def wire_fields(kind: type[Instruction]) -> tuple[WireField, ...]:
    """The fields of an instruction class, in the order of files."""
    return tuple(
        WireField(field.name, **field.metadata) for field in dataclasses.fields(cast(Any, kind))
    )
