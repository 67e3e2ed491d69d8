"""A wide product of one row, shared among the pool's threads by panels of outputs.

Each is a job of ``workers`` of its own, so the steps between them need no care and a thread that
comes late takes part from the next product on. Every output's chain is whole, so no bit changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from instjit.kernels.packing import panels
from instjit.kernels.pycall import POINTER, Fields
from instjit.kernels.row import RowSchedule
from instjit.kernels.simd import I64, Builder, IRValue, declare, i64
from instjit.kernels.specs import GemmSpec
from instjit.kernels.workers import CODE, JOB, LINE, SHARE, PoolFields


def write_wide_gemm(
    builder: Builder,
    schedule: RowSchedule,
    spec: GemmSpec,
    pointers: Sequence[IRValue],
    pool: IRValue,
) -> None:
    """The product on this thread and those of the pool, which its caller has taken; or 0."""
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
    shared = builder.icmp_unsigned("!=", pool, i64(0))
    with builder.if_else(shared) as (several, single):
        with several:
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
    shape = repr((schedule.level, spec))
    name = f"instjit_panels_{hashlib.sha256(shape.encode()).hexdigest()[:16]}"
    function = declare(module, CODE, name)
    if not function.is_declaration:
        return function
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    job, first, last, _ = function.args
    fields = Fields(builder, job, names)
    pointers = [
        builder.inttoptr(getattr(fields, name), kind)
        for name, kind in zip(names[len(JOB) :], kinds, strict=True)
    ]
    schedule.gemm_part(builder, spec, pointers, (first, last))
    builder.ret_void()
    return function
