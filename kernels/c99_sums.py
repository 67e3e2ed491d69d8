"""The sums of a Gemm as C99 loops: a few outputs and chains of a tile, or many outputs of a row.

Sums lie in ``t`` as [chain][output][row of the tile]. ``Carry`` functions carry some of them on
over k, in local arrays of which compilers make registers. Weights are packed as for the other CPU
kernels (``packing``): panels of [bias][k][outputs], or [bias][output][k] where ``narrow``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from instjit.kernels.c99_functions import number
from instjit.kernels.c99_values import (
    Form,
    Lines,
    assigned,
    indented,
    loop,
    moved,
    plus,
    times,
    vector_loop,
)
from instjit.kernels.packing import narrow, padded, panels
from instjit.kernels.specs import GemmSpec

SUMS = 8
"""Sums of each row of a tile that are carried on side by side: two fma a cycle of latency 4 keep
eight vectors busy. A block may go 4 outputs past its panel, whose width is a multiple of 4; what is
there in ``k`` is not used."""


@dataclass(frozen=True, slots=True)
class Carry:
    """A function that adds ``count`` products to each of some sums, ``step`` k apart.

    Attributes
    ----------
    name
        What the text calls it.
    size
        Neighbouring sums that have one local array; element ``e`` of each is worked on at once.
    terms
        Weight and slot of each array's product.
    slot
        Floats from one slot to the next.
    """

    name: str
    size: int
    terms: tuple[tuple[str, str], ...]
    slot: int

    def lines(self) -> Lines:
        """The function's text."""
        starts = [plus(at * self.size, "e") for at in range(len(self.terms))]
        arrays = ", ".join(f"a{at}[{self.size}]" for at in range(len(self.terms)))
        products = (
            f"a{at}[e] = fmaf({weight}, {slot}, a{at}[e]);"
            for at, (weight, slot) in enumerate(self.terms)
        )
        places = [
            "const float *u = w + j * step * next;",
            f"const float *v = x + {times('j * step', self.slot)};",
        ]
        yield f"static void {self.name}(const float *restrict x, const float *restrict w,"
        yield "    ptrdiff_t count, ptrdiff_t step, ptrdiff_t next, float *restrict t)"
        yield "{"
        yield f"    float {arrays};"
        yield from indented(self._each(f"a{at}[e] = t[{e}];" for at, e in enumerate(starts)))
        yield from indented(loop("j", "count", [*places, *self._each(products)]))
        yield from indented(self._each(f"t[{e}] = a{at}[e];" for at, e in enumerate(starts)))
        yield "}"

    def _each(self, lines: Iterable[str]) -> Lines:
        """Longer loops are several vectors, which are to be unrolled."""
        return (vector_loop if self.size <= 8 else loop)("e", self.size, lines)


def carry(form: Form, count: int, outputs: int, *, row_major: bool) -> Carry:
    """What carries on ``count`` chains of some outputs."""
    lanes = form.lanes
    if lanes == 1 and row_major:
        return Carry("row_carry_dot", count, (("u[e]", "v[e]"),), 1)
    rows = ["", "next", *(f"{c} * next" for c in range(2, count))][:count]
    if lanes == 1:
        terms = [(f"u[{plus(0, row, 'e')}]", f"v[{c}]") for c, row in enumerate(rows)]
        return Carry(f"row_carry_{count}x{outputs}", outputs, tuple(terms), 1)
    terms = [
        (f"u[{plus(q, row)}]", f"v[{plus(c * lanes, 'e')}]")
        for c, row in enumerate(rows)
        for q in range(outputs)
    ]
    return Carry(f"tile_carry_{count}x{outputs}", lanes, tuple(terms), lanes)


