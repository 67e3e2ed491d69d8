"""A Gemm of the block form on tensor cores: each warp multiplies by ``mma.sync``.

A warp has 32 rows of the tile and some eights of the panel's outputs. Lane l has the indices
g = l // 4 and t = l % 4 of PTX's fragment layouts: it holds rows g and g + 8 of 16, and k in the
places t and t + 4 of 8 (tf32), or in the pairs at 2 t and 2 t + 8 of 16 (bf16). Which k stands in
which place is free as long as both factors agree, so here lane l holds 4 t .. 4 t + 3 of 16: then
at most two lanes read one bank of shared memory.

Sums start at the bias and are float32; their order is the hardware's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Literal as OneOf

from instjit.gpu.layout import weights_at
from instjit.gpu.thread_form import assigned, indented
from instjit.gpu.tile import Tile, row_floats
from instjit.gpu.values import plus, times
from instjit.program import Gemm, Step

if TYPE_CHECKING:
    from instjit.gpu.block_form import BlockSteps

Precision = OneOf["float32", "bf16x3", "bf16", "tf32"]
"""What a Gemm multiplies: float32 numbers, their halves of bfloat16, one bfloat16, one tf32."""

OUTPUTS, DEPTH = 8, 16
"""Narrower or shallower products stay float32: they would be mostly padding."""

WARP = 32
ROWS = 32
"""Rows of a warp: two fragments of 16."""

REST = """\
def rest_bf16(pair, u, v):
    low = sub(u, from_bits(shl(pair, 16)))
    high = sub(v, from_bits(iand(pair, i32(-65536))))
    return pack_bf16(low, high)
"""
"""What rounding to a pair of bfloat16 leaves of two numbers, as such a pair."""

Lines = Iterator[str]


def wide(step: Step) -> bool:
    """Whether a step is a product large enough for tensor cores."""
    if not isinstance(step, Gemm):
        return False
    return step.target.count >= OUTPUTS and step.source.count >= DEPTH


def suits(tile: Tile) -> bool:
    """Whether the warps of a block can share out a tile's rows and outputs."""
    return (
        tile.lanes == WARP
        and tile.depth == DEPTH
        and tile.rows_each & (tile.rows_each - 1) == 0
        and tile.groups % tile.rows_each == 0
        and tile.outputs_each * tile.rows_each % OUTPUTS == 0
    )


