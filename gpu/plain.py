"""The primitives of the generated text in plain Python, over NumPy's float32 and int32 scalars.

Used where the text runs unjitted and under the CUDA simulator, which has no ``libdevice`` and whose
``fma`` rounds twice. The bits are those of every other target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numpy as np

from instjit import arithmetic
from instjit.kernels.packing import Floats

Float = np.float32
Int = np.int32

C = TypeVar("C", bound=Callable[..., Any])

SIGNIFICANT = 2.0**25
"""A midpoint of two float32 numbers has no more than 25 significant bits."""


@cache
def namespace() -> dict[str, Any]:
    """The primitives by name; copy it before adding to it."""
    return {
        "float32": np.dtype(Float),
        "f32": Float,
        "i32": Int,
        "i64": int,
        "infinity": Float(np.inf),
        "minus_infinity": Float(-np.inf),
        "not_a_number": Float(np.nan),
        **{function.__name__: function for function in _PRIMITIVES},
    }


def _quiet(function: C) -> C:
    """No warnings: overflow and NaN are legal results, and int32 wraps."""
    quiet: C = np.errstate(all="ignore")(function)
    return quiet


@_quiet
def fma(a: Float, b: Float, c: Float) -> Float:
    """``a * b + c``, rounded once."""
    product = float(a) * float(b)  # exact in float64
    addend = float(c)
    total = product + addend
    if not (math.frexp(total)[0] * SIGNIFICANT).is_integer():
        return Float(total)
    back = total - product
    if (product - (total - back)) + (addend - back) == 0:
        return Float(total)
    return Float(arithmetic.fma(a, b, c))


@_quiet
def mul(a: Float, b: Float) -> Float:
    """``a * b``."""
    return a * b


@_quiet
def add(a: Float, b: Float) -> Float:
    """``a + b``."""
    return a + b


@_quiet
def sub(a: Float, b: Float) -> Float:
    """``a - b``."""
    return a - b


@_quiet
def div(a: Float, b: Float) -> Float:
    """``a / b``."""
    return a / b


@_quiet
def sqrt(a: Float) -> Float:
    """Square root; NaN below zero."""
    return Float(np.sqrt(a))


@_quiet
def rint(a: Float) -> Float:
    """Nearest integer, ties to even."""
    return Float(np.rint(a))


@_quiet
def trunc(a: Float) -> Float:
    """Integer part, rounded towards zero."""
    return Float(np.trunc(a))


def neg(a: Float) -> Float:
    """Flip the sign bit."""
    return -a


def absolute(a: Float) -> Float:
    """Clear the sign bit."""
    return abs(a)


def select(mask: bool, a: Float, b: Float) -> Float:
    """``a`` where the mask is true, else ``b``."""
    return a if mask else b


def to_int(a: Float) -> Int:
    """Truncate to int32; the value is in range."""
    return Int(a)


def to_float(i: Int) -> Float:
    """Nearest float32."""
    return Float(i)


def bits(a: Float) -> Int:
    """The 32 bits as an integer."""
    return a.view(Int)


def from_bits(i: Int) -> Float:
    """The float32 with these 32 bits."""
    return i.view(Float)


@_quiet
def iadd(i: Int, j: Int) -> Int:
    """``i + j``, wrapping."""
    return i + j


@_quiet
def isub(i: Int, j: Int) -> Int:
    """``i - j``, wrapping."""
    return i - j


def iand(i: Int, j: Int) -> Int:
    """Bitwise and."""
    return i & j


def ior(i: Int, j: Int) -> Int:
    """Bitwise or."""
    return i | j


def shl(i: Int, n: int) -> Int:
    """Shift left by 0 to 31 bits."""
    return i << Int(n)


def shr(i: Int, n: int) -> Int:
    """Arithmetic shift right by 0 to 31 bits."""
    return i >> Int(n)


def load2(array: Floats, place: int) -> Floats:
    """Two numbers side by side, from an even place on."""
    return array[_vector(place, 2)].copy()


def load4(array: Floats, place: int) -> Floats:
    """Four numbers side by side, from a multiple of four on."""
    return array[_vector(place, 4)].copy()


def store2(array: Floats, place: int, a: Float, b: Float) -> None:
    """Two numbers to places side by side, from an even one on."""
    array[_vector(place, 2)] = a, b


def store4(array: Floats, place: int, a: Float, b: Float, c: Float, d: Float) -> None:
    """Four numbers to places side by side, from a multiple of four on."""
    array[_vector(place, 4)] = a, b, c, d


def copy4(to: Floats, place: int, array: Floats, start: int) -> None:
    """Begin to copy four numbers, both places being multiples of four."""
    to[_vector(place, 4)] = array[_vector(start, 4)]


def _vector(place: int, count: int) -> slice:
    """The numbers side by side; ValueError where a GPU would report a misaligned address."""
    if place % count:
        raise ValueError(f"{count} numbers side by side cannot start at place {place}")
    return slice(place, place + count)


def await_copies() -> None:
    """Every copy that this thread began is done."""


_PRIMITIVES: tuple[Callable[..., Any], ...] = (
    fma, mul, add, sub, div, sqrt, rint, trunc, neg, absolute, select, to_int, to_float, bits,
    from_bits, iadd, isub, iand, ior, shl, shr, load2, load4, store2, store4, copy4, await_copies,
)  # fmt: skip
