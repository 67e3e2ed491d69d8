"""What every instruction has: one record in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from instjit.cost import Cost
from instjit.ops.wire import Parts, wire_fields

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


class Instruction(ABC):
    """One step of a model.

    A subclass is a frozen dataclass of its operands, with everything that is known of the
    instruction: what it checks, what it means (``reference``), what it lowers to and packs as, what
    it costs.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """Name on the wire."""
    partial: ClassVar[bool] = False
    """Whether it leaves slots of its output alone."""
    output: int

    def __post_init__(self) -> None:
        for field in wire_fields(type(self)):
            value = getattr(self, field.name)
            if value is not None or not field.optional:
                object.__setattr__(self, field.name, field.wire.freeze(value))

    def reads(self) -> tuple[int, ...]:
        """Buffers that it reads, in the order of its fields."""
        return self._numbers("buffers", without="output")

    def constants(self, part: Parts) -> tuple[int, ...]:
        """Numbers of the model's weights, parameters or maps that it refers to."""
        return self._numbers(part)

    def check(self, checks: Checks) -> None:
        """Report every operand that is out of range or of the wrong size."""
        for buffer in self.reads():
            checks.buffer(buffer, "input")
        if self.output not in self.reads():
            checks.buffer(self.output, "output")
        self.check_operands(checks)

    @abstractmethod
    def check_operands(self, checks: Checks) -> None:
        """Report what is wrong besides buffer numbers."""

    @abstractmethod
    def reference(self, state: State) -> None:
        """Run on float32 buffers: the definition of right, as if inputs were read first."""

    def reference64(self, state: State) -> None:
        """Run on float64 buffers by the textbook formula.

        The same as ``reference`` where that only moves numbers or does one operation on each.
        """
        self.reference(state)

    @abstractmethod
    def lower(self, low: Lowering) -> None:
        """Append the steps that compute it."""

    @abstractmethod
    def pack(self, words: Words) -> None:
        """Append the words that ``instjit.gpu.predict`` reads it from."""

    @abstractmethod
    def cost(self, model: Model) -> Cost:
        """Work of one row."""

    def _numbers(self, part: Parts, without: str = "") -> tuple[int, ...]:
        found: list[int] = []
        for field in wire_fields(type(self)):
            value = getattr(self, field.name)
            if field.refers_to == part and field.name != without and value is not None:
                found += value if isinstance(value, tuple) else (value,)
        return tuple(found)


class InPlace(Instruction):
    """An instruction whose output is its one input."""

    __slots__ = ()

    input: int

    @property
    def output(self) -> int:  # type: ignore[override]
        """The buffer it changes."""
        return self.input
