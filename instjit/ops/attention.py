"""The softmax gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instjit.cost import Cost
from instjit.ops.activation import Activation, lower_softmax, softmax
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire
from instjit.program import call
from instjit.summation import product

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


@dataclass(frozen=True, slots=True)
class Attention(Instruction):
    """``output = softmax(weights @ key + bias) * input``.

    ``input`` is the query, as wide as the output. A gate: no scaling by the width, no value matrix,
    no sum.
    """

    kind = "ATTENTION"

    input: int = wire(Wire.INDEX, "buffers")
    key: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")
    weights: int = wire(Wire.INDEX, "weights")

    def check_operands(self, checks: Checks) -> None:
        known = checks.weights(self.weights)
        checks.same_size(0, self.input, self.output)
        for buffer in dict.fromkeys(self.reads()):
            checks.filled(buffer)
        if known:
            checks.matrix(self.weights, self.output, self.key)

    def reference(self, state: State) -> None:
        model = state.model
        scores = product(
            model.weights[self.weights], model.bias[self.weights], state.buffers[self.key]
        )
        state.write(self.output, softmax(scores) * state.buffers[self.input])

    def reference64(self, state: State) -> None:
        weights = state.model.weights[self.weights].astype(np.float64)
        scores = state.buffers[self.key] @ weights.T + state.model.bias[self.weights]
        state.write(self.output, Activation.SOFTMAX.float64(scores) * state.buffers[self.input])

    def lower(self, low: Lowering) -> None:
        query = low.read(self.input)
        scores = low.temporary(low.size(self.output))
        low.gemm(self.weights, low.view(self.key), scores)
        low.write(self.output, call("mul", lower_softmax(low, scores), query))

    def pack(self, words: Words) -> None:
        words.gate(self.weights, self.key, self.input, self.output)

    def cost(self, model: Model) -> Cost:
        size = model.buffers[self.output].size
        weights = model.weights[self.weights].size
        operations = Activation.SOFTMAX.operations(size) + size
        return Cost(multiply_adds=weights, operations=operations, constants=weights + size)
