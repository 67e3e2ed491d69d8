"""A kernel's row function over constants that the caller passes, in the user's own Numba code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic


def with_constants(row: Callable[..., bool], floats: int, integers: int) -> Any:
    """``f(x_row, out_row, k, n)``, which checks what it is given.

    Parameters
    ----------
    row
        The jitted ``row(x, out, k, n)``: whether the lengths of x and out are right.
    floats, integers
        Entries of ``k`` and ``n``.
    """

    @numba.njit(error_model="numpy")
    def inline_of_constants(x: Any, out: Any, k: Any, n: Any) -> None:
        _check_constants(k, n)
        if k.size != floats or n.size != integers:
            raise ValueError(
                "inline_of_constants(x, out, k, n): k or n has another length than kernel.constants"
            )
        if not row(x, out, k, n):
            raise ValueError(
                "inline_of_constants(x, out, k, n): x or out has another length than the model "
                "takes"
            )

    return inline_of_constants


@intrinsic
def _check_constants(typing: Any, k: Any, n: Any) -> Any:
    """Numba's error for constants of another type: the steps take addresses."""
    for name, kind, dtype in (("k", k, types.float32), ("n", n, types.int32)):
        right = isinstance(kind, types.Array) and kind.dtype == dtype
        if not right or kind.layout != "C" or kind.ndim != 1:
            wanted = f"{name} must be a C-contiguous {dtype} array of one dimension"
            raise TypingError(f"{wanted}, as in kernel.constants, got {kind}")

    def codegen(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
        return context.get_dummy_value()

    return types.void(k, n), codegen
