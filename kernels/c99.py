"""Program -> CSource: a kernel as standalone C99, for compilers without our object code.

The text defines two functions, of a kernel called NAME at a level called LEVEL::

    void NAME_tiles_LEVEL(const float *x, float *y, int64_t rows, int64_t first, int64_t last,
                          const float *k, const int32_t *n, float *s);
    void NAME_row_LEVEL(const float *x, float *y, const float *k, const int32_t *n, float *s);

``x`` and ``y`` are row-major float32; tiles first .. last - 1 of a batch have ``lanes`` rows each,
the last one the last rows of the batch. ``k`` and ``n`` are the constants as ``layout.bind`` packs
them for the level, ``s`` is scratch of ``slots * lanes`` floats, or of ``slots`` for a row, with
anything in it. ``k`` is read to the end of the array that ``bind`` gives, padding included. There
is no state and no allocation. The stack holds the sums of one block: up to 1 KB where a tile has 8
rows, 4 KB where it has 32. Steps are loops, so the text's length does not depend on any width.

The bits are those of the other kernels with any C99 compiler that follows IEEE 754: contraction is
off (``-ffp-contract=off``), ``fmaf`` comes from the hardware or from libm, subnormal numbers are
not flushed. GCC 12 makes of the text for level avx2, with -O3 and the flags of a CPU with AVX-512,
code that takes 2 to 7 % longer than our own; with those of AVX2 alone, twice as long.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instjit.errors import CompileError, Problem
from instjit.kernels.c99_functions import function_text, prelude
from instjit.kernels.c99_steps import (
    GIVE,
    PLACE,
    TAKE,
    lookup_lines,
    map_lines,
    reduce_lines,
)
from instjit.kernels.c99_sums import Carry, ProductWriter
from instjit.kernels.c99_values import (
    VECTOR_TEXT,
    Form,
    Lines,
    functions_of,
    indented,
    loop,
    moved,
    times,
)
from instjit.kernels.layout import Layout
from instjit.kernels.located import Located
from instjit.kernels.locating import comment_of, located, slot_of
from instjit.kernels.specs import GemmSpec
from instjit.kernels.target import Level
from instjit.program import (
    Column,
    Expression,
    Gemm,
    Lookup,
    Map,
    Program,
    Reduce,
    Step,
    chains,
    value_of,
)

PARAMETERS = {
    "s": "float *restrict s",
    "k": "const float *restrict k",
    "n": "const int32_t *restrict n",
}

IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class CSource:
    """A kernel as C99.

    Attributes
    ----------
    text
        The same bytes for models of the same structure and the same name.
    digest
        SHA-256 of the text and the index lists, 64 hex digits.
    name, level
        NAME, and the blocking that the constants are packed for.
    """

    text: str
    digest: str
    name: str
    level: Level

    def __str__(self) -> str:
        return self.text


def emit(
    program: Program, places: Layout, level: Level, kinds: Sequence[str], name: str = "model"
) -> CSource:
    """Write the text.

    Parameters
    ----------
    program
        A program that is laid out, whose columns are the model's inputs and outputs.
    places
        Where its constants lie.
    kinds
        Wire name of every instruction of the model, for the comments.
    name
        The prefix of the two functions.

    Raises
    ------
    CompileError
        InvalidName: the name is no C identifier of 1 to 63 letters, digits and underscores.
    """
    if not IDENTIFIER.fullmatch(name):
        wanted = "a letter, then letters, digits and underscores, 63 in all at most"
        sentence = f"the name of a C kernel must be {wanted}, got {name[:80]!a}"
        raise CompileError(Problem("InvalidName", sentence, fields={"name": name}))
    body = _Writer(program, places, level, kinds, name).text()
    digest = hashlib.sha256(f"{body}\n{list(places.lists)}\n{level}".encode()).hexdigest()
    form = f"level {level.name}, {level.lanes} rows a tile, structure {digest[:16]}"
    head = f"/* instjit kernel in C99, {form}. */\n"
    return CSource(head + body, digest, name, level)


class _Writer:
    def __init__(
        self, program: Program, places: Layout, level: Level, kinds: Sequence[str], name: str
    ) -> None:
        self.program = program
        self.places = places
        self.level = level
        self.kinds = kinds
        self.name = name
        self.carries: dict[str, Carry] = {}
        self.calls: dict[Form, list[str]] = {Form(1): [], Form(level.lanes): []}

    def text(self) -> str:
        forms = [Form(1)] if self.level.lanes == 1 else [Form(self.level.lanes), Form(1)]
        parts = ["\n".join((*self._steps(form), "")) for form in forms]
        entries = ["\n".join((*lines, "")) for lines in (self._row(), self._tiles(forms[0]))]
        carries = ["\n".join((*carry.lines(), "")) for carry in self.carries.values()]
        return prelude("\n".join((VECTOR_TEXT, *self._functions(), *carries, *parts, *entries)))

    def _functions(self) -> list[str]:
        """The functions that the steps call."""
        steps, lanes = self.program.steps, self.level.lanes
        values = [value for step in steps if (value := value_of(step)) is not None]
        names = [name for value in values for name in functions_of(self._located(value))]
        if any(isinstance(step, Reduce) and step.kind == "maximum" for step in steps):
            names.append("maximum")
        texts = [function_text(name) for name in dict.fromkeys(names)]
        if any(isinstance(step, Lookup) for step in steps):
            texts.append(PLACE)
        if lanes > 1 and _filled(self.program.loads):
            texts.append(TAKE.format(lanes=lanes))
        if lanes > 1 and _filled(self.program.stores):
            texts.append(GIVE.format(lanes=lanes))
        return texts

    def _steps(self, form: Form) -> Lines:
        """A function for each step; ``calls`` gets what calls them."""
        directories = iter(self.places.directories)
        for number, step in enumerate(self.program.steps):
            directory = next(directories) if isinstance(step, Lookup) else 0
            lines = list(self._lines(form, step, directory))
            taken = [name for name in PARAMETERS if _mentions(lines, name)]
            if not taken:
                continue  # a step of no elements
            name = f"{form.name}_step{number}"
            self.calls[form].append(f"{name}({', '.join(taken)});")
            yield f"/* {comment_of(step, self.kinds)} */"
            yield f"static void {name}({', '.join(PARAMETERS[name] for name in taken)})"
            yield from ("{", *indented(lines), "}", "")

    def _lines(self, form: Form, step: Step, directory: int) -> Lines:
        target = slot_of(self.program, step.target)
        if isinstance(step, Gemm):
            outputs, depth = step.target.count, step.source.count
            product = GemmSpec(
                outputs,
                depth,
                chains(outputs, depth),
                slot_of(self.program, step.source),
                target,
                self.places.blocks[step.weights],
                self._located(step.epilogue),
            )
            writer = ProductWriter(form, product, self.level.panel)
            yield from writer.lines()
            self.carries |= writer.carries
        elif isinstance(step, Map):
            yield from map_lines(form, step.target.count, target, self._located(step.value))
        elif isinstance(step, Reduce):
            value = self._located(step.value)
            yield from reduce_lines(form, step.kind, step.count, target, value)
        else:
            source = slot_of(self.program, step.source)
            yield from lookup_lines(form, step.target.count, directory, source, target)

    def _located(self, value: Expression) -> Located:
        return located(self.program, self.places, value)

    def _tiles(self, form: Form) -> Lines:
        lanes = self.level.lanes
        yield f"void {self.name}_tiles_{self.level.name}("
        yield "    const float *restrict x, float *restrict y,"
        yield "    int64_t rows, int64_t first, int64_t last,"
        yield f"    {PARAMETERS['k']}, {PARAMETERS['n']}, {PARAMETERS['s']})"
        yield "{"
        if form.lanes == 1:
            row = f"{self.name}_row_{self.level.name}"
            x = moved("x", times("row", self.program.width_in))
            y = moved("y", times("row", self.program.width_out))
            each = [f"{row}({x}, {y}, k, n, s);"]
            body = ["(void)rows;", *loop("row", "last", each, "first", kind="int64_t")]
        else:
            few = f"const ptrdiff_t count = rows < {lanes} ? (ptrdiff_t)rows : {lanes};"
            each = list(self._each_tile(form))
            body = [few, *loop("tile", "last", each, "first", kind="int64_t")]
        yield from indented((*_unused(body, ("x", "y", "k", "n")), *body))
        yield "}"

    def _each_tile(self, form: Form) -> Lines:
        lanes, width_in, width_out = self.level.lanes, self.program.width_in, self.program.width_out
        yield f"const int64_t after = (tile + 1) * {lanes};"
        yield "const int64_t row = (after < rows ? after : rows) - count;"
        for column in _filled(self.program.loads):
            at, count = slot_of(self.program, column.view), column.view.count
            x = moved("x", times("row", width_in), column.first)
            yield f"ij_take({x}, {width_in}, count, {count}, {form.start(at)});"
        yield from self.calls[form]
        for column in _filled(self.program.stores):
            at, count = slot_of(self.program, column.view), column.view.count
            y = moved("y", times("row", width_out), column.first)
            yield f"ij_give({form.start(at)}, {width_out}, count, {count}, {y});"

    def _row(self) -> Lines:
        name = f"{self.name}_row_{self.level.name}"
        yield f"void {name}(const float *restrict x, float *restrict y,"
        yield f"    {PARAMETERS['k']}, {PARAMETERS['n']}, {PARAMETERS['s']})"
        yield "{"
        form = Form(1)
        body = []
        for column in _filled(self.program.loads):
            at, count = slot_of(self.program, column.view), column.view.count
            body.append(
                f"memcpy({form.start(at)}, {moved('x', column.first)}, {count} * sizeof *x);"
            )
        body += self.calls[form]
        for column in _filled(self.program.stores):
            at, count = slot_of(self.program, column.view), column.view.count
            body.append(
                f"memcpy({moved('y', column.first)}, {form.start(at)}, {count} * sizeof *y);"
            )
        yield from indented((*_unused(body, ("x", "y", "k", "n")), *body))
        yield "}"


def _filled(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.view.count]


def _mentions(lines: Iterable[str], name: str) -> bool:
    word = re.compile(rf"\b{name}\b")
    return any(word.search(line) for line in lines)


def _unused(lines: Sequence[str], names: Iterable[str]) -> Lines:
    """What tells a compiler that parameters are unused on purpose."""
    return (f"(void){name};" for name in names if not _mentions(lines, name))
