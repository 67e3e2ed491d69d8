"""The fused multiply-add in float64, compiled for a CPU without one: one rounding, always."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from plain_run import same_bits

from instjit import arithmetic
from instjit.kernels import machine_code
from instjit.kernels.double_fma import with_double_fma

MODULE = """
define void @run(ptr %a, ptr %b, ptr %c, ptr %out, i64 %count) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %po = getelementptr float, ptr %out, i64 %i
  %x = load {kind}, ptr %pa, align 4
  %y = load {kind}, ptr %pb, align 4
  %z = load {kind}, ptr %pc, align 4
  %r = call {kind} @llvm.fma.{suffix}({kind} %x, {kind} %y, {kind} %z)
  store {kind} %r, ptr %po, align 4
  %next = add i64 %i, {width}
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}}
declare {kind} @llvm.fma.{suffix}({kind}, {kind}, {kind})
"""
COUNT = 1 << 18


def module_text(width: int) -> str:
    kind, suffix = ("float", "f32") if width == 1 else (f"<{width} x float>", f"v{width}f32")
    return MODULE.format(kind=kind, suffix=suffix, width=width)


Operands = tuple[np.ndarray, np.ndarray, np.ndarray]


def bits(rng: np.random.Generator) -> Operands:
    """Any float32 at all: subnormal, infinite, NaN."""
    a, b, c = (rng.integers(0, 2**32, COUNT, np.uint32).view(np.float32) for _ in range(3))
    for array in (a, b, c):
        array[rng.random(COUNT) < 0.1] = rng.choice(np.float32([np.inf, -np.inf, 0, -0.0, 1]))
    return a, b, c


def halfway(rng: np.random.Generator) -> Operands:
    """Sums so near the middle of two float32 numbers that float64 has them there."""
    exponent, step = rng.integers(-120, 80, COUNT), 2.0 ** -rng.integers(12, 24, COUNT)
    c = rng.integers(2**23, 2**24, COUNT) * 2.0**exponent * rng.choice([-1, 1], COUNT)
    a = 2.0 ** (exponent - 1) * (1 + step) * rng.choice([-1, 1], COUNT)
    return a.astype("f4"), (1 - step).astype("f4"), c.astype("f4")


def tiny(rng: np.random.Generator) -> Operands:
    """Sums that are subnormal, many of them near the middle of two."""
    step = 2.0 ** -rng.integers(1, 24, COUNT)
    c = rng.integers(-(2**10), 2**10, COUNT) * 2.0**-149
    a = 2.0**-100 * (1 + step) * rng.choice([-1, 1], COUNT)
    return a.astype("f4"), (2.0**-50 * (1 - step)).astype("f4"), c.astype("f4")


@pytest.mark.parametrize("operands", [bits, halfway, tiny])
@pytest.mark.parametrize("width", [1, 4, 8])
def test_it_rounds_once(width, operands) -> None:
    a, b, c = operands(np.random.default_rng(width))
    assert same_bits(run(with_double_fma(module_text(width)), a, b, c), arithmetic.fma(a, b, c))


def run(text: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The module's function over arrays, compiled for the plainest CPU of this platform."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = machine_code.host_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=machine_code.PLAINEST.get(machine_code.architecture(triple), ""), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)
    out = np.empty_like(a)
    addresses = [array.ctypes.data for array in (a, b, c, out)]
    kind(engine.get_function_address("run"))(*addresses, len(a))
    return out


def test_a_module_without_fma_stays_as_it_is() -> None:
    text = "define void @f() {\n  ret void\n}"
    assert with_double_fma(text) == text


def test_no_call_is_left() -> None:
    text = with_double_fma(module_text(1) + module_text(4).replace("@run", "@other"))
    assert "llvm.fma" not in text
    assert text.count("define internal") == 2
