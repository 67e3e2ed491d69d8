"""Several buffers joined slot by slot, and the sum of one buffer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from instjit.cost import Cost
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire
from instjit.program import Expression, call
from instjit.summation import sum_of

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State

JOINED_AT_ONCE = 16
"""Buffers in one expression: what walks expressions recurses, and a file may name thousands."""


class ElementwiseBuffers(Instruction):
    """``output = (input[0] . input[1]) . input[2] ...``; all as wide as the output."""

    __slots__ = ()

    input: tuple[int, ...]

    def check_operands(self, checks: Checks) -> None:
        if not self.input:
            checks.report("InsufficientInputBuffers", "expected one input or more, got none")
        for position, buffer in enumerate(self.input):
            checks.same_size(position, buffer, self.output)

    def cost(self, model: Model) -> Cost:
        size, joins = model.buffers[self.output].size, len(self.input) - 1
        return Cost(operations=size * joins, moved=0 if joins else size)

    def _lower(self, low: Lowering, function: str) -> None:
        values: list[Expression] = [low.read(buffer) for buffer in self.input]
        joined = values[0]
        for number, value in enumerate(values[1:], 1):
            joined = call(function, joined, value)
            if number % JOINED_AT_ONCE == 0:
                partial = low.temporary(low.size(self.output))
                low.map(partial, joined)
                joined = low.element(partial)
        low.write(self.output, joined)


@dataclass(frozen=True, slots=True)
class AddElementwiseBuffers(ElementwiseBuffers):
    """``output = (input[0] + input[1]) + input[2] ...``."""

    kind = "ADD_ELEMENTWISE_BUFFERS"

    input: tuple[int, ...] = wire(Wire.INDEXES, "buffers")
    output: int = wire(Wire.INDEX, "buffers")

    def reference(self, state: State) -> None:
        values = [state.buffers[buffer] for buffer in self.input]
        state.write(self.output, reduce(lambda joined, value: joined + value, values))

    def lower(self, low: Lowering) -> None:
        self._lower(low, "add")

    def pack(self, words: Words) -> None:
        words.join("add", self.input, self.output)


@dataclass(frozen=True, slots=True)
class MultiplyElementwiseBuffers(ElementwiseBuffers):
    """``output = (input[0] * input[1]) * input[2] ...``."""

    kind = "MULTIPLY_ELEMENTWISE_BUFFERS"

    input: tuple[int, ...] = wire(Wire.INDEXES, "buffers")
    output: int = wire(Wire.INDEX, "buffers")

    def reference(self, state: State) -> None:
        values = [state.buffers[buffer] for buffer in self.input]
        state.write(self.output, reduce(lambda joined, value: joined * value, values))

    def lower(self, low: Lowering) -> None:
        self._lower(low, "mul")

    def pack(self, words: Words) -> None:
        words.join("mul", self.input, self.output)


@dataclass(frozen=True, slots=True)
class ReduceSum(Instruction):
    """``output[0] = sum of input``; other slots of the output keep."""

    kind = "REDUCE_SUM"

    input: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")

    def check_operands(self, checks: Checks) -> None:
        checks.filled(self.input)
        if checks.size(self.output) == 0 and self.output != self.input:
            checks.filled(self.output)

    def reference(self, state: State) -> None:
        state.write(self.output, sum_of(state.buffers[self.input])[:, None])

    def reference64(self, state: State) -> None:
        state.write(self.output, state.buffers[self.input].sum(axis=1, keepdims=True))

    def lower(self, low: Lowering) -> None:
        value = low.read(self.input)
        whole = low.size(self.output) == 1
        target = low.target(self.output) if whole else low.view(self.output, 0, 1)
        low.reduce("sum", low.size(self.input), value, target)

    def pack(self, words: Words) -> None:
        words.sum(self.input, self.output)

    def cost(self, model: Model) -> Cost:
        return Cost(operations=model.buffers[self.input].size)
