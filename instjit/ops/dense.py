"""Matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instjit.cost import Cost
from instjit.ops.activation import Activation
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire
from instjit.summation import product

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


@dataclass(frozen=True, slots=True)
class Dot(Instruction):
    """``output = activation(weights @ input + bias)``; weights are [output][input]."""

    kind = "DOT"

    input: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")
    weights: int = wire(Wire.INDEX, "weights")
    activation: Activation | None = wire(Wire.ACTIVATION, optional=True)

    def check_operands(self, checks: Checks) -> None:
        if self.input == self.output and checks.size(self.input) is not None:
            message = f"input and output are both buffer {self.input}"
            checks.report("SameInputOutputIndexes", message, instruction_type=self.kind)
        checks.filled(self.input)
        if checks.weights(self.weights):
            checks.matrix(self.weights, self.output, self.input)

    def reference(self, state: State) -> None:
        model = state.model
        sums = product(
            model.weights[self.weights], model.bias[self.weights], state.buffers[self.input]
        )
        state.write(
            self.output, sums if self.activation is None else self.activation.reference(sums)
        )

    def reference64(self, state: State) -> None:
        weights = state.model.weights[self.weights].astype(np.float64)
        sums = state.buffers[self.input] @ weights.T + state.model.bias[self.weights]
        state.write(self.output, sums if self.activation is None else self.activation.float64(sums))

    def lower(self, low: Lowering) -> None:
        source = low.view(self.input)
        low.gemm(self.weights, source, low.target(self.output))
        if self.activation is not None:
            self.activation.lower_in_place(low, self.output)

    def pack(self, words: Words) -> None:
        after = "" if self.activation is None else self.activation.step
        words.product(self.weights, self.input, self.output, after)

    def cost(self, model: Model) -> Cost:
        size = model.buffers[self.output].size
        weights = model.weights[self.weights].size
        operations = 0 if self.activation is None else self.activation.operations(size)
        return Cost(multiply_adds=weights, operations=operations, constants=weights + size)
