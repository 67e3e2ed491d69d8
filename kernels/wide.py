"""A wide product of one row, shared among the pool's threads by panels of outputs.

Each is a job of ``workers`` of its own, so the steps between them need no care and a thread that
comes late takes part from the next product on. Every output's chain is whole, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from instjit.kernels.fields import JOB, LINE
from instjit.kernels.packing import panels
from instjit.kernels.pycall import POINTER, Fields
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import I64, Builder, IRValue, i64, name_of, shared
from instjit.kernels.specs import GemmSpec, shape_of
from instjit.kernels.steps import POINTERS, address_of, place_of
from instjit.kernels.target import Level
from instjit.kernels.workers import CODE, SHARE, PoolFields


def wide_step(level: Level, spec: GemmSpec) -> Any:
    """``f(s, k, n, pool)``, which the code of one row calls and no other.

    ``pool`` is one that the caller has taken, or 0.
    """
    schedule = RowSchedule(level)

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        *held, pool = args
        areas = {
            area: address_of(context, builder, kind, value, POINTERS[area])
            for area, kind, value in zip(POINTERS, signature.args, held, strict=False)
        }
        places = [place_of(builder, areas, 1, area, at) for area, at in spec.operands()]
        _write(builder, schedule, spec, places, pool)
        return context.get_dummy_value()

    @intrinsic
    def step(typing: Any, s: Any, k: Any, n: Any, pool: Any) -> Any:
        return types.void(s, k, n, types.uint64), codegen

    return step


def _write(
    builder: Builder,
    schedule: RowSchedule,
    spec: GemmSpec,
    pointers: Sequence[IRValue],
    pool: IRValue,
) -> None:
    names = (*JOB, *(f"operand{number}" for number in range(len(pointers))))
    code = _part(builder.module, schedule, spec, names, [pointer.type for pointer in pointers])
    with builder.goto_entry_block():
        job = builder.alloca(I64, size=len(names))
        job.align = 8 * LINE
    units = i64(len(panels(spec.outputs, spec.depth, schedule.level.panel)))
    head = [builder.ptrtoint(code, I64), units, i64(1), i64(0), i64(0), i64(0)]
    for number, value in enumerate([*head, *(builder.ptrtoint(each, I64) for each in pointers)]):
        builder.store(value, builder.gep(job, [i64(number)]))
    place = builder.bitcast(job, POINTER)
    several = builder.icmp_unsigned("!=", pool, i64(0))
    with builder.if_else(several) as (together, single):
        with together:
            held = PoolFields(builder, builder.inttoptr(pool, POINTER))
            builder.store(held.read("seats"), Fields(builder, place, names).at("seats"))
            share = builder.inttoptr(held.read("share"), SHARE.as_pointer())
            builder.call(share, [held.pointer, place])
        with single:
            builder.call(code, [place, i64(0), units, i64(0)])


def _part(
    module: Any,
    schedule: RowSchedule,
    spec: GemmSpec,
    names: Sequence[str],
    kinds: Sequence[Any],
) -> Any:
    """The code of such a job, for all products of that shape."""

    def write(builder: Builder, arguments: Sequence[IRValue]) -> None:
        job, first, last, _ = arguments
        fields = Fields(builder, job, names)
        pointers = [
            builder.inttoptr(getattr(fields, name), kind)
            for name, kind in zip(names[len(JOB) :], kinds, strict=True)
        ]
        schedule.gemm_part(builder, spec, pointers, (first, last))

    name = name_of("panels", schedule.level, shape_of(spec))
    return shared(module, name, CODE.args, write, apart=False)
