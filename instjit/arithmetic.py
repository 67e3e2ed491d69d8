"""The arithmetic that every scalar function is written over, and its meaning in NumPy.

A function in :mod:`instjit.functions` is one sequence of calls on an `Arithmetic`. NumPy here and
the LLVM vectors of the kernels implement the protocol, so both run the same IEEE operations.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Arithmetic", "BoolArray", "FloatArray", "IntArray", "NumpyArithmetic", "fma"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

F = TypeVar("F")
"""A float32 value of the back end."""
I = TypeVar("I")  # noqa: E741 - the pair F, I reads better than a longer name
"""An int32 value of the back end."""
B = TypeVar("B")
"""A mask: the result of a comparison."""


class Arithmetic(Protocol[F, I, B]):
    """Operations on opaque float32 values, int32 values and masks.

    Float operations round once, to nearest even, and keep subnormal numbers. Comparisons are
    ordered: false when either side is NaN. Integer operations wrap.
    """

    def const(self, value: float) -> F:
        """Float32 constant nearest to `value`."""

    def iconst(self, value: int) -> I:
        """Int32 constant."""

    def add(self, a: F, b: F) -> F:
        """`a + b`."""

    def sub(self, a: F, b: F) -> F:
        """`a - b`."""

    def mul(self, a: F, b: F) -> F:
        """`a * b`."""

    def div(self, a: F, b: F) -> F:
        """`a / b`."""

    def fma(self, a: F, b: F, c: F) -> F:
        """`a * b + c`, rounded once."""

    def sqrt(self, a: F) -> F:
        """Square root; NaN below zero."""

    def rint(self, a: F) -> F:
        """Nearest integer, ties to even."""

    def trunc(self, a: F) -> F:
        """Integer part, rounded towards zero."""

    def neg(self, a: F) -> F:
        """Flip the sign bit."""

    def abs(self, a: F) -> F:
        """Clear the sign bit."""

    def lt(self, a: F, b: F) -> B:
        """`a < b`."""

    def le(self, a: F, b: F) -> B:
        """`a <= b`."""

    def gt(self, a: F, b: F) -> B:
        """`a > b`."""

    def ge(self, a: F, b: F) -> B:
        """`a >= b`."""

    def eq(self, a: F, b: F) -> B:
        """`a == b`."""

    def isnan(self, a: F) -> B:
        """True where `a` is NaN."""

    def select(self, mask: B, a: F, b: F) -> F:
        """`a` where the mask is true, else `b`."""

    def to_int(self, a: F) -> I:
        """Truncate to int32; the value is in range."""

    def to_float(self, i: I) -> F:
        """Nearest float32."""

    def bits(self, a: F) -> I:
        """The 32 bits of `a` as an integer."""

    def from_bits(self, i: I) -> F:
        """The float32 with these 32 bits."""

    def iadd(self, i: I, j: I) -> I:
        """`i + j`."""

    def isub(self, i: I, j: I) -> I:
        """`i - j`."""

    def iand(self, i: I, j: I) -> I:
        """Bitwise and."""

    def ior(self, i: I, j: I) -> I:
        """Bitwise or."""

    def shl(self, i: I, n: int) -> I:
        """Shift left by `n` bits, 0 to 31."""

    def shr(self, i: I, n: int) -> I:
        """Arithmetic shift right by `n` bits, 0 to 31."""


_LOW_28 = np.int64((1 << 28) - 1)


def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> FloatArray:
    """Float32 a * b + c with one rounding, for arrays that broadcast.

    The product of two float32 numbers is exact in float64. The sum is not, and rounding it a second
    time to float32 is wrong where it lands on a midpoint of two float32 numbers that the exact sum
    misses (about one hard case in 7,000). A midpoint, of normal or subnormal float32 numbers, has
    its low 28 bits zero in float64, so only those elements are rounded to odd first (Boldo and
    Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Trans. Computers 57, 2008).

    Returns
    -------
    float32 array of the broadcast shape.
    """
    a, b, c = (np.asarray(v, dtype=np.float32) for v in (a, b, c))
    with np.errstate(all="ignore"):
        product = np.multiply(a, b, dtype=np.float64)
        total: npt.NDArray[np.float64] = np.asarray(np.add(product, c, dtype=np.float64))
        suspect = np.asarray((total.view(np.int64) & _LOW_28) == 0)
        if suspect.any():
            p, addend = (np.broadcast_to(v, total.shape)[suspect] for v in (product, c))
            total[suspect] = _to_odd(total[suspect], p, addend)
        return total.astype(np.float32)


def _to_odd(
    total: npt.NDArray[np.float64], p: npt.NDArray[np.float64], c: FloatArray
) -> npt.NDArray[np.float64]:
    """Move an inexact `total` = p + c, whose last bit is 0, to its odd neighbour on the exact side.

    The error is Knuth's TwoSum; it is NaN, and changes nothing, where an operand is not finite.
    """
    back = total - p
    error = (p - (total - back)) + (c - back)
    outward = error * total
    moved = total.view(np.int64) + (outward > 0) - (outward < 0)
    return moved.view(np.float64)


class NumpyArithmetic:
    """`Arithmetic` over NumPy: float32, int32 and bool arrays of any shapes that broadcast.

    Overflow and invalid operations are legal results here, so NumPy's warnings are off inside.
    """

    @staticmethod
    def _float(ufunc: np.ufunc, *operands: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            result: FloatArray = ufunc(*operands, dtype=np.float32)
        return result

    @staticmethod
    def _int(ufunc: np.ufunc, *operands: Any) -> IntArray:
        with np.errstate(all="ignore"):  # a scalar that wraps would warn; an array would not
            result: IntArray = ufunc(*operands, dtype=np.int32)
        return result

    @staticmethod
    def _mask(ufunc: np.ufunc, *operands: FloatArray) -> BoolArray:
        with np.errstate(all="ignore"):
            result: BoolArray = ufunc(*operands)
        return result

    def const(self, value: float) -> FloatArray:
        """Float32 constant nearest to `value`."""
        return np.asarray(value, dtype=np.float32)

    def iconst(self, value: int) -> IntArray:
        """Int32 constant."""
        return np.asarray(value, dtype=np.int32)

    def add(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """`a + b`."""
        return self._float(np.add, a, b)

    def sub(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """`a - b`."""
        return self._float(np.subtract, a, b)

    def mul(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """`a * b`."""
        return self._float(np.multiply, a, b)

    def div(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """`a / b`."""
        return self._float(np.divide, a, b)

    def fma(self, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
        """`a * b + c`, rounded once."""
        return fma(a, b, c)

    def sqrt(self, a: FloatArray) -> FloatArray:
        """Square root; NaN below zero."""
        return self._float(np.sqrt, a)

    def rint(self, a: FloatArray) -> FloatArray:
        """Nearest integer, ties to even."""
        return self._float(np.rint, a)

    def trunc(self, a: FloatArray) -> FloatArray:
        """Integer part, rounded towards zero."""
        return self._float(np.trunc, a)

    def neg(self, a: FloatArray) -> FloatArray:
        """Flip the sign bit."""
        return self._float(np.negative, a)

    def abs(self, a: FloatArray) -> FloatArray:
        """Clear the sign bit."""
        return self._float(np.absolute, a)

    def lt(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """`a < b`."""
        return self._mask(np.less, a, b)

    def le(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """`a <= b`."""
        return self._mask(np.less_equal, a, b)

    def gt(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """`a > b`."""
        return self._mask(np.greater, a, b)

    def ge(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """`a >= b`."""
        return self._mask(np.greater_equal, a, b)

    def eq(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """`a == b`."""
        return self._mask(np.equal, a, b)

    def isnan(self, a: FloatArray) -> BoolArray:
        """True where `a` is NaN."""
        return self._mask(np.isnan, a)

    def select(self, mask: BoolArray, a: FloatArray, b: FloatArray) -> FloatArray:
        """`a` where the mask is true, else `b`."""
        return np.where(mask, a, b)

    def to_int(self, a: FloatArray) -> IntArray:
        """Truncate to int32; the value is in range."""
        with np.errstate(all="ignore"):
            return a.astype(np.int32)

    def to_float(self, i: IntArray) -> FloatArray:
        """Nearest float32."""
        return i.astype(np.float32)

    def bits(self, a: FloatArray) -> IntArray:
        """The 32 bits of `a` as an integer."""
        return a.view(np.int32)

    def from_bits(self, i: IntArray) -> FloatArray:
        """The float32 with these 32 bits."""
        return i.view(np.float32)

    def iadd(self, i: IntArray, j: IntArray) -> IntArray:
        """`i + j`."""
        return self._int(np.add, i, j)

    def isub(self, i: IntArray, j: IntArray) -> IntArray:
        """`i - j`."""
        return self._int(np.subtract, i, j)

    def iand(self, i: IntArray, j: IntArray) -> IntArray:
        """Bitwise and."""
        return self._int(np.bitwise_and, i, j)

    def ior(self, i: IntArray, j: IntArray) -> IntArray:
        """Bitwise or."""
        return self._int(np.bitwise_or, i, j)

    def shl(self, i: IntArray, n: int) -> IntArray:
        """Shift left by `n` bits, 0 to 31."""
        return self._int(np.left_shift, i, np.int32(n))

    def shr(self, i: IntArray, n: int) -> IntArray:
        """Arithmetic shift right by `n` bits, 0 to 31."""
        return self._int(np.right_shift, i, np.int32(n))
