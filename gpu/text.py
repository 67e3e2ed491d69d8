"""The functions of ``instjit.functions`` as text: one straight line of primitive calls each.

`TextArithmetic` is an `Arithmetic` whose values are expressions and whose operations append
statements, so the sequence itself stays where it is. The primitives that the text calls have two
meanings: ``native`` (the GPU) and ``plain`` (Python).
"""

from __future__ import annotations

import math
from functools import cache

from instjit.functions import FUNCTIONS

__all__ = ["TextArithmetic", "called", "function_text", "number"]

OPERANDS = "abcd"


def called(name: str) -> str:
    """What the text calls a function of ``FUNCTIONS``: apart from primitives of the same name."""
    return f"{name}_of"


@cache
def function_text(name: str) -> str:
    """The definition of one function, ``def tanh_of(a): ...``, with a newline at its end.

    Parameters
    ----------
    name
        A key of ``FUNCTIONS``.
    """
    function = FUNCTIONS[name]
    operands = list(OPERANDS[: function.arity])
    text = TextArithmetic()
    result = function.sequence(text, *operands)
    body = "".join(f"    {line}\n" for line in (*text.lines, f"return {result}"))
    return f"def {called(name)}({', '.join(operands)}):\n{body}"


def number(value: float) -> str:
    """The expression of a float32 constant."""
    if math.isnan(value):
        return "not_a_number"
    if math.isinf(value):
        return "infinity" if value > 0 else "minus_infinity"
    return f"f32({float(value)!r})"


class TextArithmetic:
    """`Arithmetic` that writes: float32, int32 and mask values are all expressions.

    Attributes
    ----------
    lines
        The statements so far, ``t0 = fma(a, f32(0.5), t2)`` and the like.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[str, str] = {}

    def _said(self, expression: str) -> str:
        """The name that holds the expression's value; the same one when it was said before."""
        name = self._known.get(expression)
        if name is None:
            name = self._known[expression] = f"t{len(self.lines)}"
            self.lines.append(f"{name} = {expression}")
        return name

    def const(self, value: float) -> str:
        """Float32 constant nearest to `value`."""
        return number(value)

    def iconst(self, value: int) -> str:
        """Int32 constant."""
        return f"i32({value})"

    def add(self, a: str, b: str) -> str:
        """`a + b`."""
        return self._said(f"add({a}, {b})")

    def sub(self, a: str, b: str) -> str:
        """`a - b`."""
        return self._said(f"sub({a}, {b})")

    def mul(self, a: str, b: str) -> str:
        """`a * b`."""
        return self._said(f"mul({a}, {b})")

    def div(self, a: str, b: str) -> str:
        """`a / b`."""
        return self._said(f"div({a}, {b})")

    def fma(self, a: str, b: str, c: str) -> str:
        """`a * b + c`, rounded once."""
        return self._said(f"fma({a}, {b}, {c})")

    def sqrt(self, a: str) -> str:
        """Square root; NaN below zero."""
        return self._said(f"sqrt({a})")

    def rint(self, a: str) -> str:
        """Nearest integer, ties to even."""
        return self._said(f"rint({a})")

    def trunc(self, a: str) -> str:
        """Integer part, rounded towards zero."""
        return self._said(f"trunc({a})")

    def neg(self, a: str) -> str:
        """Flip the sign bit."""
        return self._said(f"neg({a})")

    def abs(self, a: str) -> str:
        """Clear the sign bit."""
        return self._said(f"absolute({a})")

    def lt(self, a: str, b: str) -> str:
        """`a < b`."""
        return f"{a} < {b}"

    def le(self, a: str, b: str) -> str:
        """`a <= b`."""
        return f"{a} <= {b}"

    def gt(self, a: str, b: str) -> str:
        """`a > b`."""
        return f"{a} > {b}"

    def ge(self, a: str, b: str) -> str:
        """`a >= b`."""
        return f"{a} >= {b}"

    def eq(self, a: str, b: str) -> str:
        """`a == b`."""
        return f"{a} == {b}"

    def isnan(self, a: str) -> str:
        """True where `a` is NaN."""
        return f"{a} != {a}"

    def select(self, mask: str, a: str, b: str) -> str:
        """`a` where the mask is true, else `b`."""
        return self._said(f"select({mask}, {a}, {b})")

    def to_int(self, a: str) -> str:
        """Truncate to int32; the value is in range."""
        return self._said(f"to_int({a})")

    def to_float(self, i: str) -> str:
        """Nearest float32."""
        return self._said(f"to_float({i})")

    def bits(self, a: str) -> str:
        """The 32 bits of `a` as an integer."""
        return self._said(f"bits({a})")

    def from_bits(self, i: str) -> str:
        """The float32 with these 32 bits."""
        return self._said(f"from_bits({i})")

    def iadd(self, i: str, j: str) -> str:
        """`i + j`."""
        return self._said(f"iadd({i}, {j})")

    def isub(self, i: str, j: str) -> str:
        """`i - j`."""
        return self._said(f"isub({i}, {j})")

    def iand(self, i: str, j: str) -> str:
        """Bitwise and."""
        return self._said(f"iand({i}, {j})")

    def ior(self, i: str, j: str) -> str:
        """Bitwise or."""
        return self._said(f"ior({i}, {j})")

    def shl(self, i: str, n: int) -> str:
        """Shift left by `n` bits, 0 to 31."""
        return self._said(f"shl({i}, {n})")

    def shr(self, i: str, n: int) -> str:
        """Arithmetic shift right by `n` bits, 0 to 31."""
        return self._said(f"shr({i}, {n})")
