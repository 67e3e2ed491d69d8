"""Steps for Numba: each one an ``@intrinsic`` that calls an LLVM function of its shape.

Steps that differ only in their places share the function, which takes its places as pointers; so
twenty equal layers are compiled once. Of a long text, Numba sees no single steps but runs of them
(``together``): a step costs its front end 3 ms, a call in an LLVM function next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from numba.core import types
from numba.extending import intrinsic

from instjit.kernels.product import write_product
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import FLOAT, I32, Builder, IRValue, i64, name_of, shared
from instjit.kernels.specs import LookupSpec, ProductSpec, SplitSpec, StepSpec, shape_of
from instjit.kernels.split import write_split
from instjit.kernels.tile import TileSchedule

Schedule: TypeAlias = "TileSchedule | RowSchedule"
Areas: TypeAlias = "dict[str, IRValue]"
Caller: TypeAlias = Callable[[Builder, Areas, Schedule], None]

FLOATS = FLOAT.as_pointer()
INTEGERS = I32.as_pointer()
POINTERS = {"s": FLOATS, "k": FLOATS, "n": INTEGERS, "x": FLOATS, "y": FLOATS}


class Steps:
    """The steps of one text for one schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._few = schedule
        self._many = type(schedule)(schedule.level, many=True)
        self._callers: dict[int, Caller] = {}

    def step(self, kind: str, spec: StepSpec) -> Any:
        """``f(s, k, n)``, or ``f(s, k, n, x, y)`` where the caller's rows are operands."""

        def call(builder: Builder, areas: Areas, schedule: Schedule) -> None:
            lanes = schedule.lanes
            places = [place_of(builder, areas, lanes, area, at) for area, at in spec.operands()]
            function = function_of(builder, schedule, kind, spec, places)
            builder.call(function, [*places, areas["k"], areas["n"]])

        rows = bool({"x", "y"} & {area for area, _ in spec.operands()})
        made = _intrinsic(lambda builder, areas: call(builder, areas, self._few), rows=rows)
        self._callers[id(made)] = call
        return made

    def together(self, *steps: Any) -> Any:
        """``f(s, k, n, x, y)``: the steps in order, in an LLVM function of their own.

        None of them is copied into it: a function of a hundred layers takes LLVM seconds.
        """
        calls = [self._callers[id(step)] for step in steps]

        def codegen(builder: Builder, areas: Areas) -> None:
            def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
                held = dict(zip(POINTERS, arguments, strict=True))
                for call in calls:
                    call(inner, held, self._many)

            name = f"{builder.function.name}_{len(builder.module.functions)}"
            function = shared(builder.module, name, [*POINTERS.values()], write, apart=True)
            builder.call(function, [areas[area] for area in POINTERS])

        return _intrinsic(codegen, rows=True)


def _intrinsic(write: Callable[[Builder, Areas], None], *, rows: bool) -> Any:
    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        areas = {
            area: address_of(context, builder, held, value, POINTERS[area])
            for area, held, value in zip(POINTERS, signature.args, args, strict=False)
        }
        write(builder, areas)
        return context.get_dummy_value()

    @intrinsic
    def step(typing: Any, s: Any, k: Any, n: Any) -> Any:
        return types.void(s, k, n), codegen

    @intrinsic
    def with_rows(typing: Any, s: Any, k: Any, n: Any, x: Any, y: Any) -> Any:
        return types.void(s, k, n, types.uint64, types.uint64), codegen

    return with_rows if rows else step


def place_of(builder: Builder, areas: Areas, lanes: int, area: str, at: int) -> IRValue:
    """Where place ``at`` of an area begins."""
    return builder.gep(areas[area], [i64(at * lanes if area == "s" else at)])


def address_of(context: Any, builder: Builder, kind: Any, value: IRValue, pointer: Any) -> IRValue:
    """The pointer that an array or an address of the text stands for."""
    if isinstance(kind, types.Array):
        return builder.bitcast(context.make_array(kind)(context, builder, value).data, pointer)
    return builder.inttoptr(value, pointer)


def function_of(
    builder: Builder, schedule: Schedule, kind: str, spec: StepSpec, places: Sequence[IRValue]
) -> Any:
    """The LLVM function of a step's shape in the builder's module, written on first use."""

    def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
        *pointers, k, n = arguments
        if isinstance(spec, LookupSpec):
            schedule.lookup(inner, spec, pointers, k, n)
        elif isinstance(spec, SplitSpec):
            write_split(inner, schedule.level, spec.multiplier, spec.count, pointers)
        elif isinstance(spec, ProductSpec) and isinstance(schedule, TileSchedule):
            write_product(inner, schedule, spec, pointers)
        else:
            getattr(schedule, kind)(inner, spec, pointers)

    name = name_of(kind, schedule.name, schedule.level, schedule.many, shape_of(spec))
    kinds = [*(place.type for place in places), FLOATS, INTEGERS]
    return shared(builder.module, name, kinds, write, apart=schedule.many)
