"""Other numbers for a kernel: a model must be one, be right, and have the kernel's structure."""

from __future__ import annotations

from typing import Any

from instjit.errors import InputError, Problem
from instjit.model import Model
from instjit.validate import check


def check_model(model: Any) -> None:
    """Whether a kernel can be made of it.

    Raises
    ------
    InputError
        InputType for anything but a model.
    ModelError
        The model has problems.
    """
    if not isinstance(model, Model):
        sentence = f"with_weights takes an instjit.Model, not {type(model).__name__}"
        raise InputError(Problem("InputType", sentence))
    check(model)


def check_structure(kernel: str, model: str) -> None:
    """Whether a model's source has the digest of the kernel's; InputError (StructureMismatch)."""
    if kernel != model:
        sentence = (
            f"the model has another structure (0x{model[:8]}) than the kernel (0x{kernel[:8]}): "
            "compile it instead"
        )
        raise InputError(Problem("StructureMismatch", sentence))
