"""One value for every block of consecutive slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instjit.cost import Cost
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire
from instjit.program import call, repeat

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


class Heads(Instruction):
    """``output[h * d + k] = data[h * d + k] . heads[h]`` with d = n(data) / n(heads)."""

    __slots__ = ()

    input: tuple[int, ...]

    def check_operands(self, checks: Checks) -> None:
        if len(self.input) != 2:
            message = f"expected two inputs, data and heads, got {len(self.input)}"
            checks.report("InsufficientInputBuffers", message)
            return
        data, heads = (checks.size(buffer) for buffer in self.input)
        if data is not None and heads is not None and (heads == 0 or data == 0 or data % heads):
            checks.report(
                "InvalidBufferHeadsSize",
                f"{data} slots of data cannot be shared out to {heads} heads",
                data_size=data,
                heads_size=heads,
            )
        checks.same_size(0, self.input[0], self.output)

    def cost(self, model: Model) -> Cost:
        return Cost(operations=model.buffers[self.output].size)

    def _operands(self, state: State) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        data, heads = (state.buffers[buffer] for buffer in self.input)
        return data, np.repeat(heads, data.shape[1] // heads.shape[1], axis=1)

    def _lower(self, low: Lowering, function: str) -> None:
        data, heads = self.input
        every = low.size(data) // low.size(heads)
        low.write(self.output, call(function, low.read(data), low.read(heads, repeat(every))))


@dataclass(frozen=True, slots=True)
class MultiplyBufferHeads(Heads):
    """``output[h * d + k] = data[h * d + k] * heads[h]`` with d = n(data) / n(heads)."""

    kind = "MULTIPLY_BUFFER_HEADS"

    input: tuple[int, ...] = wire(Wire.INDEXES, "buffers")
    output: int = wire(Wire.INDEX, "buffers")

    def reference(self, state: State) -> None:
        data, heads = self._operands(state)
        state.write(self.output, data * heads)

    def lower(self, low: Lowering) -> None:
        self._lower(low, "mul")

    def pack(self, words: Words) -> None:
        words.heads("mul", self.input, self.output)


@dataclass(frozen=True, slots=True)
class AddBufferHeads(Heads):
    """``output[h * d + k] = data[h * d + k] + heads[h]`` with d = n(data) / n(heads)."""

    kind = "ADD_BUFFER_HEADS"

    input: tuple[int, ...] = wire(Wire.INDEXES, "buffers")
    output: int = wire(Wire.INDEX, "buffers")

    def reference(self, state: State) -> None:
        data, heads = self._operands(state)
        state.write(self.output, data + heads)

    def lower(self, low: Lowering) -> None:
        self._lower(low, "add")

    def pack(self, words: Words) -> None:
        words.heads("add", self.input, self.output)
