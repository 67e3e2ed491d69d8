"""The twelve activations: wire name, float32 sequence, and a plain float64 formula beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray, NumpyArithmetic
from instjit.errors import ModelError, Problem
from instjit.functions import FUNCTIONS
from instjit.program import FIXED, Expression, Literal, View, call
from instjit.summation import maximum_of, sum_of

if TYPE_CHECKING:
    from instjit.lower import Lowering

DoubleArray: TypeAlias = npt.NDArray[np.float64]
Formula: TypeAlias = Callable[[DoubleArray], DoubleArray]

BLOCK = 2**16
"""Columns that the reference works on at once: a sequence has some twenty arrays as large."""

_erf = np.frompyfunc(math.erf, 1, 1)


def _softmax64(x: DoubleArray) -> DoubleArray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    quotient: DoubleArray = powers / powers.sum(axis=1, keepdims=True)
    return quotient


def _gelu64(x: DoubleArray) -> DoubleArray:
    erf: DoubleArray = np.asarray(_erf(x / math.sqrt(2.0)), dtype=np.float64)
    return 0.5 * x * (1.0 + erf)


def _positive64(formula: Formula) -> Formula:
    """The formula where x > 0, else 0."""
    return lambda x: np.where(x > 0, formula(np.where(x > 0, x, 1.0)), 0.0)


class Activation(Enum):
    """What may follow a product, or stand alone (``Activate``).

    The value is the name on the wire; ``function`` names the sequence in ``instjit.functions``
    (None: softmax, which needs the whole buffer); ``float64`` is the textbook formula, for checks
    of accuracy.
    """

    function: str | None
    float64: Formula

    def __new__(cls, value: str, function: str | None, float64: Formula) -> Activation:
        """One member of the table below."""
        member = object.__new__(cls)
        member._value_ = value
        member.function = function
        member.float64 = float64
        return member

    RELU = "RELU", "relu", lambda x: np.where(x > 0, x, 0.0)
    SIGMOID = "SIGMOID", "sigmoid", lambda x: 1.0 / (1.0 + np.exp(-x))
    SOFTMAX = "SOFTMAX", None, _softmax64
    SQRT = "SQRT", "sqrt", _positive64(np.sqrt)
    LOG = "LOG", "log", _positive64(lambda x: np.log(x + 1.0))
    LOG10 = "LOG10", "log10", _positive64(lambda x: np.log10(x + 1.0))
    TANH = "TANH", "tanh", np.tanh
    INVERSE = "INVERSE", "inverse", lambda x: 1.0 - x
    GELU = "GELU", "gelu", _gelu64
    SOFTPLUS = "SOFTPLUS", "softplus", lambda x: np.logaddexp(0.0, x)
    EXP = "EXP", "exp_activation", lambda x: np.exp(np.clip(x, -88.0, 88.0))
    SIGN = "SIGN", "sign", np.sign

    def __repr__(self) -> str:
        return repr(self.value)

    @property
    def step(self) -> str:
        """``function``, or "softmax"."""
        return self.function or "softmax"

    def reference(self, x: FloatArray) -> FloatArray:
        """The activation of (rows, size) float32, in the operations the kernels use."""
        if self.function is None:
            return softmax(x)
        return _in_blocks(self.function, x)

    def lower_in_place(self, low: Lowering, buffer: int) -> None:
        """Append the steps that apply it to a whole buffer."""
        if self.function is None:
            low.write(buffer, lower_softmax(low, low.view(buffer)))
        else:
            low.write(buffer, call(self.function, low.read(buffer)))

    def operations(self, size: int) -> int:
        """Float32 operations over ``size`` slots."""
        each = (
            FUNCTIONS["softmax_exp"].cost + 4
            if self.function is None
            else FUNCTIONS[self.function].cost
        )
        return size * each


def activation_named(name: str | Activation) -> Activation:
    """The activation of that wire name; ModelError (InvalidActivation) for any other."""
    if isinstance(name, Activation):
        return name
    if name in Activation.__members__:
        return Activation[name]
    known = ", ".join(Activation.__members__)
    message = f"there is no activation {name!r}: expected one of {known}"
    raise ModelError(Problem("InvalidActivation", message, fields={"name": name}))


def softmax(x: FloatArray) -> FloatArray:
    """``exp(x - max) * (1 / sum)`` over each row, float32, summed in the order of a Reduce."""
    shifted = x - maximum_of(x)[:, None]
    powers = _in_blocks("softmax_exp", shifted)
    scale = np.float32(1.0) / sum_of(powers)
    return powers * scale[:, None]


def _in_blocks(function: str, x: FloatArray) -> FloatArray:
    """A function of (rows, size) float32; what it takes besides is that of ``BLOCK`` columns."""
    result = np.empty(x.shape, np.float32)
    for start in range(0, x.shape[1], BLOCK):
        part = x[:, start : start + BLOCK]
        result[:, start : start + BLOCK] = FUNCTIONS[function].sequence(NumpyArithmetic(), part)
    return result


def lower_softmax(low: Lowering, source: View) -> Expression:
    """Append a softmax's steps but the last product, and return that as an expression."""
    x = low.element(source)
    top = low.temporary(1)
    low.reduce("maximum", source.count, x, top)
    powers = low.temporary(source.count)
    low.map(powers, call("softmax_exp", call("sub", x, low.element(top, FIXED))))
    total, scale = low.temporary(1), low.temporary(1)
    low.reduce("sum", source.count, low.element(powers), total)
    low.map(scale, call("div", Literal(1.0), low.element(total)))  # a product costs a tenth of it
    return call("mul", low.element(powers), low.element(scale, FIXED))
