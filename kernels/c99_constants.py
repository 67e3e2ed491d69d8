"""A kernel's constants as C99 arrays, which microcontrollers keep in flash.

A text beside that of ``c99.emit`` with the same name: its arrays NAME_k and NAME_n are what the
functions take as ``k`` and ``n``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instjit.kernels.c99_functions import number
from instjit.kernels.packing import Floats, Integers

FLOATS_A_LINE, INTEGERS_A_LINE = 6, 8


def constants_text(name: str, k: Floats, n: Integers) -> str:
    """The arrays' definitions; floats are written exactly.

    Parameters
    ----------
    name
        The prefix, a C identifier as ``c99.emit`` takes it.
    k, n
        What ``layout.bind`` packed for the level of the kernel's text.
    """
    floats = [number(value) for value in k.tolist()]
    # the least int32 has no literal: its digits alone are no int
    integers = [str(value) if value > -(2**31) else "INT32_MIN" for value in n.tolist()]
    return "\n".join(
        (
            "#include <math.h>",
            "#include <stdint.h>",
            "",
            *_array(f"const float {name}_k", floats, FLOATS_A_LINE),
            "",
            *_array(f"const int32_t {name}_n", integers, INTEGERS_A_LINE),
            "",
        )
    )


def _array(declaration: str, entries: Sequence[str], each: int) -> Iterator[str]:
    yield f"extern {declaration}[{len(entries)}];"
    yield f"{declaration}[{len(entries)}] = {{"
    for start in range(0, len(entries), each):
        yield f"    {', '.join(entries[start : start + each])},"
    yield "};"
