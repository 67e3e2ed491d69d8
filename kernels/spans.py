"""A wide product of several tiles, shared among threads by spans of outputs.

A span is ``Level.span`` outputs: a thread reads the weights of two spans once, and tile after tile
takes them from the core's cache. Every output's chain is whole, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from instjit.kernels.simd import I64, Builder, IRValue, i64, loop, name_of, shared
from instjit.kernels.specs import GemmSpec, shape_of
from instjit.kernels.steps import POINTERS, address_of, place_of
from instjit.kernels.target import Level
from instjit.kernels.tile import TileSchedule


def span_step(level: Level, spec: GemmSpec, slots: int) -> Any:
    """``f(s, k, n, tiles, pairs, first, last)``: units first .. last of a Gemm.

    Unit ``u < pairs`` is spans 2 u and 2 u + 1 of all tiles; those after are a tile's each, span by
    span, so that threads end together. ``s`` is the scratch of all tiles, ``slots`` for each.
    """
    schedule = TileSchedule(level)

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        areas = {
            area: address_of(context, builder, kind, value, POINTERS[area])
            for area, kind, value in zip(POINTERS, signature.args, args[:3], strict=False)
        }

        def call(span: IRValue, tile: IRValue) -> None:
            scratch = builder.gep(areas["s"], [builder.mul(tile, i64(slots * level.lanes))])
            held = {**areas, "s": scratch}
            places = [
                place_of(builder, held, level.lanes, area, at) for area, at in spec.operands()
            ]
            _call(builder, schedule, spec, places, span)

        _units(builder, args[3:], call)
        return context.get_dummy_value()

    @intrinsic
    def step(
        typing: Any, s: Any, k: Any, n: Any, tiles: Any, pairs: Any, first: Any, last: Any
    ) -> Any:
        return types.void(s, k, n, *[types.int64] * 4), codegen

    return step


def _units(
    builder: Builder, numbers: Sequence[IRValue], call: Callable[[IRValue, IRValue], None]
) -> None:
    """``call(span, tile)`` for all that units first .. last are."""
    tiles, pairs, first, last = numbers

    def pair(span: IRValue) -> None:
        def body(tile: IRValue, state: list[IRValue]) -> list[IRValue]:
            call(span, tile)
            call(builder.add(span, i64(1)), tile)
            return state

        loop(builder, tiles, body)

    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        unit = builder.add(first, number)
        single = builder.sub(unit, pairs)
        with builder.if_else(builder.icmp_signed("<", single, i64(0))) as (two, one):
            with two:
                pair(builder.mul(unit, i64(2)))
            with one:
                span = builder.add(builder.mul(pairs, i64(2)), builder.udiv(single, tiles))
                call(span, builder.urem(single, tiles))
        return state

    loop(builder, builder.sub(last, first), body)


def _call(
    builder: Builder,
    schedule: TileSchedule,
    spec: GemmSpec,
    places: Sequence[IRValue],
    span: IRValue,
) -> None:
    def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
        *pointers, number = arguments
        schedule.gemm_span(inner, spec, pointers, number)

    name = name_of("span", schedule.level, shape_of(spec))
    kinds = [*(place.type for place in places), I64]
    function = shared(builder.module, name, kinds, write, apart=True)
    builder.call(function, [*places, span])


def tile_scratch(level: Level, slots: int) -> Any:
    """``f(s, tile)``: where the scratch of a tile begins."""

    @intrinsic
    def place(typing: Any, s: Any, tile: Any) -> Any:
        def codegen(
            context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]
        ) -> IRValue:
            return builder.add(args[0], builder.mul(args[1], i64(4 * slots * level.lanes)))

        return types.uint64(types.uint64, types.int64), codegen

    return place
