"""Program -> GpuSource: the text of one CUDA kernel.

Shape of the text, a row to a thread::

    def compute(k, n, s):                      # all steps over the scratch of one row
        # 0: DOT
        for o in range(0, 32, 4): ...

    def thread_rows(x, y, rows, k, n): ...     # rows in, compute, rows out

or a tile of rows to a block of threads::

    def step0(k, n, s, beyond, base, lane, group): ...
    def block_rows(x, y, rows, k, n, beyond): ...

It is plain Python over ``cuda`` and the primitives of ``text``: the same text runs on a GPU, under
Numba's simulator and unjitted. Arrays are flat; ``k`` and ``n`` are the packed constants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOf

from instjit.errors import CompileError, Problem
from instjit.gpu.block_form import ARGUMENTS, BlockSteps, Room
from instjit.gpu.placement import split
from instjit.gpu.search import LOOKUP
from instjit.gpu.tensor_form import DEPTH, OUTPUTS, REST, Precision, suits, wide
from instjit.gpu.text import function_text
from instjit.gpu.thread_form import ThreadSteps, indented
from instjit.gpu.tile import SHARED_BYTES, Tile, shared_bytes_each, tiles, weights_floats
from instjit.gpu.transfer import Transfer
from instjit.gpu.values import Values, functions_of, plus
from instjit.kernels.layout import Layout
from instjit.program import Column, Gemm, Lookup, Program, Reduce, Step, value_of

Form = OneOf["thread", "block"]
Lines = Iterator[str]

THREAD_SLOTS = 96
"""A row's scratch up to this size is a thread's own; about so many floats become registers."""

HELD = 4096
"""Constants that a block of threads with a row each holds in shared memory, in floats at most."""

LINES_PER_FUNCTION = 150
"""Numba's front end is superlinear in the statements of a function."""


@dataclass(frozen=True, slots=True)
class GpuSource:
    """The text of a kernel.

    Attributes
    ----------
    text
        Python source, the same bytes for models of the same structure.
    digest
        SHA-256 of the text and the index lists, 64 hex digits.
    target
        "cuda".
    form
        "thread": a row in a thread. "block": a tile of rows in a block.
    tile
        How a block shares out its rows; None for the thread form.
    shared_bytes
        Dynamic shared memory of a block.
    scratch_floats
        Floats of global memory that each block needs for what of its tile shared memory has no
        room for.
    precision
        "float32", or what wide products are worked out in.
    """

    text: str
    digest: str
    target: str
    form: Form
    tile: Tile | None
    shared_bytes: int
    scratch_floats: int
    precision: Precision = "float32"

    @property
    def entry(self) -> str:
        """The kernel's name in the text."""
        return f"{self.form}_rows"

    def __str__(self) -> str:
        return self.text


def emit(
    program: Program,
    places: Layout,
    kinds: Sequence[str],
    form: Form | None = None,
    tile: Tile | None = None,
    shared_bytes: int = SHARED_BYTES,
    precision: Precision = "float32",
) -> GpuSource:
    """Write the text.

    Parameters
    ----------
    program
        A program that is laid out.
    places
        Where its constants lie (``instjit.gpu.layout``).
    kinds
        Wire name of every instruction of the model, for the comments.
    form, tile
        Instead of those that the size of a row's scratch suggests.
    shared_bytes
        Shared memory that a block may take.
    precision
        Other than "float32": the block form, with wide products on tensor cores.

    Raises
    ------
    CompileError
        Unsupported: a precision other than "float32" without a product that is wide enough for it,
        in the thread form, or with a tile that warps cannot share out.
    """
    if precision != "float32":
        _require_tensor_cores(program, form, tile)
        form = "block"
    chosen = form or ("thread" if program.slots <= THREAD_SLOTS else "block")
    if chosen == "thread":
        writer = _ThreadWriter(program, places, kinds)
        body = "\n".join(writer.lines()) + "\n"
        return _source(body, places, chosen, "a row a thread", None, 4 * writer.held, 0)
    room = _room(program, [tile] if tile else tiles(), shared_bytes, precision)
    body = "\n".join(_BlockWriter(program, places, kinds, room, precision).lines()) + "\n"
    best, scratch = room.tile, room.scratch
    shape = f"{best.rows} rows a block of {best.lanes} x {best.groups} threads"
    shared = 4 * (room.weights + scratch.shared_slots * best.stride)
    floats = scratch.global_slots * best.stride
    return _source(body, places, chosen, shape, best, shared, floats, precision)


