"""Fused multiply-add in float64, for CPUs that have no instruction: vectors instead of ``fmaf``.

As ``arithmetic.fma``: the product is exact; the sum is rounded to odd before it becomes float32.
"""

from __future__ import annotations

import re

USED = re.compile(r"@\"?llvm\.fma\.(v(\d+))?f32\"?")

FUNCTION = """
define internal {float} @"{name}"({float} %a, {float} %b, {float} %c) alwaysinline nounwind {{
  %x = fpext {float} %a to {double}
  %y = fpext {float} %b to {double}
  %z = fpext {float} %c to {double}
  %product = fmul {double} %x, %y
  %total = fadd {double} %product, %z
  %back = fsub {double} %total, %product
  %rest = fsub {double} %total, %back
  %first = fsub {double} %product, %rest
  %second = fsub {double} %z, %back
  %error = fadd {double} %first, %second
  %outward = fmul {double} %error, %total
  %over = fcmp olt {double} %outward, zeroinitializer
  %inexact = fcmp one {double} %outward, zeroinitializer
  %bits = bitcast {double} %total to {int}
  %less = sext {flag} %over to {int}
  %odd = zext {flag} %inexact to {int}
  %lower = add {int} %bits, %less
  %rounded = or {int} %lower, %odd
  %exact = bitcast {int} %rounded to {double}
  %result = fptrunc {double} %exact to {float}
  ret {float} %result
}}
"""


def with_double_fma(text: str) -> str:
    """An LLVM module's text whose ``llvm.fma`` over float32 are functions of its own."""
    widths = sorted({int(match[2] or 1) for match in USED.finditer(text)})
    lines = [line for line in text.splitlines() if not _declares(line)]
    kept = USED.sub(lambda match: f'@"{_name(int(match[2] or 1))}"', "\n".join(lines))
    return kept + "".join(_function(width) for width in widths)


def _declares(line: str) -> bool:
    return line.startswith("declare") and USED.search(line) is not None


def _name(width: int) -> str:
    return f"instjit.fma.{width}"


def _function(width: int) -> str:
    kinds = {"float": "float", "double": "double", "int": "i64", "flag": "i1"}
    if width > 1:
        kinds = {name: f"<{width} x {kind}>" for name, kind in kinds.items()}
    return FUNCTION.format(name=_name(width), **kinds).replace(
        "zeroinitializer", "0.0" if width == 1 else "zeroinitializer"
    )
