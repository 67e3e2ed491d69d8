"""A row in one thread: its scratch ``s`` is the thread's own.

Some outputs are worked out side by side, so that a slot of scratch
is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from instjit.gpu.layout import weights_at
from instjit.gpu.tile import VECTOR, row_floats
from instjit.gpu.values import Values, plus, times
from instjit.program import (
    PARTIALS,
    Gemm,
    Lookup,
    Map,
    Reduce,
    Step,
    chains,
    partials,
)

OUTPUTS = 4
"""Outputs that a thread works out side by side, whose weights are one load."""

WRITTEN_OUT = 32
"""Outputs up to which there is no loop over them: compilers unroll the one over k more readily,
and scratch that only constants index becomes registers."""

JOINED = {"sum": "add", "maximum": "maximum_of"}

Lines = Iterator[str]


class ThreadSteps:
    """Writes each kind of step as statements over ``k``, ``n`` and ``s``."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def step(self, step: Step, directory: int | None) -> Lines:
        """The statements of a step; ``directory`` is a Lookup's place in ``n``."""
        if isinstance(step, Gemm):
            yield from self._gemm(step)
        elif isinstance(step, Map):
            yield from self._map(step)
        elif isinstance(step, Reduce):
            yield from reduce_lines(self.values, step)
        else:
            yield from lookup_lines(self.values, step, directory)

    def _gemm(self, step: Gemm) -> Lines:
        outputs = step.target.count
        whole = outputs // OUTPUTS * OUTPUTS
        if whole > WRITTEN_OUT:
            yield f"for o in range(0, {whole}, {OUTPUTS}):"
            yield from indented(self._outputs(step, "o", OUTPUTS))
        else:
            for first in range(0, whole, OUTPUTS):
                yield from self._outputs(step, first, OUTPUTS)
        if whole < outputs:
            yield from self._outputs(step, whole, outputs - whole)

    def _outputs(self, step: Gemm, first: str | int, each: int) -> Lines:
        """Outputs first .. first + each."""
        outputs, depth = step.target.count, step.source.count
        count = chains(outputs, depth)
        block = self.values.places.blocks[step.weights]
        for q in range(each):
            for c in range(count):
                start = f"k[{plus(block, first, q)}]" if c == 0 else "f32(-0.0)"
                yield f"{sum_name(q, c)} = {start}"
        whole = depth // count * count
        if whole:
            step_by = f"0, {whole}, {count}" if count > 1 else str(whole)
            yield f"for i in range({step_by}):"
            yield from indented(self._products(step, first, "i", each, count))
        if whole < depth:
            yield from self._products(step, first, whole, each, depth - whole)
        yield from folded(each, count, sum_name)
        for q in range(each):
            yield from assigned(self.values, step, plus(first, q), sum_name(q, 0))

    def _products(self, step: Gemm, first: str | int, i: str | int, each: int, count: int) -> Lines:
        """K = i .. i + count, one in each chain."""
        row = row_floats(step.target.count)
        at = plus(weights_at(self.values.places.blocks[step.weights], step.target.count), first)
        for c in range(count):
            yield f"x = {self.values.element(step.source, plus(i, c))}"
            place = plus(at, times(plus(i, c), row))
            if row % VECTOR == 0:
                yield f"u0, u1, u2, u3 = load4(k, {place})"
            for q in range(each):
                weight = f"u{q}" if row % VECTOR == 0 else f"k[{plus(place, q)}]"
                yield f"{sum_name(q, c)} = fma({weight}, x, {sum_name(q, c)})"

    def _map(self, step: Map) -> Lines:
        if step.target.count == 1:
            yield from assigned(self.values, step, 0)
        elif step.target.count:
            yield f"for i in range({step.target.count}):"
            yield from indented(assigned(self.values, step, "i"))


def assigned(values: Values, step: Gemm | Map, i: str | int, total: str = "") -> Lines:
    """Element ``i`` of a step's target gets its value."""
    lines, value = values.lines(step.epilogue if isinstance(step, Gemm) else step.value, i, total)
    yield from lines
    yield f"{values.element(step.target, i)} = {value}"


def reduce_lines(values: Values, step: Reduce) -> Lines:
    """One row's interleaved partial results, then those joined by halves."""
    parts, join = partials(step.count), JOINED[step.kind]
    if not parts:
        return
    yield f"part = cuda.local.array({parts}, float32)"
    yield f"for p in range({parts}):"
    lines, value = values.lines(step.value, "p")
    yield from indented(iter((*lines, f"total = {value}")))
    if step.count > PARTIALS:
        yield f"    for i in range(p + {PARTIALS}, {step.count}, {PARTIALS}):"
        lines, value = values.lines(step.value, "i")
        yield from indented(iter((*lines, f"total = {join}(total, {value})")), 2)
    yield "    part[p] = total"
    half = PARTIALS // 2
    while half:
        pairs = max(0, min(half, parts - half))
        if pairs:
            yield f"for p in range({pairs}):"
            yield f"    part[p] = {join}(part[p], part[p + {half}])"
        half //= 2
    yield f"{values.element(step.target, 0)} = part[0]"


def lookup_lines(values: Values, step: Lookup, directory: int | None) -> Lines:
    """Find the row of the key, copy it."""
    size = step.target.count
    yield f"at = row_at({values.element(step.source, 0)}, {directory}, {size}, n)"
    yield f"for i in range({size}):"
    yield f"    {values.element(step.target, 'i')} = k[at + i]"


def folded(each: int, count: int, name: Callable[[int, int], str]) -> Lines:
    """Join the chains of some outputs by halves."""
    while count > 1:
        count //= 2
        for q in range(each):
            for c in range(count):
                yield f"{name(q, c)} = add({name(q, c)}, {name(q, c + count)})"


def indented(lines: Lines, steps: int = 1) -> Lines:
    """The lines, further in."""
    return ("    " * steps + line for line in lines)


def sum_name(q: int, c: int) -> str:
    """What chain ``c`` of output ``q`` is called."""
    return f"t{q}" if c == 0 else f"t{q}c{c}"
