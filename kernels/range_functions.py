"""A kernel's text as an LLVM module of plain C functions: raw pointers, nothing of Python.

The definitions at the head of the text make the steps, by the same code as for the kernel in this
process (``native``); the loop over tiles, which the text leaves to Numba, is written here. Nothing
allocates: scratch is the caller's. ``kernels/c/kernel.h`` has the prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llvmlite import ir

from instjit.kernels.emit import STEPS_ALONE, STEPS_TOGETHER
from instjit.kernels.located import CONSTRUCTORS
from instjit.kernels.native import part_function
from instjit.kernels.packing import Floats, Integers
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import I64, Builder, IRValue, i64, loop, shared
from instjit.kernels.source import Source
from instjit.kernels.specs import (
    ColumnsSpec,
    GemmSpec,
    LookupSpec,
    MapSpec,
    ReduceSpec,
    StepSpec,
)
from instjit.kernels.steps import FLOATS, INTEGERS, POINTERS, Areas, Schedule, function_of, place_of
from instjit.kernels.tile import TileSchedule

TILES = ir.FunctionType(ir.VoidType(), [FLOATS, FLOATS, I64, I64, I64, FLOATS, INTEGERS, FLOATS])
"""x, y, rows, first, last, k, n, s."""

ROW = ir.FunctionType(ir.VoidType(), [FLOATS, FLOATS, FLOATS, INTEGERS, FLOATS])
"""x, y, k, n, s."""

LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Parts:
    """What the definitions of a text say, before there is code."""

    steps: tuple[tuple[str, StepSpec], ...]
    taken: ColumnsSpec
    given: ColumnsSpec


def parts_of(source: Source) -> Parts:
    """Run the text's definitions; its functions are not called.

    Parameters
    ----------
    source
        A float32 kernel of the variant "output".
    """
    names: dict[str, Any] = {
        **CONSTRUCTORS,
        "gemm": lambda **fields: ("gemm", GemmSpec(**fields)),
        "elementwise": lambda **fields: ("map", MapSpec(**fields)),
        "reduce": lambda **fields: ("reduce", ReduceSpec(**fields)),
        "lookup": lambda **fields: ("lookup", LookupSpec(**fields)),
        "columns_in": lambda **fields: ColumnsSpec(**fields),
        "columns_out": lambda **fields: ColumnsSpec(**fields),
        "part_in": lambda **fields: None,
        "part_out": lambda **fields: None,
        "wide_gemm": lambda **fields: None,
        "span_gemm": lambda **fields: None,
        "tile_scratch": lambda slots: None,
        "together": lambda *steps: None,
        "stack": lambda slots: None,
    }
    exec(compile(source.text, f"<instjit {source.digest[:16]}>", "exec"), names)
    count = sum(name.startswith("step") and name[4:].isdigit() for name in names)
    steps = tuple(names[f"step{number}"] for number in range(count))
    return Parts(steps, names["take"], names["give"])


def write_functions(module: ir.Module, source: Source, tiles: str, row: str) -> None:
    """Write both functions of a kernel.

    Parameters
    ----------
    module
        Any module; its triple and CPU play no part yet.
    source
        A float32 kernel of the variant "output".
    tiles, row
        Names of the functions.
    """
    parts, level = parts_of(source), source.level
    many = len(parts.steps) > STEPS_ALONE
    one = RowSchedule(level, many=many)
    several: Schedule = TileSchedule(level, many=many) if level.vectors else one
    _write_tiles(_Writer(module, tiles, several, parts), parts)
    _write_row(_Writer(module, row, one, parts), parts)


def write_constants(
    module: ir.Module, k: Floats, n: Integers, prefix: str, order: Literal["<", ">"] = "<"
) -> None:
    """The packed constants as data, ``prefix_k`` and ``prefix_n``, in that order of bytes."""
    for name, array in (("k", k), ("n", n)):
        content = array.astype(array.dtype.newbyteorder(order)).tobytes()
        kind = ir.ArrayType(ir.IntType(8), array.nbytes)
        data = ir.GlobalVariable(module, kind, f"{prefix}_{name}")
        data.global_constant = True
        data.align = LINE_BYTES
        text = "\\" + content.hex("\\") if content else ""
        data.initializer = ir.FormattedConstant(kind, f'c"{text}"')


class _Writer:
    """One function, and the calls of a kernel's steps in it."""

    def __init__(self, module: ir.Module, name: str, schedule: Schedule, parts: Parts) -> None:
        self.module = module
        self.name = name
        self.schedule = schedule
        self.parts = parts

    def function(self, kind: Any) -> Any:
        made = ir.Function(self.module, kind, self.name)
        made.attributes.add("nounwind")
        return made

    def places(self, builder: Builder, spec: ColumnsSpec, s: IRValue) -> list[IRValue]:
        lanes = self.schedule.lanes
        return [place_of(builder, {"s": s}, lanes, area, at) for area, at in spec.operands()]

    def take(self, builder: Builder, x: IRValue, s: IRValue) -> None:
        spec = self.parts.taken
        self.schedule.load(builder, spec, x, self.places(builder, spec, s))

    def give(self, builder: Builder, y: IRValue, s: IRValue) -> None:
        spec = self.parts.given
        self.schedule.store(builder, spec, y, self.places(builder, spec, s))

    def rows_of_steps(
        self, builder: Builder, source: IRValue, target: IRValue
    ) -> tuple[IRValue, IRValue]:
        """The caller's rows that steps have as operands.

        Those of the next tile, which they fetch; where tiles are single rows, the row itself.
        """
        lanes = self.schedule.lanes
        if lanes == 1:
            return source, target
        next_x = builder.gep(source, [i64(lanes * self.parts.taken.width)])
        return next_x, builder.gep(target, [i64(lanes * self.parts.given.width)])

    def move_part(
        self, builder: Builder, rows: IRValue, data: IRValue, s: IRValue, *, storing: bool
    ) -> None:
        """Some rows of a tile, whole ones."""
        spec = self.parts.given if storing else self.parts.taken
        function = part_function(self.module, self.schedule.lanes, storing)
        places = self.places(builder, spec, s)
        for (column, _, count), place in zip(spec.columns, places, strict=True):
            run = [i64(column), i64(column + count), i64(0), i64(spec.width)]
            builder.call(function, [place, data, *run, rows])

    def steps(self, builder: Builder, areas: Areas) -> None:
        """All steps; many are shared out among functions that LLVM looks at one by one."""
        if not self.schedule.many:
            self._some_steps(builder, areas, 0, len(self.parts.steps))
            return
        for first in range(0, len(self.parts.steps), STEPS_TOGETHER):

            def write(inner: Builder, arguments: Sequence[IRValue], first: int = first) -> None:
                own = dict(zip(POINTERS, arguments, strict=True))
                self._some_steps(inner, own, first, first + STEPS_TOGETHER)

            name = f"{self.name}_steps{first}"
            function = shared(self.module, name, [*POINTERS.values()], write, apart=True)
            builder.call(function, [areas[area] for area in POINTERS])

    def _some_steps(self, builder: Builder, areas: Areas, first: int, stop: int) -> None:
        lanes = self.schedule.lanes
        for kind, spec in self.parts.steps[first:stop]:
            places = [place_of(builder, areas, lanes, area, at) for area, at in spec.operands()]
            function = function_of(builder, self.schedule, kind, spec, places)
            builder.call(function, [*places, areas["k"], areas["n"]])