def _room(
    program: Program, choice: Sequence[Tile], shared_bytes: int, precision: Precision
) -> Room:
    """The largest tile whose scratch fits shared memory; or the last, and what of it fits.

    Of tiles of as many rows the last that fits is taken: there several blocks find room.
    """
    if precision != "float32":
        choice = [tile for tile in choice if suits(tile)]
    found = None
    for tile in choice:
        if found and (found.tile.rows, found.tile.depth) != (tile.rows, tile.depth):
            break
        weights = _weights_floats(program, tile, precision)
        room = shared_bytes_each(shared_bytes, tile.blocks)
        most = max(0, room // 4 - weights) // tile.stride
        if most >= program.slots:
            found = Room(tile, split(program, most), weights)
    if found:
        return found
    tile = min(choice, key=lambda tile: tile.rows)
    weights = _weights_floats(program, tile, precision)
    most = max(0, shared_bytes // 4 - weights) // tile.stride
    return Room(tile, split(program, most), weights)


def _weights_floats(program: Program, tile: Tile, precision: Precision) -> int:
    products = [step for step in program.steps if isinstance(step, Gemm)]
    if precision == "float32" or not suits(tile):
        return weights_floats(tile, products)
    others = [step for step in products if not wide(step)]
    return max(tile.tensor_floats, weights_floats(tile, others))


def _require_tensor_cores(program: Program, form: Form | None, tile: Tile | None) -> None:
    if form == "thread":
        sentence = "tensor cores are for the block form, a thread alone cannot use them"
    elif tile is not None and not suits(tile):
        sentence = f"warps cannot share out the rows and outputs of {tile} for tensor cores"
    elif not any(map(wide, program.steps)):
        sentence = (
            f"the model has no product of at least {OUTPUTS} outputs and {DEPTH} inputs, which "
            'tensor cores are for: take precision "float32"'
        )
    else:
        return
    raise CompileError(Problem("Unsupported", sentence))


def _source(
    body: str,
    places: Layout,
    form: Form,
    shape: str,
    tile: Tile | None,
    shared_bytes: int,
    scratch_floats: int,
    precision: Precision = "float32",
) -> GpuSource:
    known = f"{body}\n{list(places.lists)}\n{tile}"
    if precision != "float32":
        known, shape = f"{known}\n{precision}", f"{shape}, {precision}"
    digest = hashlib.sha256(known.encode()).hexdigest()
    head = f'"""instjit kernel for cuda, {shape}, structure {digest[:16]}."""\n\n\n'
    return GpuSource(
        head + body, digest, "cuda", form, tile, shared_bytes, scratch_floats, precision
    )


class _Writer:
    """What both forms share: the functions in front, the comments."""

    def __init__(self, program: Program, places: Layout, kinds: Sequence[str]) -> None:
        self.program = program
        self.places = places
        self.kinds = kinds
        self.directories = iter(places.directories)

    def functions(self) -> Lines:
        """The functions that the steps call."""
        values = [value for step in self.program.steps if (value := value_of(step)) is not None]
        names = functions_of(values)
        if any(isinstance(step, Reduce) and step.kind == "maximum" for step in self.program.steps):
            names = list(dict.fromkeys([*names, "maximum"]))
        for name in names:
            yield from (*function_text(name).splitlines(), "", "")
        if any(isinstance(step, Lookup) for step in self.program.steps):
            yield from (*LOOKUP.splitlines(), "", "")

    def directory(self, step: Step) -> int | None:
        """Place in ``n`` of the directory of a Lookup; call it once for each step."""
        return next(self.directories) if isinstance(step, Lookup) else None

    def comment(self, step: Step) -> str:
        if not step.origin:
            return "# slots that are read before anything wrote them"
        return "# " + ", ".join(f"{number}: {self.kinds[number]}" for number in step.origin)


class _ThreadWriter(_Writer):
    def __init__(self, program: Program, places: Layout, kinds: Sequence[str]) -> None:
        super().__init__(program, places, kinds)
        self.values = Values(program, places, lambda region, number: f"s[{number}]")
        tables = any(isinstance(step, Lookup) for step in program.steps)  # of any size
        self.held = 0 if tables or places.floats > HELD else places.floats

    def lines(self) -> Lines:
        yield from self.functions()
        yield from self._compute()
        yield from ("", "", "def thread_rows(x, y, rows, k, n):")
        if self.held:
            yield "    c = cuda.shared.array(0, float32)"
            yield f"    for i in range(cuda.threadIdx.x, {self.held // 4}, cuda.blockDim.x):"
            yield "        copy4(c, i * 4, k, i * 4)"
            yield "    await_copies()"
            yield "    cuda.syncthreads()"
        yield f"    s = cuda.local.array({max(1, self.program.slots)}, float32)"
        yield "    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):"
        if self.held:  # or a compiler keeps all constants in registers, and runs out of them
            yield "        await_copies()"
        for column in self.program.loads:
            place = plus(f"row * {self.program.width_in}", column.first, "i")
            yield from self._moved(column, f"{self._slot(column)} = x[{place}]")
        yield f"        compute({'c' if self.held else 'k'}, n, s)"
        for column in self.program.stores:
            place = plus(f"row * {self.program.width_out}", column.first, "i")
            yield from self._moved(column, f"y[{place}] = {self._slot(column)}")
        yield from ("", "", "def compute_row(x, y, k, n):")
        yield f"    s = cuda.local.array({max(1, self.program.slots)}, float32)"
        for column in self.program.loads:
            line = f"{self._slot(column)} = x[{plus(column.first, 'i')}]"
            yield from self._moved(column, line, 1)
        yield "    compute(k, n, s)"
        for column in self.program.stores:
            line = f"y[{plus(column.first, 'i')}] = {self._slot(column)}"
            yield from self._moved(column, line, 1)

    def _slot(self, column: Column) -> str:
        return self.values.element(column.view, "i")

    def _moved(self, column: Column, line: str, steps: int = 2) -> Lines:
        if column.view.count:
            loop = f"for i in range({column.view.count}):"
            yield from indented(iter((loop, f"    {line}")), steps)

    def _compute(self) -> Lines:
        """One function of all steps, or one that calls functions of some steps each."""
        parts: list[list[str]] = [[]]
        for step in self.program.steps:
            if len(parts[-1]) > LINES_PER_FUNCTION:
                parts.append([])
            parts[-1].append(self.comment(step))
            parts[-1] += ThreadSteps(self.values).step(step, self.directory(step))
        if len(parts) == 1:
            yield "def compute(k, n, s):"
            yield from indented(iter(_or_pass(parts[0])))
            return
        for number, part in enumerate(parts):
            yield f"def part{number}(k, n, s):"
            yield from indented(iter(_or_pass(part)))
            yield from ("", "")
        yield "def compute(k, n, s):"
        for number in range(len(parts)):
            yield f"    part{number}(k, n, s)"


class _BlockWriter(_Writer):
    def __init__(
        self,
        program: Program,
        places: Layout,
        kinds: Sequence[str],
        room: Room,
        precision: Precision,
    ) -> None:
        super().__init__(replace(program, offsets=room.scratch.offsets), places, kinds)
        self.room = room
        self.tile = room.tile
        plain = Values(self.program, places, lambda region, number: f"s[{number}]")
        self.steps = BlockSteps(plain, room, precision)
        self.precision = precision

    def lines(self) -> Lines:
        yield from self.functions()
        if self.precision == "bf16x3":
            yield from (*REST.splitlines(), "", "")
        for number, step in enumerate(self.program.steps):
            yield f"def step{number}({ARGUMENTS}):"
            yield f"    {self.comment(step)}"
            yield from indented(self.steps.step(step, self.directory(step)))
            yield from ("", "")
        yield "def block_rows(x, y, rows, k, n, beyond):"
        yield "    s = cuda.shared.array(0, float32)"
        yield f"    base = cuda.blockIdx.x * {self.room.scratch.global_slots * self.tile.stride}"
        # the masks change nothing: they say that no index is negative
        yield f"    lane = cuda.threadIdx.x & {self.tile.lanes - 1}"
        yield f"    group = cuda.threadIdx.y & {self.tile.groups - 1}"
        tiles = f"(rows + {self.tile.rows - 1}) // {self.tile.rows}"
        yield f"    for tile in range(cuda.blockIdx.x, {tiles}, cuda.gridDim.x):"
        yield f"        first = tile * {self.tile.rows}"
        transfer = Transfer(self.steps)
        for column in self.program.loads:
            yield from indented(transfer.taken(column), 2)
        yield "        cuda.syncthreads()"
        for number in range(len(self.program.steps)):
            yield f"        step{number}({ARGUMENTS})"
        for column in self.program.stores:
            yield from indented(transfer.given(column), 2)
        yield "        cuda.syncthreads()"


def _or_pass(lines: list[str]) -> list[str]:
    return lines if any(not line.lstrip().startswith("#") for line in lines) else [*lines, "pass"]
