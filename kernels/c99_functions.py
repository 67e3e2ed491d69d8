"""The functions of ``instjit.functions`` as C99: one straight line of float operations each.

``functions_text()`` is a text of all of them that another C file can include; ``function_text``
and ``prelude`` are its parts, for texts that need a few. ``CArithmetic`` is an `Arithmetic` whose
values are C expressions and whose operations append statements: the sequences stay where they are.

A statement has one operation, so there is nothing to contract. Integers are ``uint32_t``: they
wrap, and no shift is of a signed number. Beside what the compiler inlines a text calls ``fmaf``
and, for square roots, ``sqrtf``; both are exact by IEEE 754.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

from instjit.functions import FUNCTIONS

OPERANDS = "ab"

FLOAT, WORD, MASK = "float", "uint32_t", ""

OPERATIONS: dict[str, tuple[str, str]] = {
    "add": (FLOAT, "{} + {}"),
    "sub": (FLOAT, "{} - {}"),
    "mul": (FLOAT, "{} * {}"),
    "div": (FLOAT, "{} / {}"),
    "fma": (FLOAT, "fmaf({}, {}, {})"),
    "sqrt": (FLOAT, "sqrtf({})"),
    "rint": (FLOAT, "rintf({})"),
    "trunc": (FLOAT, "truncf({})"),
    "neg": (FLOAT, "-({})"),
    "abs": (FLOAT, "ij_float(ij_bits({}) & 0x7fffffffu)"),
    "lt": (MASK, "{} < {}"),
    "le": (MASK, "{} <= {}"),
    "gt": (MASK, "{} > {}"),
    "ge": (MASK, "{} >= {}"),
    "eq": (MASK, "{} == {}"),
    "isnan": (MASK, "{0} != {0}"),
    "select": (FLOAT, "{} ? {} : {}"),
    "to_int": (WORD, "(uint32_t)(int32_t){}"),
    "to_float": (FLOAT, "ij_whole({})"),
    "bits": (WORD, "ij_bits({})"),
    "from_bits": (FLOAT, "ij_float({})"),
    "iadd": (WORD, "{} + {}"),
    "isub": (WORD, "{} - {}"),
    "iand": (WORD, "{} & {}"),
    "ior": (WORD, "{} | {}"),
    "shl": (WORD, "{} << {}"),
    "shr": (WORD, "({0} >> {1}) | ((0u - ({0} >> 31)) << (31 - {1}) << 1)"),
}
"""The type of each operation of an `Arithmetic` and what the text says; a mask stands within a
select. An arithmetic shift repeats the sign bit."""

HEAD = """\
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float operations must round to float: use SSE or another unit without wider registers"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math changes results: leave it out"
#endif
#if !defined __GNUC__ || defined __clang__
#pragma STDC FP_CONTRACT OFF
#endif
"""

CASTS = {
    "ij_bits": """\
static inline uint32_t ij_bits(float a)
{
    uint32_t i;
    memcpy(&i, &a, sizeof i);
    return i;
}
""",
    "ij_float": """\
static inline float ij_float(uint32_t i)
{
    float a;
    memcpy(&a, &i, sizeof a);
    return a;
}
""",
    "ij_whole": """\
/* The float nearest to a signed number. */
static inline float ij_whole(uint32_t i)
{
    int32_t number;
    memcpy(&number, &i, sizeof number);
    return (float)number;
}
""",
}
"""The 32 bits of a float, and what has them, by the C standard's own way."""


def called(name: str) -> str:
    """What the text calls a function of ``FUNCTIONS``."""
    return f"ij_{name}"


def number(value: float) -> str:
    """The C constant of the nearest float32, in hexadecimal."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits, exponent = float(np.float32(value)).hex().split("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}f"


@cache
def function_text(name: str) -> str:
    """The definition of one function, ``static inline float ij_tanh(float a)``.

    Parameters
    ----------
    name
        A key of ``FUNCTIONS``.
    """
    function = FUNCTIONS[name]
    operands = list(OPERANDS[: function.arity])
    text = CArithmetic()
    result = function.sequence(text, *operands)
    body = "".join(f"    {line}\n" for line in (*text.lines, f"return {result};"))
    parameters = ", ".join(f"float {operand}" for operand in operands)
    return f"static inline float {called(name)}({parameters})\n{{\n{body}}}\n"


def functions_text(names: Iterable[str] = tuple(FUNCTIONS)) -> str:
    """A C99 text that defines functions, ``static inline``, and all that they need.

    Parameters
    ----------
    names
        Keys of ``FUNCTIONS``; all by default.
    """
    return prelude("\n".join(function_text(name) for name in names))


def prelude(text: str) -> str:
    """The text after the includes, the guards and the casts that it calls."""
    casts = [cast for name, cast in CASTS.items() if f"{name}(" in text]
    return "\n".join((HEAD, *casts, text))


class CArithmetic:
    """`Arithmetic` that writes: float, word and mask values are all C expressions.

    Attributes
    ----------
    lines
        The statements so far, ``const float t0 = fmaf(a, 0x1p-1f, t2);`` and the like.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[str, str] = {}

    def const(self, value: float) -> str:
        """Float32 constant nearest to `value`."""
        return number(value)

    def iconst(self, value: int) -> str:
        """Int32 constant."""
        return f"0x{value & 0xFFFFFFFF:x}u"

    def __getattr__(self, name: str) -> Callable[..., str]:
        try:
            kind, form = OPERATIONS[name]
        except KeyError:
            raise AttributeError(name) from None
        return lambda *operands: self._said(kind, form.format(*operands))

    def _said(self, kind: str, expression: Any) -> str:
        """The name that holds the expression's value; the same one when it was said before."""
        if not kind:
            return str(expression)
        name = self._known.get(expression)
        if name is None:
            name = self._known[expression] = f"t{len(self.lines)}"
            self.lines.append(f"const {kind} {name} = {expression};")
        return name
