"""The primitives of the GPU's text as Numba functions of the CPU: a fast way to run that text."""

from __future__ import annotations

import math
from typing import Any

import llvmlite.ir as ir
import numba
import numpy as np
from numba import float32, int32, types
from numba.extending import intrinsic


def _fma_code(context, builder, signature, operands):
    double = ir.FloatType()
    name = "llvm.fma.f32"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(double, [double] * 3), name
    )
    return builder.call(function, operands)


@intrinsic
def _fma(typing, a, b, c):
    return float32(float32, float32, float32), _fma_code


@intrinsic
def _bits(typing, a):
    def code(context, builder, signature, operands):
        return builder.bitcast(operands[0], ir.IntType(32))

    return int32(float32), code


@intrinsic
def _from_bits(typing, a):
    def code(context, builder, signature, operands):
        return builder.bitcast(operands[0], ir.FloatType())

    return float32(int32), code


FORMULAS = {
    "fma": lambda a, b, c: _fma(a, b, c),
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "div": lambda a, b: a / b,
    "sqrt": lambda a: math.sqrt(a),
    "rint": lambda a: np.rint(a),
    "trunc": lambda a: np.trunc(a),
    "neg": lambda a: -a,
    "absolute": lambda a: abs(a),
    "select": lambda mask, a, b: a if mask else b,
    "to_int": lambda a: int32(a),
    "to_float": lambda i: float32(i),
    "bits": lambda a: _bits(a),
    "from_bits": lambda i: _from_bits(i),
    "iadd": lambda i, j: int32(i + j),
    "isub": lambda i, j: int32(i - j),
    "iand": lambda i, j: int32(i & j),
    "ior": lambda i, j: int32(i | j),
    "shl": lambda i, n: int32(i << n),
    "shr": lambda i, n: int32(i >> n),
}


def decorate(function: Any) -> Any:
    """What makes a function of the text callable from the others."""
    return numba.njit(error_model="numpy")(function)


def namespace() -> dict[str, Any]:
    """The primitives by name, as ``instjit.gpu.plain`` has them."""
    functions = {name: decorate(formula) for name, formula in FORMULAS.items()}
    constants = {
        "f32": types.float32,
        "i32": types.int32,
        "infinity": np.float32(np.inf),
        "minus_infinity": np.float32(-np.inf),
        "not_a_number": np.float32(np.nan),
    }
    return constants | functions