class TensorProduct:
    """The statements of one Gemm that is wide, on a tile that suits."""

    def __init__(self, steps: BlockSteps, step: Gemm, precision: Precision) -> None:
        tile = steps.tile
        self.steps = steps
        self.step = step
        self.tile = tile
        self.precision = precision
        self.outputs, self.depth = step.target.count, step.source.count
        beside = tile.groups // tile.rows_each
        eights = -(-self.outputs // OUTPUTS)
        self.each = min(tile.outputs_each * tile.rows_each // OUTPUTS, -(-eights // beside))
        self.panel = beside * self.each * OUTPUTS
        self.block = steps.plain.places.blocks[step.weights]

    def lines(self) -> Lines:
        """All but the last barrier."""
        rows_each = self.tile.rows_each
        yield "g = lane >> 2"
        yield "t = lane & 3"
        yield f"row = {plus(times(f'group & {rows_each - 1}', ROWS), 'g')}"
        shift = rows_each.bit_length() - 1
        yield f"beside = {times(f'group >> {shift}' if shift else 'group', self.each * OUTPUTS)}"
        yield f"for first in range(0, {self.outputs}, {self.panel}):"
        yield from indented(self._panel())

    def _panel(self) -> Lines:
        yield "own = first + beside"
        yield "column = own + t * 2"
        for q in range(self.each):
            for c in range(2):
                yield f"o = {plus('column', q * OUTPUTS + c)}"
                yield f"bias = k[{self.block} + select(o < {self.outputs}, o, {self.outputs - 1})]"
                for m in range(ROWS // 16):
                    yield f"{_sum(m, q, c)} = bias"
                    yield f"{_sum(m, q, c + 2)} = bias"
        whole = self.depth // DEPTH * DEPTH
        yield f"for start in range(0, {whole}, {DEPTH}):"
        yield from indented(self._stretch("start", DEPTH))
        if whole < self.depth:
            yield from self._stretch(whole, self.depth - whole)
        for q in range(self.each):
            for c in range(2):
                yield f"o = {plus('column', q * OUTPUTS + c)}"
                yield f"if o < {self.outputs}:"
                for row, name in self._sums_of_output(q, c):
                    values = self.steps.values(plus("row", row))
                    yield from indented(assigned(values, self.step, "o", name))

    def _sums_of_output(self, q: int, c: int) -> Iterator[tuple[int, str]]:
        for m in range(ROWS // 16):
            yield 16 * m, _sum(m, q, c)
            yield 16 * m + 8, _sum(m, q, c + 2)

    def _stretch(self, start: str | int, count: int) -> Lines:
        """``count`` k from ``start`` on, the missing ones of DEPTH being zeros in both factors."""
        yield "cuda.syncthreads()"
        yield f"thread = group * {WARP} + lane"
        yield from self._staged(start, count)
        yield "cuda.syncthreads()"
        yield f"if own < {self.outputs}:"  # the same for a whole warp, as mma.sync demands
        if self.precision == "tf32":
            for half in range(2):
                yield from indented(self._tf32(start, 2 * half, count))
        else:
            yield from indented(self._bf16(start, count))

    def _staged(self, start: str | int, count: int) -> Lines:
        """Weights to shared memory as words [k or pair][output], for bf16x3 the rests below."""
        tf32 = self.precision == "tf32"
        height = DEPTH if tf32 else DEPTH // 2
        stride = self.tile.weights_stride
        yield f"for at in range(thread, {height * self.panel}, {self.tile.threads}):"
        yield f"    i = at // {self.panel}"
        yield f"    o = at - i * {self.panel}"
        yield f"    if first + o < {self.outputs}:"
        row = row_floats(self.outputs)
        rows = plus(weights_at(self.block, self.outputs), times(str(start), row), "first", "o")
        if tf32:
            yield from indented(_weight("u", "i", rows, row, count), 2)
        else:
            yield from indented(_weight("u", "i * 2", rows, row, count), 2)
            yield from indented(_weight("v", "1 + i * 2", rows, row, count), 2)
        place = f"i * {stride} + o"
        if tf32:
            yield f"        s[{place}] = from_bits(tf32(u))"
            return
        yield "        pair = pack_bf16(u, v)"
        yield f"        s[{place}] = from_bits(pair)"
        if self.precision == "bf16x3":
            yield f"        s[{plus(place, 8 * stride)}] = from_bits(rest_bf16(pair, u, v))"

    def _bf16(self, start: str | int, count: int) -> Lines:
        split = self.precision == "bf16x3"
        for m in range(ROWS // 16):
            for r in range(4):
                row, at = 16 * m + 8 * (r & 1), 2 * (r >> 1)
                yield from self._activation("u", start, at, row, count)
                yield from self._activation("v", start, at + 1, row, count)
                yield f"a{m}{r} = pack_bf16(u, v)"
                if split:
                    yield f"e{m}{r} = rest_bf16(a{m}{r}, u, v)"
        for q in range(self.each):
            yield from self._weights("b", q, 0, 2)
            if split:
                yield from self._weights("d", q, 8, 2)
            for m in range(ROWS // 16):
                if split:  # small terms first; the product of two rests is below float32
                    yield self._mma("mma_bf16", "e", "b", m, q)
                    yield self._mma("mma_bf16", "a", "d", m, q)
                yield self._mma("mma_bf16", "a", "b", m, q)

    def _tf32(self, start: str | int, first: int, count: int) -> Lines:
        """Those 8 k of 16 that are ``first`` and its next in a lane's four."""
        for m in range(ROWS // 16):
            for r in range(4):
                row, at = 16 * m + 8 * (r & 1), first + (r >> 1)
                yield from self._activation("u", start, at, row, count)
                yield f"a{m}{r} = tf32(u)"
        for q in range(self.each):
            yield from self._weights("b", q, first, 4)
            for m in range(ROWS // 16):
                yield self._mma("mma_tf32", "a", "b", m, q)

    def _activation(self, name: str, start: str | int, at: int, row: int, count: int) -> Lines:
        """``name`` gets slot 4 t + at of a stretch, zero past its end; no lane branches off."""
        values, source = self.steps.values(plus("row", row)), self.step.source
        lanes = (count - at + 3) // 4
        if lanes >= 4:
            yield f"{name} = {values.element(source, plus(start, 't * 4', at))}"
        elif lanes <= 0:
            yield f"{name} = f32(0.0)"
        else:
            yield f"i = select(t < {lanes}, t, 0)"
            value = values.element(source, plus(start, "i * 4", at))
            yield f"{name} = select(t < {lanes}, {value}, f32(0.0))"

    def _weights(self, name: str, q: int, first: int, each: int) -> Lines:
        """Two words of the outputs ``8 q`` of a warp: lines ``first`` and its next of a lane's."""
        stride = self.tile.weights_stride
        for r in range(2):
            offset = (first + r) * stride + q * OUTPUTS
            yield f"{name}{r} = bits(s[{plus(f't * {each * stride}', offset, 'beside', 'g')}])"

    def _mma(self, call: str, a: str, b: str, m: int, q: int) -> str:
        sums = ", ".join(_sum(m, q, r) for r in range(4))
        left = ", ".join(f"{a}{m}{r}" for r in range(4))
        return f"{sums} = {call}({left}, {b}0, {b}1, {sums})"


def _sum(m: int, q: int, r: int) -> str:
    """Register r of the sums of rows 16 m and outputs 8 q."""
    return f"c{m}_{q}_{r}"


def _weight(name: str, i: str, rows: str, row: int, count: int) -> Lines:
    """``name`` gets weight ``i`` of a stretch, zero past its end."""
    place = plus(rows, times(i, row))
    if count == DEPTH:
        yield f"{name} = k[{place}]"
        return
    yield f"{name} = f32(0.0)"
    yield f"if {i} < {count}:"
    yield f"    {name} = k[{place}]"
