"""A Gemm of the block form in float32: every thread keeps the sums of some rows and outputs.

Weights come through shared memory, [k][output], ``tile.depth`` k at a time: while one stretch is
used the next is copied beside it, so one barrier a stretch is enough. A thread reads the weights of
four outputs and the activations of four rows by one load each.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from instjit.functions import FUNCTIONS
from instjit.gpu.layout import weights_at
from instjit.gpu.text import function_text
from instjit.gpu.thread_form import assigned, folded, indented, sum_name
from instjit.gpu.tile import VECTOR, row_floats, shared_out
from instjit.gpu.values import functions_of, plus, times
from instjit.program import Gemm, chains, reads

if TYPE_CHECKING:
    from instjit.gpu.block_form import BlockSteps

Lines = Iterator[str]

FMA = 320
"""Multiply-adds in the body of the loop over k: enough to hide its other instructions."""

COPIES = 8
"""Copies of a thread up to which each has its own statement."""

SHORT = 4
"""Lines of functions up to which an epilogue is worked out for each sum where it is."""


class Product:
    """The statements of one Gemm."""

    def __init__(self, steps: BlockSteps, step: Gemm) -> None:
        tile = steps.tile
        self.steps = steps
        self.step = step
        self.tile = tile
        self.outputs, self.depth = step.target.count, step.source.count
        self.chains = chains(self.outputs, self.depth)
        self.share = shared_out(tile, self.outputs, self.depth)
        self.each = self.share.outputs_each
        self.unrolled = self.chains
        while 2 * self.unrolled * self.each * self.share.rows_each <= FMA:
            self.unrolled *= 2
        self.unrolled = min(self.unrolled, tile.depth)
        self.row = row_floats(self.outputs)
        self.stride = self.share.stride
        self.block = steps.plain.places.blocks[step.weights]

    def lines(self) -> Lines:
        """All but the last barrier."""
        share = self.share
        yield f"thread = {plus(times('group', self.tile.lanes), 'lane')}"
        yield f"row = {times(f'(thread & {share.lanes - 1})', share.vector)}"
        yield f"beside = thread >> {share.lanes.bit_length() - 1}"
        if share.panels > 1:
            yield f"for first in range(0, {self.outputs}, {share.panel}):"
            yield from indented(self._panel("first"))
        else:
            yield from self._panel(0)
        if not self._at_once():
            yield "cuda.syncthreads()"
            yield from self.steps.each_element(self.outputs, self._finished())

    def _finished(self) -> Lines:
        """The epilogue of element ``i`` of ``row`` where the target holds the sum."""
        values = self.steps.values("row")
        return assigned(values, self.step, "i", values.element(self.step.target, "i"))

    def _panel(self, first: str | int) -> Lines:
        for q in range(self.each):
            yield f"o = {self._output(first, q)}"
            yield f"bias = k[{self.block} + select(o < {self.outputs}, o, {self.outputs - 1})]"
            for r in range(self.share.rows_each):
                for c in range(self.chains):
                    yield f"{self._sum(q, r, c)} = {'f32(-0.0)' if c else 'bias'}"
        yield "half = 0"
        if first != 0:
            yield "cuda.syncthreads()"
        yield from self._copied(first, 0)
        yield from self._all_depth(first)
        for r in range(self.share.rows_each):
            yield from folded(self.each, self.chains, partial(self._sum_of_row, r))
        for q in range(self.each):
            yield f"o = {self._output(first, q)}"
            yield f"if o < {self.outputs}:"
            for r in range(0, self.share.rows_each, self.share.vector):
                yield from indented(self._stored(q, r))

    def _output(self, first: str | int, q: int) -> str:
        """Output ``q`` of a thread."""
        groups, fours = self.share.groups, self.each // VECTOR
        if q < fours * VECTOR:
            at, each = q // VECTOR * VECTOR * groups + q % VECTOR, VECTOR
        else:
            at, each = fours * VECTOR * groups + q % VECTOR, self.each % VECTOR
        return plus(first, at, times("beside", each))

    def _copied(self, first: str | int, start: str | int) -> Lines:
        """Copies of the weights from k = start on are begun, to the half that ``half`` names."""
        threads = self.tile.threads
        pieces = -(-self.tile.depth * self.stride // VECTOR)
        if pieces > COPIES * threads:
            yield f"for i in range(thread, {pieces}, {threads}):"
            yield from indented(self._copy(first, start, "i"))
            return
        for done in range(0, pieces, threads):
            lines = self._copy(first, start, plus("thread", done))
            if pieces - done < threads:
                yield f"if thread < {pieces - done}:"
                lines = indented(lines)
            yield from lines

    def _copy(self, first: str | int, start: str | int, i: str) -> Lines:
        """Piece ``i`` of a stretch, if there is one."""
        rows = weights_at(self.block, self.outputs)
        to = plus("half", times(i, VECTOR))
        if self.share.panels == 1:
            place = plus(times(str(start), self.row), times(i, VECTOR))
            yield f"if {place} < {self.depth * self.row}:"
            yield f"    copy4(s, {to}, k, {plus(rows, place)})"
            return
        across = self.share.panel // VECTOR
        yield f"deep = ({i}) // {across}"
        yield f"o = {plus(first, f'({i} - deep * {across}) * {VECTOR}')}"
        yield f"deep = {plus(start, 'deep')}"
        yield f"if deep < {self.depth} and o < {self.outputs}:"
        yield f"    copy4(s, {to}, k, {plus(rows, f'deep * {self.row}', 'o')})"

    def _all_depth(self, first: str | int) -> Lines:
        """Whole runs of ``unrolled`` k, stretch by stretch; then what is left."""
        depth, unrolled = self.tile.depth, self.unrolled
        whole = self.depth // unrolled * unrolled
        last = whole % depth
        if whole:
            yield f"for start in range(0, {whole}, {depth}):"
            yield from indented(self._next_stretch(first, "start"))
            count = f"select({plus('start', depth)} > {whole}, {last}, {depth})" if last else depth
            yield f"    if {self._has_outputs(first)}:"
            yield f"        for i in range(0, {count}, {unrolled}):"
            for j in range(unrolled):
                lines = self._products("start", plus("i", j), j % self.chains)
                yield from indented(lines, 3)
        if whole == self.depth:
            return
        if not last:
            yield from self._next_stretch(first, whole)
        yield f"if {self._has_outputs(first)}:"
        for i in range(self.depth - whole):
            yield from indented(self._products(whole - last, last + i, i % self.chains))

    def _next_stretch(self, first: str | int, start: str | int) -> Lines:
        """The weights from ``start`` on are there, and the copies of those after them are begun."""
        depth = self.tile.depth
        yield "await_copies()"
        yield "cuda.syncthreads()"
        yield "at = half"
        if start == "start":
            yield f"half = {depth * self.stride} - half"
            yield from self._copied(first, plus(start, depth))

    def _has_outputs(self, first: str | int) -> str:
        """Whether a thread has any output of a panel."""
        return f"{plus(first, times('beside', min(VECTOR, self.each)))} < {self.outputs}"

    def _products(self, start: str | int, i: str | int, c: int) -> Lines:
        share, values = self.share, self.steps.values("row")
        source = plus(start, i)
        for r in range(0, share.rows_each, share.vector):
            names = ", ".join(f"x{r + e}" for e in range(share.vector))
            memory, place = values.place(self.step.source, source)
            yield _loaded(names, share.vector, memory, plus(place, r * share.lanes))
        at = plus("at", times(str(i), self.stride))
        # of the last thread's outputs some may not exist: what it then reads lies up to a panel
        # past its half, where copies may be under way, and goes into sums that are never stored
        for q, width in self.share.weight_loads():
            names = ", ".join(f"u{e}" for e in range(width))
            yield _loaded(names, width, "s", plus(at, self._output(0, q)))
            for e in range(width):
                for r in range(share.rows_each):
                    name = self._sum(q + e, r, c)
                    yield f"{name} = fma(u{e}, x{r}, {name})"

    def _stored(self, q: int, r: int) -> Lines:
        """Rows ``r ..`` of output ``o``: their values, or their sums where those are to wait."""
        vector, at_once = self.share.vector, self._at_once()
        memory, place = self.steps.values("row").place(self.step.target, "o")
        place = plus(place, r * self.share.lanes)
        found = []
        for e in range(vector):
            value = self._sum(q, r + e, 0)
            if at_once:
                row = plus("row", r * self.share.lanes + e)
                lines, value = self.steps.values(row).lines(self.step.epilogue, "o", value)
                yield from lines
            if value != self._sum(q, r + e, 0):
                yield f"y{e} = {value}"
                value = f"y{e}"
            found.append(value)
        if vector == 1:
            yield f"{memory}[{place}] = {found[0]}"
        else:
            yield f"store{vector}({memory}, {place}, {', '.join(found)})"

    def _at_once(self) -> bool:
        """Whether the epilogue is short, or reads slots of the target and so may not wait."""
        names = functions_of([self.step.epilogue])
        if sum(function_text(name).count("\n") - 2 for name in names if name in FUNCTIONS) <= SHORT:
            return True
        offsets, regions = self.steps.plain.program.offsets, self.steps.plain.program.regions
        target = self.step.target.region
        start, stop = offsets[target], offsets[target] + regions[target]
        return any(
            offsets[read.region] < stop and start < offsets[read.region] + regions[read.region]
            for read in reads(self.step.epilogue)
        )

    def _sum_of_row(self, r: int, q: int, c: int) -> str:
        return self._sum(q, r, c)

    def _sum(self, q: int, r: int, c: int) -> str:
        return f"{sum_name(q, c)}r{r}"


def _loaded(names: str, width: int, memory: str, place: str) -> str:
    return f"{names} = {f'{memory}[{place}]' if width == 1 else f'load{width}({memory}, {place})'}"
