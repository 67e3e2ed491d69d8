"""The primitives of the generated text on the GPU: device functions of one instruction each.

CUDA's compilers contract ``a * b + c`` by themselves, so no product is written with ``*``: the
``_rn`` functions of libdevice are never contracted. Numba widens integers to int64, so every
integer result is cut to int32.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from instjit.gpu import inline_ptx, vectors


@cache
def namespace() -> dict[str, Any]:
    """The primitives by name; copy it before adding to it. Imports ``numba.cuda``."""
    from numba import float32, int32, int64, uint64

    constants = {
        "float32": float32,
        "f32": float32,
        "i32": int32,
        "i64": int64,
        "u64": uint64,
        "infinity": np.float32(np.inf),
        "minus_infinity": np.float32(-np.inf),
        "not_a_number": np.float32(np.nan),
    }
    functions = (*_floats(), *_casts(), *_integers())
    devices = {function.__name__: device(function) for function in functions}
    return constants | devices | inline_ptx.namespace() | vectors.namespace()


def device(function: Any) -> Any:
    """A device function, inlined always: its arrays then are what its caller knows them to be."""
    from numba import cuda

    if cuda.implementation == "NVIDIA":
        return cuda.jit(device=True, forceinline=True)(function)
    return cuda.jit(device=True)(function)


def _floats() -> tuple[Any, ...]:
    from numba import cuda
    from numba.cuda import libdevice

    def fma(a: Any, b: Any, c: Any) -> Any:
        return cuda.fma(a, b, c)

    def mul(a: Any, b: Any) -> Any:
        return libdevice.fmul_rn(a, b)

    def add(a: Any, b: Any) -> Any:
        return libdevice.fadd_rn(a, b)

    def sub(a: Any, b: Any) -> Any:
        return libdevice.fsub_rn(a, b)

    def div(a: Any, b: Any) -> Any:
        return libdevice.fdiv_rn(a, b)

    def sqrt(a: Any) -> Any:
        return libdevice.fsqrt_rn(a)

    def rint(a: Any) -> Any:
        return libdevice.rintf(a)

    def trunc(a: Any) -> Any:
        return libdevice.truncf(a)

    def neg(a: Any) -> Any:
        return -a

    def absolute(a: Any) -> Any:
        return libdevice.fabsf(a)

    return fma, mul, add, sub, div, sqrt, rint, trunc, neg, absolute


def _casts() -> tuple[Any, ...]:
    from numba import cuda, float32, int32
    from numba.cuda import libdevice

    def select(mask: Any, a: Any, b: Any) -> Any:
        return cuda.selp(mask, a, b)

    def to_int(a: Any) -> Any:
        return int32(a)

    def to_float(i: Any) -> Any:
        return float32(i)

    def bits(a: Any) -> Any:
        return libdevice.float_as_int(a)

    def from_bits(i: Any) -> Any:
        return libdevice.int_as_float(i)

    return select, to_int, to_float, bits, from_bits


def _integers() -> tuple[Any, ...]:
    from numba import int32

    def iadd(i: Any, j: Any) -> Any:
        return int32(i + j)

    def isub(i: Any, j: Any) -> Any:
        return int32(i - j)

    def iand(i: Any, j: Any) -> Any:
        return int32(i & j)

    def ior(i: Any, j: Any) -> Any:
        return int32(i | j)

    def shl(i: Any, n: Any) -> Any:
        return int32(i << n)

    def shr(i: Any, n: Any) -> Any:
        return int32(i >> n)

    return iadd, isub, iand, ior, shl, shr
