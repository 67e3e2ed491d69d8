"""What a row costs, counted from the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instjit.errors import ModelError, Problem

if TYPE_CHECKING:
    from instjit.model import Model


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


def cost(model: Model) -> Cost:
    """Sum over the instructions of a model without problems.

    Raises
    ------
    ModelError
        ``InvalidModel`` for an instruction that names what the model does not have.
    """
    total = Cost()
    for number, instruction in enumerate(model.instructions):
        try:
            total += instruction.cost(model)
        except IndexError as error:
            message = f"instruction {number} names what the model does not have: validate tells"
            raise ModelError(Problem("InvalidModel", message, number)) from error
    return total