def _write_row(writer: _Writer, parts: Parts) -> None:
    function = writer.function(ROW)
    x, y, k, n, s = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    writer.take(builder, x, s)
    writer.steps(builder, {"s": s, "k": k, "n": n, "x": x, "y": y})
    writer.give(builder, y, s)
    builder.ret_void()


def _write_tiles(writer: _Writer, parts: Parts) -> None:
    """Tiles first .. last; a batch shorter than a tile is one part of it."""
    function = writer.function(TILES)
    x, y, rows, first, last, k, n, s = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    lanes = i64(writer.schedule.lanes)
    whole = builder.icmp_signed(">=", rows, lanes)

    def tile(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        row = builder.mul(builder.add(first, number), lanes)
        latest = builder.select(whole, builder.sub(rows, lanes), i64(0))
        row = builder.select(builder.icmp_signed(">", row, latest), latest, row)
        source, target = (
            builder.gep(area, [builder.mul(row, i64(spec.width))])
            for area, spec in ((x, parts.taken), (y, parts.given))
        )
        with builder.if_else(whole) as (all_rows, some_rows):
            with all_rows:
                writer.take(builder, source, s)
            with some_rows:
                writer.move_part(builder, rows, source, s, storing=False)
        x_steps, y_steps = writer.rows_of_steps(builder, source, target)
        writer.steps(builder, {"s": s, "k": k, "n": n, "x": x_steps, "y": y_steps})
        with builder.if_else(whole) as (all_rows, some_rows):
            with all_rows:
                writer.give(builder, target, s)
            with some_rows:
                writer.move_part(builder, rows, target, s, storing=True)
        return state

    with builder.if_then(builder.icmp_signed("<", first, last)):
        loop(builder, builder.sub(last, first), tile)
    builder.ret_void()
