"""What a row and a batch of rows cost, counted from the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from instjit.arithmetic import FloatArray
from instjit.arrays import SINGLE, entries, is_ragged
from instjit.counted import shown, whole
from instjit.errors import InputError, ModelError, Problem

if TYPE_CHECKING:
    from instjit.model import Model


LARGEST = 2**128 - 1
"""Largest size in a profile: the crate's estimators count in 128 bits."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one row.

    ``multiply_adds`` are those of matrix products, ``operations`` all other float32 operations,
    ``moved`` the float32 slots copied or gathered, ``constants`` the float32 constants read.
    """

    multiply_adds: int = 0
    operations: int = 0
    moved: int = 0
    constants: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.multiply_adds + other.multiply_adds,
            self.operations + other.operations,
            self.moved + other.moved,
            self.constants + other.constants,
        )

    @property
    def flops(self) -> int:
        """Floating-point operations of a row, a multiply-add counting as two."""
        return 2 * self.multiply_adds + self.operations


@dataclass(frozen=True, slots=True)
class ModelCost(Cost):
    """Work of one row, and what a batch of rows takes in work and in memory.

    Attributes
    ----------
    parameters
        Numbers that the model holds in weights, biases, parameter vectors and maps. An array that
        several instructions name counts once; ranges that layers of an RMD1 file share count for
        each layer, as each has arrays of its own.
    parameter_bytes
        Bytes of all of them.
    row_bytes
        Bytes of all buffers of one row.
    batch
        Rows of a batch.
    budget
        Bytes that a batch may take; None for no bound.
    """

    parameters: int = 0
    parameter_bytes: int = 0
    row_bytes: int = 0
    batch: int = 1
    budget: int | None = None

    @property
    def row(self) -> Cost:
        """Work of one row alone."""
        return Cost(self.multiply_adds, self.operations, self.moved, self.constants)

    @property
    def batch_flops(self) -> int:
        """Floating-point operations of a batch."""
        return self.batch * self.flops

    @property
    def batch_bytes(self) -> int:
        """Bytes of all buffers of all rows of a batch."""
        return self.batch * self.row_bytes

    @property
    def memory(self) -> int:
        """Bytes of the parameters and of a batch's buffers."""
        return self.parameter_bytes + self.batch_bytes

    @property
    def fits(self) -> bool | None:
        """Whether the memory is within the budget; None without one."""
        return None if self.budget is None else self.memory <= self.budget

    @property
    def headroom(self) -> int | None:
        """Bytes of the budget that are left, 0 when it is too small; None without one."""
        return None if self.budget is None else max(0, self.budget - self.memory)

    @property
    def intensity(self) -> float:
        """Floating-point operations of a batch for each byte of its memory."""
        return self.batch_flops / self.memory if self.memory else 0.0


def cost(
    model: Model,
    *,
    batch: int = 1,
    budget: int | None = None,
    parameter_bytes: int | None = None,
    activation_bytes: int = 4,
) -> ModelCost:
    """What a model without problems takes.

    Parameters
    ----------
    model
        The model.
    batch
        Rows of a batch.
    budget
        Bytes that the parameters and the buffers of a batch may take together.
    parameter_bytes
        Bytes of one parameter; those of the model's own arrays when left out.
    activation_bytes
        Bytes of one slot of a buffer.

    Raises
    ------
    ModelError
        ``InvalidModel`` for an instruction that names what the model does not have.
    InputError
        ``InvalidProfile`` for a batch or a size below 1, a budget below 0, or what is no integer;
        ``Overflow`` for one of them above 2^128 - 1.
    """
    batch = _at_least(1, batch, "batch")
    slot = _at_least(1, activation_bytes, "activation_bytes")
    each = None if parameter_bytes is None else _at_least(1, parameter_bytes, "parameter_bytes")
    most = None if budget is None else _at_least(0, budget, "budget")
    row = _row(model)
    arrays = [*model.weights, *model.bias, *model.parameters, *(m.values for m in model.maps)]
    counts = [_numbers(array) for array in arrays]
    held = sum(
        count * (each or _item_bytes(array)) for count, array in zip(counts, arrays, strict=True)
    )
    return ModelCost(
        row.multiply_adds,
        row.operations,
        row.moved,
        row.constants,
        sum(counts),
        held,
        model.required_memory * slot,
        batch,
        most,
    )


def _row(model: Model) -> Cost:
    total = Cost()
    for number, instruction in enumerate(model.instructions):
        try:
            total += instruction.cost(model)
        except IndexError as error:
            message = f"instruction {number} names what the model does not have: validate tells"
            raise ModelError(Problem("InvalidModel", message, number)) from error
    return total


def _numbers(array: FloatArray) -> int:
    return entries(array) if is_ragged(array) else array.size


def _item_bytes(array: FloatArray) -> int:
    return SINGLE.itemsize if is_ragged(array) else array.itemsize


def _at_least(least: int, value: Any, name: str) -> int:
    try:
        number = whole(value)
    except TypeError:
        number = least - 1
    if number < least:
        message = f"{name}: expected an integer of at least {least}, got {shown(value)}"
        raise InputError(Problem("InvalidProfile", message))
    if number > LARGEST:
        message = f"{name}: expected an integer of at most 2^128 - 1, got {shown(number)}"
        raise InputError(Problem("Overflow", message))
    return number
