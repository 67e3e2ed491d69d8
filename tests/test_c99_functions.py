"""The functions as C99: NumPy's bits however they are compiled, and a text of few words."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
from c_compiler import FLAGS, library, needs_compiler
from plain_run import same_bits
from ulp_measure import sample, specials

from instjit.arithmetic import Arithmetic, NumpyArithmetic
from instjit.functions import FUNCTIONS
from instjit.kernels.c99_functions import (
    OPERATIONS,
    CArithmetic,
    function_text,
    functions_text,
    number,
)

CHECKED = {
    **{name: function.sequence for name, function in FUNCTIONS.items()},
    "shr5": lambda m, a, b: m.from_bits(m.shr(m.bits(a), 5)),
    "shr0": lambda m, a, b: m.from_bits(m.shr(m.bits(a), 0)),
    "shr31": lambda m, a, b: m.to_float(m.shr(m.bits(a), 31)),
    "shl31": lambda m, a, b: m.from_bits(m.shl(m.bits(a), 31)),
    "wrapped": lambda m, a, b: m.to_float(m.iadd(m.bits(a), m.isub(m.bits(b), m.bits(a)))),
    "below": lambda m, a, b: m.select(m.le(a, b), m.neg(a), m.abs(b)),
    "above": lambda m, a, b: m.select(m.ge(a, b), m.rint(a), m.trunc(b)),
    "known": lambda m, a, b: m.select(m.isnan(a), m.const(-0.0), m.const(-np.inf)),
    "same": lambda m, a, b: m.select(m.eq(a, b), m.const(np.nan), m.const(1e-45)),
    "near": lambda m, a, b: m.to_float(
        m.to_int(m.select(m.lt(m.abs(a), m.const(2.0**30)), a, m.const(-1.5)))
    ),
}
"""Every function, and sequences of the operations that no function has."""


def checked_text(name: str) -> str:
    """A function over arrays: ``void all_NAME(const float *, const float *, float *, int)``."""
    call = f"ij_{name}(a[i])"
    if name not in FUNCTIONS or FUNCTIONS[name].arity == 2:
        call = f"ij_{name}(a[i], b[i])"
    return (
        f"void all_{name}(const float *a, const float *b, float *y, int count);\n"
        f"void all_{name}(const float *a, const float *b, float *y, int count)\n{{\n    (void)b;\n"
        f"    for (int i = 0; i < count; i++)\n        y[i] = {call};\n}}\n"
    )


def sequence_text(name: str) -> str:
    """As ``function_text``, for a sequence of ours."""
    text = CArithmetic()
    result = CHECKED[name](text, "a", "b")
    lines = "".join(f"    {line}\n" for line in text.lines)
    head = f"static inline float ij_{name}(float a, float b)\n{{\n    (void)b;\n"
    return f"{head}{lines}    return {result};\n}}\n"


@pytest.fixture(scope="module")
def operands() -> tuple[np.ndarray, np.ndarray]:
    a = np.concatenate([specials(), sample(200_009)])
    return a, np.roll(a, 17)


WAYS = [
    pytest.param(flags, id=way, marks=() if way == "O2" else pytest.mark.library)
    for way, flags in FLAGS.items()
]


@needs_compiler
@pytest.mark.parametrize("flags", WAYS)
def test_every_function_and_operation_gives_the_bits_of_numpy(flags, operands, tmp_path) -> None:
    ours = "\n".join(sequence_text(name) for name in CHECKED if name not in FUNCTIONS)
    text = functions_text() + ours + "\n".join(checked_text(name) for name in CHECKED)
    made = library(tmp_path, text, *flags)
    a, b = operands
    for name, sequence in CHECKED.items():
        taken = (a, b) if name not in FUNCTIONS or FUNCTIONS[name].arity == 2 else (a,)
        wanted = np.asarray(sequence(NumpyArithmetic(), *taken))
        wanted = np.ascontiguousarray(np.broadcast_to(wanted, a.shape))
        got = np.zeros_like(a)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (a, b, got))
        made[f"all_{name}"](*pointers, len(a))
        assert same_bits(got, wanted), name


def test_the_operations_are_those_of_the_arithmetic() -> None:
    words = {name for name in vars(Arithmetic) if not name.startswith("_")}
    assert words == {*OPERATIONS, "const", "iconst"}
    with pytest.raises(AttributeError):
        CArithmetic().exp2("a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "0x1p+0f"),
        (-0.0, "-0x0p+0f"),
        (0.1, "0x1.99999ap-4f"),
        (1e-45, "0x1p-149f"),
        (10.0, "0x1.4p+3f"),
        (2.0**40, "0x1p+40f"),
        (np.inf, "INFINITY"),
        (-np.inf, "-INFINITY"),
        (np.nan, "NAN"),
    ],
)
def test_constants_are_written_in_hexadecimal(value, text) -> None:
    assert number(value) == text


def test_a_text_of_some_functions_holds_these_and_the_casts_they_need() -> None:
    assert "ij_bits" not in functions_text(["relu", "add"])
    text = functions_text(["ln"])
    assert {"ij_bits", "ij_float", "ij_whole", "ij_ln"} <= set(re.findall(r"ij_\w+", text))
    assert "ij_tanh" not in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_statement_has_one_operation_and_libm_gives_fma_and_roots_alone(name) -> None:
    text = function_text(name)
    assert set(re.findall(r"\b(\w+)\(", text)) <= {
        *{f"ij_{name}", "ij_bits", "ij_float", "ij_whole", "fmaf"},
        *(["sqrtf"] if name == "sqrt" else []),
    }
    for line in text.splitlines():
        assert len(re.findall(r" [-+*/] ", line.replace("(0u - ", ""))) <= 1, line
