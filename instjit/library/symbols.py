"""What object code may leave open."""

from __future__ import annotations

from instjit.errors import CompileError, Problem
from instjit.kernels.elf import undefined

ALLOWED = frozenset(["fmaf", "rintf", "truncf", "sqrtf", "fabsf", "memcpy", "memset", "memmove"])
"""Of the C and the mathematics library."""


def check(content: bytes) -> None:
    """Refuse object code that needs more than the C and the mathematics library.

    Raises
    ------
    CompileError
        UndefinedSymbols.
    """
    found = (name.removeprefix("__aeabi_") for name in undefined(content) or ())
    others = sorted(set(found) - ALLOWED)
    if others:
        sentence = (
            f"the object code needs {', '.join(others)}, which is not in the C and the "
            'mathematics library: emit "c" and compile that'
        )
        raise CompileError(Problem("UndefinedSymbols", sentence, fields={"symbols": others}))