class ProductWriter:
    """Writes a Gemm in one form.

    Attributes
    ----------
    carries
        The functions that it calls, by name.
    """

    def __init__(self, form: Form, product: GemmSpec, panel: int) -> None:
        self.form = form
        self.product = product
        self.panel = panel
        self.carries: dict[str, Carry] = {}
        self.narrow = narrow(product.outputs, product.depth)

    def lines(self) -> Lines:
        """The statements."""
        for start, stop, width in self._parts():
            outputs = self._outputs(width)
            body = self._block(outputs, stop, stop - start, width)
            first = str(start)
            yield from loop("first", stop, body, first, outputs)

    def _parts(self) -> list[tuple[int, int, int]]:
        """First and last output, and floats from the weights of one k to those of the next."""
        outputs, depth = self.product.outputs, self.product.depth
        if self.narrow:
            return [(0, outputs, 1)]
        whole = outputs // self.panel * self.panel
        parts = [(0, whole, self.panel)] if whole else []
        tail = panels(outputs - whole, depth, self.panel)
        return parts + [(whole, outputs, part.width) for part in tail]

    def _outputs(self, width: int) -> int:
        """Outputs of a block."""
        if self.narrow:
            return 1
        return width if self.form.lanes == 1 else max(1, SUMS // self.product.chains)

    def _block(self, outputs: int, stop: int, count: int, width: int) -> Lines:
        """Outputs first .. first + outputs: starts, products, chains joined, values."""
        yield f"float t[{self.product.chains * outputs * self.form.lanes}];"
        yield from self._starts(outputs, width)
        yield from self._products(outputs, width)
        yield from self._joined(outputs)
        below = f"first + {outputs}" if count % outputs == 0 else f"first + {outputs} && i < {stop}"
        if count <= outputs:
            below = str(stop)
        target = f"s[{self.form.place(self.product.target, 'i')}]"
        total = f"t[{self._sum('i - first')}]"
        value = assigned(self.form, self.product.value, "i", target, total)
        yield from loop("i", below, self.form.each_row(value), "first")

    def _starts(self, outputs: int, width: int) -> Lines:
        """Where the weights lie; the first chain starts at the bias."""
        product, group = self.product, outputs * self.form.lanes
        at = product.weights + (padded(product.outputs) if self.narrow else 0)
        yield f"const float *w = {moved('k', at, self._place())};"

        def start(q: str) -> list[str]:
            bias = f"k[{plus(product.weights, 'first')}]" if self.narrow else f"w[{q}]"
            return [f"t[{self._sum(q)}] = {bias};"]

        yield from self._each_sum(outputs, start)
        if product.chains > 1:
            rest = (product.chains - 1) * group
            yield from loop("j", rest, [f"t[{group} + j] = {number(-0.0)};"])

    def _place(self) -> str:
        """Floats from the first weights to those of output ``first``, or to its panel's."""
        depth, panel = self.product.depth, self.panel
        if self.narrow:
            return times("first", depth)
        if self.form.lanes == 1:
            return times("first", depth + 1)
        if self.product.outputs <= panel:
            return "first"
        return f"first / {panel} * {panel * (depth + 1)} + first % {panel}"

    def _products(self, outputs: int, width: int) -> Lines:
        count = self.product.chains
        whole, rest = divmod(self.product.depth, count)
        made = carry(self.form, count, outputs, row_major=self.narrow)
        self.carries[made.name] = made
        x, w = self.form.start(self.product.source), moved("w", self._head(width))
        yield f"{made.name}({x}, {w}, {whole}, {count}, {width}, t);"
        if rest:
            yield from loop("c", rest, self._last(outputs, width, whole * count))

    def _last(self, outputs: int, width: int, k: int) -> Lines:
        """The products that only the first chains have."""
        group = times("c", outputs * self.form.lanes)
        slot = f"s[{self.form.place(self.product.source + k, 'c')}]"

        def lines(q: str) -> list[str]:
            weight = f"w[{plus(self._head(width) + k * width, times('c', width), q)}]"
            total = f"t[{plus(0, group, self._sum(q))}]"
            return [f"{total} = fmaf({weight}, {slot}, {total});"]

        yield from self._each_sum(outputs, lines)

    def _head(self, width: int) -> int:
        """Floats from ``w`` to the weights of the first k: a panel's bias."""
        return 0 if self.narrow else width

    def _joined(self, outputs: int) -> Lines:
        """Chain c takes chain c + half, by halves."""
        half = self.product.chains // 2
        while half:
            sums = half * outputs * self.form.lanes
            yield from loop("j", sums, [f"t[j] = t[j] + t[{sums} + j];"])
            half //= 2

    def _sum(self, q: str) -> str:
        """Index in ``t`` of an output's sum of the row at hand."""
        return q if self.form.lanes == 1 else plus(0, times(q, self.form.lanes), "lane")

    def _each_sum(self, outputs: int, lines: Callable[[str], list[str]]) -> Lines:
        """The lines for each output of a block and each row."""
        if outputs == 1:
            return self.form.each_row(lines("0"))
        return loop("q", outputs, self.form.each_row(lines("q")))
