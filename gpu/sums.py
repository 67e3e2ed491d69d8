"""The sums of the generic functions, in the order of the numerics contract.

Written over primitives, as ``interpreter`` is: ``program.chains`` and ``program.partials`` tell the
order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from instjit.program import PARTIALS, chains

if TYPE_CHECKING:
    from instjit.gpu.plain import add, fma

    f32: Any = None
    max_of = f32


def rows4(
    model_data: Any, row: int, bias: int, buffer: Any, source: int, target: int, depth: int
) -> None:
    """Four outputs of a product side by side, the sum of each in one chain."""
    t0, t1 = model_data[bias], model_data[bias + 1]
    t2, t3 = model_data[bias + 2], model_data[bias + 3]
    row1, row2, row3 = row + depth, row + 2 * depth, row + 3 * depth
    for k in range(depth):
        x = buffer[source + k]
        t0 = fma(model_data[row + k], x, t0)
        t1 = fma(model_data[row1 + k], x, t1)
        t2 = fma(model_data[row2 + k], x, t2)
        t3 = fma(model_data[row3 + k], x, t3)
    buffer[target], buffer[target + 1] = t0, t1
    buffer[target + 2], buffer[target + 3] = t2, t3


def dot2(model_data: Any, row: int, buffer: Any, source: int, depth: int, bias: Any) -> Any:
    """A product's sum in two chains."""
    t0, t1 = bias, f32(-0.0)
    even = depth - (depth & 1)
    for k in range(0, even, 2):
        t0 = fma(model_data[row + k], buffer[source + k], t0)
        t1 = fma(model_data[row + k + 1], buffer[source + k + 1], t1)
    if even < depth:
        t0 = fma(model_data[row + even], buffer[source + even], t0)
    return add(t0, t1)


def dot4(model_data: Any, row: int, buffer: Any, source: int, depth: int, bias: Any) -> Any:
    """A product's sum in four chains."""
    t0, t1, t2, t3 = bias, f32(-0.0), f32(-0.0), f32(-0.0)
    whole = depth - (depth & 3)
    for k in range(0, whole, 4):
        t0 = fma(model_data[row + k], buffer[source + k], t0)
        t1 = fma(model_data[row + k + 1], buffer[source + k + 1], t1)
        t2 = fma(model_data[row + k + 2], buffer[source + k + 2], t2)
        t3 = fma(model_data[row + k + 3], buffer[source + k + 3], t3)
    if whole < depth:
        t0 = fma(model_data[row + whole], buffer[source + whole], t0)
    if whole + 1 < depth:
        t1 = fma(model_data[row + whole + 1], buffer[source + whole + 1], t1)
    if whole + 2 < depth:
        t2 = fma(model_data[row + whole + 2], buffer[source + whole + 2], t2)
    return add(add(t0, t2), add(t1, t3))


def dot8(model_data: Any, row: int, buffer: Any, source: int, depth: int, bias: Any) -> Any:
    """A product's sum in eight chains."""
    t0, t1, t2, t3 = bias, f32(-0.0), f32(-0.0), f32(-0.0)
    t4, t5, t6, t7 = f32(-0.0), f32(-0.0), f32(-0.0), f32(-0.0)
    whole = depth - (depth & 7)
    for k in range(0, whole, 8):
        t0 = fma(model_data[row + k], buffer[source + k], t0)
        t1 = fma(model_data[row + k + 1], buffer[source + k + 1], t1)
        t2 = fma(model_data[row + k + 2], buffer[source + k + 2], t2)
        t3 = fma(model_data[row + k + 3], buffer[source + k + 3], t3)
        t4 = fma(model_data[row + k + 4], buffer[source + k + 4], t4)
        t5 = fma(model_data[row + k + 5], buffer[source + k + 5], t5)
        t6 = fma(model_data[row + k + 6], buffer[source + k + 6], t6)
        t7 = fma(model_data[row + k + 7], buffer[source + k + 7], t7)
    if whole < depth:
        t0 = fma(model_data[row + whole], buffer[source + whole], t0)
    if whole + 1 < depth:
        t1 = fma(model_data[row + whole + 1], buffer[source + whole + 1], t1)
    if whole + 2 < depth:
        t2 = fma(model_data[row + whole + 2], buffer[source + whole + 2], t2)
    if whole + 3 < depth:
        t3 = fma(model_data[row + whole + 3], buffer[source + whole + 3], t3)
    if whole + 4 < depth:
        t4 = fma(model_data[row + whole + 4], buffer[source + whole + 4], t4)
    if whole + 5 < depth:
        t5 = fma(model_data[row + whole + 5], buffer[source + whole + 5], t5)
    if whole + 6 < depth:
        t6 = fma(model_data[row + whole + 6], buffer[source + whole + 6], t6)
    return add(add(add(t0, t4), add(t2, t6)), add(add(t1, t5), add(t3, t7)))


def folded(buffer: Any, start: int, count: int, largest: bool) -> Any:
    """The sum or the largest of ``count`` slots, 1 or more.

    Partial p folds slots p, p + 16, ..., then takes partials p + 8, p + 4, p + 2 and p + 1: each
    loop here is one such step, innermost first, and runs once or twice.
    """
    total = two = four = eight = buffer[start]
    for p in range(0, least(count, 2), 1):
        for q in range(p, least(count, 4), 2):
            for r in range(q, least(count, 8), 4):
                for s in range(r, least(count, 16), 8):
                    one = buffer[start + s]
                    for k in range(s + PARTIALS, count, PARTIALS):
                        one = joined(one, buffer[start + k], largest)
                    eight = one if s == r else joined(eight, one, largest)
                four = eight if r == q else joined(four, eight, largest)
            two = four if q == p else joined(two, four, largest)
        total = two if p == 0 else joined(total, two, largest)
    return total


def joined(a: Any, b: Any, largest: bool) -> Any:
    """The larger of two numbers, or their sum."""
    return max_of(a, b) if largest else add(a, b)


def least(a: int, b: int) -> int:
    """The smaller of two integers (``min`` is not typed by every target)."""
    return a if a < b else b


PARTS: tuple[Callable[..., Any], ...] = (
    chains, rows4, dot2, dot4, dot8, least, joined, folded,
)  # fmt: skip
"""All functions, each after those that it calls."""
