"""In place, slot by slot: an activation, or a parameter vector added, multiplied or clipped to.

A parameter vector of one number goes for every slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instjit.arithmetic import FloatArray, NumpyArithmetic
from instjit.cost import Cost
from instjit.functions import FUNCTIONS
from instjit.ops.activation import Activation
from instjit.ops.instruction import InPlace
from instjit.ops.wire import Wire, wire
from instjit.program import EACH, FIXED, Constant, Expression, call

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


@dataclass(frozen=True, slots=True)
class Activate(InPlace):
    """``input = activation(input)``."""

    kind = "ACTIVATION"

    input: int = wire(Wire.INDEX, "buffers")
    activation: Activation = wire(Wire.ACTIVATION)

    def check_operands(self, checks: Checks) -> None:
        if self.activation is Activation.SOFTMAX:
            checks.filled(self.input)

    def reference(self, state: State) -> None:
        state.write(self.input, self.activation.reference(state.buffers[self.input]))

    def reference64(self, state: State) -> None:
        state.write(self.input, self.activation.float64(state.buffers[self.input]))

    def lower(self, low: Lowering) -> None:
        self.activation.lower_in_place(low, self.input)

    def pack(self, words: Words) -> None:
        words.activation(self.input, self.activation.step)

    def cost(self, model: Model) -> Cost:
        return Cost(operations=self.activation.operations(model.buffers[self.input].size))


class VectorElementwise(InPlace):
    """``input = input . parameters``."""

    __slots__ = ()

    parameters: int

    def check_operands(self, checks: Checks) -> None:
        checks.parameters(self.parameters, self.input)

    def cost(self, model: Model) -> Cost:
        size = model.buffers[self.input].size
        return Cost(operations=size, constants=len(model.parameters[self.parameters]))

    def _lower(self, low: Lowering, function: str) -> None:
        vector = parameter(low.model, self.parameters)
        low.write(self.input, call(function, low.read(self.input), vector))


@dataclass(frozen=True, slots=True)
class AddElementwise(VectorElementwise):
    """``input = input + parameters``."""

    kind = "ADD_ELEMENTWISE"

    input: int = wire(Wire.INDEX, "buffers")
    parameters: int = wire(Wire.INDEX, "parameters")

    def reference(self, state: State) -> None:
        vector = state.model.parameters[self.parameters]
        state.write(self.input, state.buffers[self.input] + vector)

    def lower(self, low: Lowering) -> None:
        self._lower(low, "add")

    def pack(self, words: Words) -> None:
        words.vector("add", self.input, self.parameters)


@dataclass(frozen=True, slots=True)
class MulElementwise(VectorElementwise):
    """``input = input * parameters``."""

    kind = "MUL_ELEMENTWISE"

    input: int = wire(Wire.INDEX, "buffers")
    parameters: int = wire(Wire.INDEX, "parameters")

    def reference(self, state: State) -> None:
        vector = state.model.parameters[self.parameters]
        state.write(self.input, state.buffers[self.input] * vector)

    def lower(self, low: Lowering) -> None:
        self._lower(low, "mul")

    def pack(self, words: Words) -> None:
        words.vector("mul", self.input, self.parameters)


@dataclass(frozen=True, slots=True)
class ClipElementwise(InPlace):
    """``input = min(max(input, parameters_min), parameters_max)``.

    The upper bound wins, NaN stays; without bounds nothing happens.
    """

    kind = "CLIP_ELEMENTWISE"

    input: int = wire(Wire.INDEX, "buffers")
    parameters_min: int | None = wire(Wire.INDEX, "parameters", optional=True)
    parameters_max: int | None = wire(Wire.INDEX, "parameters", optional=True)

    def check_operands(self, checks: Checks) -> None:
        for vector in self.constants("parameters"):
            checks.parameters(vector, self.input)

    def reference(self, state: State) -> None:
        arithmetic = NumpyArithmetic()
        x = state.buffers[self.input]
        for name, bound in (("max", self.parameters_min), ("min", self.parameters_max)):
            if bound is not None:
                limit = _spread(state.model.parameters[bound], x)
                x = FUNCTIONS[name].sequence(arithmetic, x, limit)
        state.write(self.input, x)

    def reference64(self, state: State) -> None:
        x = state.buffers[self.input]
        if self.parameters_min is not None:
            x = np.maximum(x, state.model.parameters[self.parameters_min])
        if self.parameters_max is not None:
            x = np.minimum(x, state.model.parameters[self.parameters_max])
        state.write(self.input, x)

    def lower(self, low: Lowering) -> None:
        value: Expression = low.read(self.input)
        changed = False
        for name, bound in (("max", self.parameters_min), ("min", self.parameters_max)):
            if bound is not None:
                value, changed = call(name, value, parameter(low.model, bound)), True
        if changed:
            low.write(self.input, value)

    def pack(self, words: Words) -> None:
        words.clip(self.input, self.parameters_min, self.parameters_max)

    def cost(self, model: Model) -> Cost:
        bounds = self.constants("parameters")
        size = model.buffers[self.input].size
        constants = sum(len(model.parameters[bound]) for bound in bounds)
        return Cost(operations=size * len(bounds), constants=constants)


def parameter(model: Model, vector: int) -> Constant:
    """A parameter vector as a leaf: one number for every slot, or one for each."""
    return Constant(vector, FIXED if len(model.parameters[vector]) == 1 else EACH)


def _spread(vector: FloatArray, x: FloatArray) -> FloatArray:
    return np.broadcast_to(vector, x.shape)
