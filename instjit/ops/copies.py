"""Copies: a whole buffer to a place in another, or chosen slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instjit.cost import Cost
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire
from instjit.program import gather

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """``output[internal_index + k] = input[k]`` for every slot k of the input; other slots keep."""

    kind = "COPY"
    partial = True

    input: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")
    internal_index: int = wire(Wire.INDEX, default=0)

    def check_operands(self, checks: Checks) -> None:
        count, size = checks.size(self.input), checks.size(self.output)
        if count is None or size is None:
            return
        if self.internal_index < 0 or self.internal_index + count > size:
            checks.report(
                "InternalIndexOutOfBounds",
                f"{count} slots from slot {self.internal_index} do not fit buffer {self.output}, "
                f"which holds {size}",
                internal_index=self.internal_index,
                data_size=count,
                output_size=size,
            )

    def reference(self, state: State) -> None:
        state.write(self.output, state.buffers[self.input], self.internal_index)

    def lower(self, low: Lowering) -> None:
        value = low.read(self.input)
        low.write(self.output, value, self.internal_index, low.size(self.input))

    def pack(self, words: Words) -> None:
        words.copy(self.input, self.output, self.internal_index)

    def cost(self, model: Model) -> Cost:
        return Cost(moved=model.buffers[self.input].size)


@dataclass(frozen=True, slots=True)
class CopyMasked(Instruction):
    """``output[k] = input[indexes[k]]``; later slots of the output keep. Negative: from the end."""

    kind = "COPY_MASKED"
    partial = True

    input: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")
    indexes: tuple[int, ...] = wire(Wire.SLOTS)

    def check_operands(self, checks: Checks) -> None:
        count, size = checks.size(self.input), checks.size(self.output)
        if size is not None and len(self.indexes) > size:
            checks.report(
                "TooManyInternalIndexes",
                f"{len(self.indexes)} indexes do not fit buffer {self.output}, which holds {size}",
                indexes_size=len(self.indexes),
                output_size=size,
            )
        if count is None:
            return
        wrong = next((index for index in self.indexes if not -count <= index < count), None)
        if wrong is not None:
            checks.report(
                "InternalIndexOutOfInputBounds",
                f"index {wrong} is not a slot of buffer {self.input}, which holds {count}",
                input_size=count,
                invalid_index=wrong,
            )

    def reference(self, state: State) -> None:
        state.write(self.output, state.buffers[self.input][:, list(self.indexes)])

    def lower(self, low: Lowering) -> None:
        if not self.indexes:
            return
        slots = self._slots(low.model)
        if slots == tuple(range(slots[0], slots[0] + len(slots))):
            value = low.read(self.input, start=slots[0])
        else:
            value = low.read(self.input, gather(slots))
        low.write(self.output, value, 0, len(slots))

    def pack(self, words: Words) -> None:
        words.gather(self.input, self.output, self._slots(words.model))

    def cost(self, model: Model) -> Cost:
        return Cost(moved=len(self.indexes))

    def _slots(self, model: Model) -> tuple[int, ...]:
        """The indexes, none of them negative."""
        count = model.buffers[self.input].size
        return tuple(index + count if index < 0 else index for index in self.indexes)
