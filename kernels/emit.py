"""Program -> Source: the text of one kernel.

Shape of the text (a two-layer net)::

    # 0: DOT
    step0 = gemm(outputs=300, depth=250, ..., source=0, target=250, weights=0, value=relu(total))
    # 1: DOT
    step1 = gemm(...)
    take = columns_in(width=250, columns=((0, 0, 250),))
    give = columns_out(width=200, columns=((0, 550, 200),))

    def tiles(x, y, first, last, ..., k, n, s): ...    # rows in, steps, rows out, tile by tile
    def row(x, y, k, n): ...                           # one row
    def wide_row(x, y, k, n, pool): ...                # the same, its wide products shared out
    def phases(x, y, phase, first, last, ...): ...     # few tiles together, some work of a phase

Scratch is ``s``, the packed constants are ``k`` and ``n``. ``driver`` runs ``tiles`` over a batch.

The definitions say all there is to know of a step; the functions they name exist twice, in plain
Python (``plain``) and as Numba intrinsics (``native``), each for a tile and for a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from instjit.kernels import phases
from instjit.kernels.borrowed import borrowed
from instjit.kernels.gemm_choices import fetches, wide_gemms
from instjit.kernels.layout import Layout
from instjit.kernels.located import text_of
from instjit.kernels.locating import comment_of, located, slot_of
from instjit.kernels.pairing import Plan
from instjit.kernels.source import Source
from instjit.kernels.target import Level
from instjit.lower import Variant
from instjit.program import (
    Column,
    Expression,
    Gemm,
    Lookup,
    Map,
    Program,
    Reduce,
    Step,
    View,
    chains,
    step_reads,
)

STACK_BYTES = 64 * 1024
"""A row's scratch up to this size lies on the stack."""

STEPS_ALONE, STEPS_TOGETHER = 32, 100
"""A text of more steps than the first calls them by so many at once: a call costs Numba 3 ms."""


def emit(
    program: Program,
    places: Layout,
    level: Level,
    variant: Variant,
    kinds: Sequence[str],
    plan: Plan | None = None,
) -> Source:
    """Write the text.

    Parameters
    ----------
    program
        A program that is laid out.
    kinds
        Wire name of every instruction of the model, for the comments.
    plan
        Wide products that are not float32; there is no ``row`` then.
    """
    writer = _Writer(program, places, level, variant, kinds, plan)
    body = writer.body()
    digest = hashlib.sha256(f"{body}\n{list(places.lists)}\n{level}".encode()).hexdigest()
    precision = plan.multiplier.precision if plan else "float32"
    shown = f", {precision}" if plan else ""
    form = f"level {level.name}, {level.lanes} rows a tile{shown}, structure {digest[:16]}"
    head = f'"""instjit kernel for cpu, {form}."""\n'
    units = phases.units(program, writer.phases, level)
    return Source(head + body, digest, "cpu", level, variant, precision, bool(writer.wide), units)


