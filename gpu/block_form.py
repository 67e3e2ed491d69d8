"""A tile of rows in a block of threads: activations ``s`` lie [slot][row] in shared memory.

Every step is a function that all threads of the block call and that ends in a barrier. Weights come
through shared memory, ``w``, [k][output], so that a thread reads those of its outputs side by side
and uses each for all its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from instjit.gpu.layout import weights_at
from instjit.gpu.tensor_form import Precision, TensorProduct, suits, wide
from instjit.gpu.thread_form import (
    assigned,
    folded,
    indented,
    lookup_lines,
    reduce_lines,
    sum_name,
)
from instjit.gpu.tile import SUMS, Tile
from instjit.gpu.values import Values, plus, times
from instjit.program import Gemm, Map, Reduce, Step, chains

Lines = Iterator[str]

ARGUMENTS = "k, n, s, w, base, lane, group"


class RowSlot:
    """The text of a slot of row ``row``; ``base`` is where the block's scratch starts."""

    def __init__(self, tile: Tile, in_shared: bool, row: str) -> None:
        self.tile = tile
        self.in_shared = in_shared
        self.row = row

    def __call__(self, number: str) -> str:
        """Slot ``number``, an integer or a sum."""
        place = times(number, self.tile.stride)
        return f"s[{place} + {self.row}]" if self.in_shared else f"s[base + {place} + {self.row}]"


class BlockSteps:
    """Writes each kind of step as the body of a function of ``ARGUMENTS``."""

    def __init__(
        self, values: Values, tile: Tile, in_shared: bool, precision: Precision = "float32"
    ) -> None:
        self.plain = values
        self.tile = tile
        self.in_shared = in_shared
        self.precision = precision

    def values(self, row: str) -> Values:
        """Writes values of one row of the tile."""
        where = RowSlot(self.tile, self.in_shared, row)
        return Values(self.plain.program, self.plain.places, where)

    def step(self, step: Step, directory: int | None) -> Lines:
        """The statements of a step, the barrier at its end included."""
        if isinstance(step, Gemm):
            yield from self._product(step)
        elif isinstance(step, Map):
            yield f"for i in range(group, {step.target.count}, {self.tile.groups}):"
            yield f"    for row in range(lane, {self.tile.rows}, {self.tile.lanes}):"
            yield from indented(assigned(self.values("row"), step, "i"), 2)
        else:
            tile, values = self.tile, self.values("row")
            yield f"for row in range(group * {tile.lanes} + lane, {tile.rows}, {tile.threads}):"
            yield from indented(
                reduce_lines(values, step)
                if isinstance(step, Reduce)
                else lookup_lines(values, step, directory)
            )
        yield "cuda.syncthreads()"

    def _product(self, step: Gemm) -> Lines:
        if self.precision != "float32" and wide(step) and suits(self.tile):
            return TensorProduct(self, step, self.precision).lines()
        return _Product(self, step).lines()


class _Product:
    """The statements of one Gemm."""

    def __init__(self, steps: BlockSteps, step: Gemm) -> None:
        tile = steps.tile
        self.steps = steps
        self.step = step
        self.tile = tile
        self.outputs, self.depth = step.target.count, step.source.count
        self.chains = chains(self.outputs, self.depth)
        most = max(1, min(tile.outputs_each, SUMS // (self.chains * tile.rows_each)))
        self.each = min(most, -(-self.outputs // tile.groups))
        self.panel = self.each * tile.groups
        self.block = steps.plain.places.blocks[step.weights]

    def lines(self) -> Lines:
        """All but the last barrier."""
        step_by = f"0, {self.outputs}, {self.panel}"
        yield f"for first in range({step_by}):"
        yield from indented(self._panel())

    def _panel(self) -> Lines:
        yield f"own = first + {times('group', self.each)}"
        for q in range(self.each):
            yield f"o = {plus('own', q)}"
            yield f"if o >= {self.outputs}:"
            yield f"    o = {self.outputs - 1}"
            yield f"bias = k[{plus(self.block, 'o')}]"
            for r in range(self.tile.rows_each):
                for c in range(self.chains):
                    yield f"{self._sum(q, r, c)} = {'f32(-0.0)' if c else 'bias'}"
        whole = self.depth // self.tile.depth * self.tile.depth
        if whole:
            yield f"for start in range(0, {whole}, {self.tile.depth}):"
            yield from indented(self._stretch("start", self.tile.depth))
        if whole < self.depth:
            yield from self._stretch(whole, self.depth - whole)
        for r in range(self.tile.rows_each):
            yield from folded(self.each, self.chains, partial(self._sum_of_row, r))
        for q in range(self.each):
            yield f"if {plus('own', q)} < {self.outputs}:"
            for r in range(self.tile.rows_each):
                yield from indented(self._assigned(q, r))

    def _stretch(self, start: str | int, count: int) -> Lines:
        """Weights ``start .. start + count`` of each row: to shared memory, then used."""
        tile = self.tile
        rows = weights_at(self.block, self.outputs)
        yield "cuda.syncthreads()"
        yield f"thread = group * {tile.lanes} + lane"
        yield f"i = thread & {tile.depth - 1}"
        yield f"for o in range(thread // {tile.depth}, {self.panel}, {tile.threads // tile.depth}):"
        inside = f"first + o < {self.outputs}"
        yield f"    if {inside}:" if count == tile.depth else f"    if i < {count} and {inside}:"
        place = plus(rows, f"(first + o) * {self.depth}", start, "i")
        yield f"        w[i * {tile.weights_stride} + o] = k[{place}]"
        yield "cuda.syncthreads()"
        yield f"if own < {self.outputs}:"
        whole = count // self.chains * self.chains
        if whole:
            step_by = f"0, {whole}, {self.chains}" if self.chains > 1 else str(whole)
            yield f"    for i in range({step_by}):"
            for c in range(self.chains):
                yield from indented(self._products(start, plus("i", c), c), 2)
        for i in range(whole, count):
            yield from indented(self._products(start, i, i - whole))

    def _products(self, start: str | int, i: str | int, c: int) -> Lines:
        source = plus(start, i)
        for r in range(self.tile.rows_each):
            yield f"x{r} = {self._values(r).element(self.step.source, source)}"
        at = times(str(i), self.tile.weights_stride)
        for q in range(self.each):
            yield f"u = w[{at} + {plus(q, times('group', self.each))}]"
            for r in range(self.tile.rows_each):
                name = self._sum(q, r, c)
                yield f"{name} = fma(u, x{r}, {name})"

    def _assigned(self, q: int, r: int) -> Lines:
        total = self._sum(q, r, 0)
        yield from assigned(self._values(r), self.step, plus("own", q), total)

    def _values(self, r: int) -> Values:
        return self.steps.values(plus("lane", r * self.tile.lanes))

    def _sum_of_row(self, r: int, q: int, c: int) -> str:
        return self._sum(q, r, c)

    def _sum(self, q: int, r: int, c: int) -> str:
        return f"{sum_name(q, c)}r{r}"
