"""What callers give for the parts of a model -> tuples, or one sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrays import DOUBLE, SINGLE
from instjit.errors import ModelError, Problem

if TYPE_CHECKING:
    from instjit.ops.instruction import Instruction


def arrays_of(
    freeze: Any, arrays: Iterable[Any], name: str, dtype: np.dtype[Any]
) -> tuple[FloatArray, ...]:
    """Arrays as ``freeze`` makes them."""
    several = enumerate(listed(arrays, name))
    return tuple(freeze(array, f"{name} {number}", dtype) for number, array in several)


def float_type(dtype: Any) -> np.dtype[Any]:
    """That of a name."""
    for known in (SINGLE, DOUBLE):
        if dtype == known.name:
            return known
    raise invalid(f"dtype: expected 'float32' or 'float64', got {dtype!r}")


def listed(values: Any, name: str) -> tuple[Any, ...]:
    """Anything that can be gone through, texts excepted."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable | np.ndarray):
        raise invalid(f"{name}: expected a list, got {type(values).__name__}")
    return tuple(values)


def feature_names(features: Any) -> tuple[str, ...]:
    """Names of columns."""
    return tuple(str(name) for name in listed(features, "features"))


def instructions_of(values: Any) -> tuple[Instruction, ...]:
    """Instructions, or what behaves as one."""
    several = listed(values, "instructions")
    for number, each in enumerate(several):
        if isinstance(each, type) or not callable(getattr(each, "reads", None)):
            raise invalid(
                f"instructions {number}: expected an instruction such as instjit.Copy(0, 1), "
                f"got {type(each).__name__} {getattr(each, '__name__', '')}".rstrip()
            )
    return several


def invalid(message: str) -> ModelError:
    """The error for an argument."""
    return ModelError(Problem("InvalidArgument", message))