class _Writer:
    def __init__(
        self,
        program: Program,
        places: Layout,
        level: Level,
        variant: Variant,
        kinds: Sequence[str],
        plan: Plan | None,
    ) -> None:
        self.products = plan.products if plan else {}
        self.straight = plan.straight if plan else None
        self.taken = plan.taken if plan else program.loads
        self.on_tiles = plan is not None and plan.multiplier.unit == "amx"
        self.program = program
        self.places = places
        self.level = level
        self.variant = variant
        self.kinds = kinds
        self.directories = iter(places.directories)
        self.ahead = fetches(program, level) if variant == "output" else {}
        self.borrowed = borrowed(program) if variant == "output" and level.lanes == 1 else {}
        wide = wide_gemms(program) if self._has_wide_row else frozenset()
        self.wide = frozenset(n for n in wide if n in self.ahead or not self._has_rows(n))
        together = self.wide and level.lanes > 1
        self.phases = phases.phases(program, self.wide) if together else []

    def body(self) -> str:
        lines = ["", *self._definitions(), "", "", *self._tiles()]
        if self._has_row:
            lines += ["", "", *self._row()]
        if self.wide:
            lines += ["", "", *self._wide_row()]
        if self.phases:
            width, lanes = self.program.width_in, self.level.lanes
            lines += ["", "", *phases.text(self.phases, lanes, width, self._step)]
        return "\n".join(lines) + "\n"

    def _definitions(self) -> Iterable[str]:
        shown: tuple[int, ...] | None = None
        for number, step in enumerate(self.program.steps):
            if step.origin != shown:
                shown = step.origin
                yield f"# {comment_of(step, self.kinds)}"
            if number in self.products and isinstance(step, Gemm):
                yield from self._product(number, step)
            else:
                yield f"step{number} = {self._call(number, step)}"
            if number in self.wide and isinstance(step, Gemm):
                yield f"wide{number} = wide_{self._gemm(step)})"
            if number in self.wide and self.phases and isinstance(step, Gemm):
                yield f"span{number} = span_{self._gemm(step)}, slots={self.program.slots})"
        taken, given = self._columns(self.program.loads), self._columns(self.program.stores)
        whole = self._columns(self.taken)
        if len(self.program.steps) > STEPS_ALONE:
            yield from self._runs()
        yield "# rows of the caller's arrays"
        yield f"take = columns_in(width={self.program.width_in}, columns={whole})"
        if self.straight:
            yield f"take_words = {self._words(*self.straight)}"
        yield f"take_part = part_in(width={self.program.width_in}, columns={taken})"
        yield f"give = columns_out(width={self.program.width_out}, columns={given})"
        yield f"give_part = part_out(width={self.program.width_out}, columns={given})"
        if self.phases:
            yield f"scratch_of = tile_scratch(slots={self.program.slots})"
        if self._on_stack:
            yield f"row_scratch = stack({max(1, self.program.slots)})"

    def _ahead(self, number: int) -> str:
        return f", ahead={self.ahead[number]}" if number in self.ahead else ""

    def _has_rows(self, number: int) -> bool:
        """Whether rows of the caller's arrays are operands of a step."""
        step = self.program.steps[number]
        views = (step.target, *step_reads(step))
        return number in self.ahead or any(view.region in self.borrowed for view in views)

    def _call(self, number: int, step: Step) -> str:
        if isinstance(step, Gemm):
            return f"{self._gemm(step)}{self._ahead(number)})"
        if isinstance(step, Map):
            into = ', into="y"' if step.target.region in self.borrowed else ""
            return (
                f"elementwise(count={step.target.count}, target={self._at(step.target)}, "
                f"value={self._value(step.value)}{into})"
            )
        if isinstance(step, Reduce):
            function = {"sum": "add", "maximum": "maximum"}[step.kind]
            return (
                f'reduce(function="{function}", count={step.count}, '
                f"target={self._at(step.target)}, value={self._value(step.value)})"
            )
        return self._lookup(step)

    def _gemm(self, step: Gemm) -> str:
        """Without the closing parenthesis."""
        outputs, depth = step.target.count, step.source.count
        return (
            f"gemm(outputs={outputs}, depth={depth}, chains={chains(outputs, depth)}, "
            f"source={self._at(step.source)}, target={self._at(step.target)}, "
            f"weights={self.places.blocks[step.weights]}, value={self._value(step.epilogue)}"
        )

    def _product(self, number: int, step: Gemm) -> Iterable[str]:
        """A wide product, after the split of its source where none has been made."""
        pairing, outputs, depth = self.products[number], step.target.count, step.source.count
        form = pairing.form
        if pairing.split:
            yield (
                f"split{number} = split(count={depth}, source={self._at(step.source)}, "
                f"target={pairing.pairs}, {form})"
            )
        yield (
            f"step{number} = product(outputs={outputs}, depth={depth}, pairs={pairing.pairs}, "
            f"target={self._at(step.target)}, weights={self.places.blocks[step.weights]}, "
            f"value={self._value(step.epilogue)}, {form}, sums={pairing.sums}, "
            f"following={pairing.following}, kept={pairing.kept}{self._ahead(number)})"
        )

    def _words(self, number: int, column: int, count: int) -> str:
        pairing = self.products[number]
        return (
            f"words_in(width={self.program.width_in}, column={column}, count={count}, "
            f"target={pairing.pairs}, {pairing.form})"
        )

    def _lookup(self, step: Lookup) -> str:
        return (
            f"lookup(size={step.target.count}, directory={next(self.directories)}, "
            f"source={self._at(step.source)}, target={self._at(step.target)})"
        )

    def _at(self, view: View) -> int:
        return slot_of(self.program, view, self.borrowed)

    def _value(self, value: Expression) -> str:
        return text_of(located(self.program, self.places, value, self.borrowed))

    def _columns(self, columns: Sequence[Column]) -> str:
        runs = "".join(
            f"({c.first}, {self._at(c.view)}, {c.view.count}), "
            for c in columns
            if c.view.count and c.view.region not in self.borrowed
        )
        return f"({runs.rstrip()})"

    @property
    def _has_row(self) -> bool:
        return self.variant == "output" and not self.products

    @property
    def _has_wide_row(self) -> bool:
        return self._has_row and len(self.program.steps) <= STEPS_ALONE

    @property
    def _on_stack(self) -> bool:
        return self._has_row and self.program.slots * 4 <= STACK_BYTES

    def _runs(self) -> Iterable[str]:
        """Names for many steps at once."""
        count = len(self.program.steps)
        for start in range(0, count, STEPS_TOGETHER):
            yield f"steps{start} = together("
            for number in range(start, min(start + STEPS_TOGETHER, count)):
                yield f"    {', '.join(self._names(number))},"
            yield ")"

    def _names(self, number: int) -> Iterable[str]:
        done = self.straight and self.straight[0] == number  # before the first step
        if number in self.products and self.products[number].split and not done:
            yield f"split{number}"
        yield f"step{number}"

    def _steps(self, indent: str, rows: str) -> Iterable[str]:
        count = len(self.program.steps)
        if count > STEPS_ALONE:
            for start in range(0, count, STEPS_TOGETHER):
                yield f"{indent}steps{start}(s, k, n, {rows})"
            return
        for number in range(count):
            yield from self._step(indent, number, rows)

    def _step(self, indent: str, number: int, rows: str) -> Iterable[str]:
        for name in self._names(number):
            taken = name.startswith("step") and self._has_rows(number)
            yield f"{indent}{name}(s, k, n{f', {rows}' if taken else ''})"

    def _tiles(self) -> Iterable[str]:
        yield "def tiles(x, y, first, last, shared, start, stop, k, n, s):"
        if self.on_tiles:
            yield "    begin_tiles()"
        yield from self._each_tile()
        if self.on_tiles:
            yield "    end_tiles()"

    def _each_tile(self) -> Iterable[str]:
        lanes = self.level.lanes
        yield "    rows = x.shape[0]"
        yield "    for tile in range(first, last):"
        yield f"        row = tile * {lanes}"
        if lanes == 1:
            yield from self._one_row("        ", "row", self._give("1"))
            return
        yield f"        count = {lanes}"
        yield f"        if row + {lanes} > rows:"
        yield f"            if shared or rows < {lanes}:"
        yield "                count = rows - row"
        yield "            else:"
        yield f"                row = rows - {lanes}"
        yield f"        if count == {lanes}:"
        yield "            take(x, row, s)"
        if self.straight:
            yield "            take_words(x, row, s)"
        yield "        else:"
        yield f"            take_part(x, row, count, 0, {self.program.width_in}, s)"
        if self.straight:
            yield f"            split{self.straight[0]}(s, k, n)"
        fetched = "0, 0"
        if self.ahead:
            fetched = "next_x, next_y"
            yield f"        next_x = address(x, row + {lanes})"
            yield f"        next_y = address(y, row + {lanes})"
        yield from self._steps("        ", fetched)
        if self.variant == "slots":
            yield f"        {self._give('count')}"
            return
        yield f"        if count == {lanes}:"
        yield "            give(y, row, s)"
        yield "        else:"
        yield "            give_part(y, row, count, start, stop, s)"

    def _give(self, count: str) -> str:
        return (
            f"give_part(y, row, {count}, start, stop, s)"
            if self.variant == "slots"
            else "give(y, row, s)"
        )

    def _row(self) -> Iterable[str]:
        yield "def row(x, y, k, n):"
        yield from self._row_body(wide=False)

    def _wide_row(self) -> Iterable[str]:
        yield "def wide_row(x, y, k, n, pool):"
        yield from self._row_body(wide=True)

    def _row_body(self, *, wide: bool) -> Iterable[str]:
        yield f"    if x.size != {self.program.width_in} or y.size != {self.program.width_out}:"
        yield "        return False"
        if self._on_stack:
            yield "    s = row_scratch()"
        else:
            yield f"    buffer = empty({self.program.slots + 16}, float32)"
            yield "    s = aligned(buffer)"
        yield from self._one_row("    ", "0", "give(y, 0, s)", wide=wide)
        if not self._on_stack:
            yield "    release(buffer)"
        yield "    return True"

    def _one_row(self, indent: str, row: str, give: str, *, wide: bool = False) -> Iterable[str]:
        yield f"{indent}take(x, {row}, s)"
        rows = "0, 0"
        if self.borrowed:
            rows = "at_x, at_y"
            yield f"{indent}at_x = address(x, {row})"
            yield f"{indent}at_y = address(y, {row})"
        yield from self._wide_steps(indent, rows) if wide else self._steps(indent, rows)
        yield f"{indent}{give}"

    def _wide_steps(self, indent: str, rows: str) -> Iterable[str]:
        for number in range(len(self.program.steps)):
            if number in self.wide:
                yield f"{indent}wide{number}(s, k, n, pool)"
            else:
                yield from self._step(indent, number, rows)
