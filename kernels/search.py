"""Code that finds a lookup's row: float id -> int32 key -> directly indexed or binary search."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from instjit.kernels.packing import DIRECTORY
from instjit.kernels.simd import I32, I64, Builder, IRValue, VectorArithmetic, i64

INT32_MAX = 2147483647.0
INT32_MIN = -2147483648.0


def row_of(
    builder: Builder, identity: IRValue, directory: IRValue, n: IRValue, k: IRValue, size: int
) -> IRValue:
    """Pointer to the ``size`` floats of the id's row, or of the default where the key is absent.

    ``directory`` points at the lookup's entries in ``n`` (see ``packing.DIRECTORY``).
    """
    key = key_of(builder, identity)
    entry = [builder.load(builder.gep(directory, [i64(e)]), align=4) for e in range(DIRECTORY)]
    keys_at, count, _, span, dense_at, values_at, default_at = (
        builder.zext(value, I64) for value in entry
    )
    place = builder.sub(builder.sext(key, I64), builder.sext(entry[2], I64))
    number = cgutils.alloca_once(builder, I32)
    with builder.if_else(builder.icmp_unsigned(">", span, i64(0))) as (dense, sparse):
        with dense:
            builder.store(ir.Constant(I32, 0), number)
            with builder.if_then(builder.icmp_unsigned("<", place, span)):
                row = builder.load(builder.gep(n, [builder.add(dense_at, place)]), align=4)
                builder.store(row, number)
        with sparse:
            builder.store(_bisected(builder, key, n, keys_at, count), number)
    found = builder.zext(builder.load(number), I64)
    row = builder.mul(builder.sub(found, i64(1)), i64(size))
    absent = builder.icmp_unsigned("==", found, i64(0))
    at = builder.select(absent, default_at, builder.add(values_at, row))
    return builder.gep(k, [at])


def key_of(builder: Builder, identity: IRValue) -> IRValue:
    """Round half away from zero, saturate to int32, NaN -> 0 (instmodel 3.1)."""
    m = VectorArithmetic(builder, 1)
    whole = m.trunc(identity)
    away = m.select(m.lt(identity, m.const(0.0)), m.const(-1.0), m.const(1.0))
    half = m.ge(m.abs(m.sub(identity, whole)), m.const(0.5))
    rounded = m.select(half, m.add(whole, away), whole)
    inside = m.select(m.lt(m.abs(rounded), m.const(INT32_MAX)), rounded, m.const(0.0))
    key = m.to_int(inside)
    key = m.select(m.ge(rounded, m.const(INT32_MAX)), m.iconst(2**31 - 1), key)
    return m.select(m.le(rounded, m.const(INT32_MIN)), m.iconst(-(2**31)), key)


def _bisected(
    builder: Builder, key: IRValue, n: IRValue, keys_at: IRValue, count: IRValue
) -> IRValue:
    """1 + the place of the key among ``count`` ascending ones, 0 where it is not there."""
    low = cgutils.alloca_once(builder, I64)
    high = cgutils.alloca_once(builder, I64)
    builder.store(i64(0), low)
    builder.store(count, high)
    test, body, done = (builder.append_basic_block(name) for name in ("test", "halve", "found"))
    builder.branch(test)
    builder.position_at_end(test)
    a, b = builder.load(low), builder.load(high)
    builder.cbranch(builder.icmp_unsigned("<", a, b), body, done)
    builder.position_at_end(body)
    middle = builder.lshr(builder.add(a, b), i64(1))
    below = builder.icmp_signed("<", _key(builder, n, keys_at, middle), key)
    builder.store(builder.select(below, builder.add(middle, i64(1)), a), low)
    builder.store(builder.select(below, b, middle), high)
    builder.branch(test)
    builder.position_at_end(done)
    inside = builder.icmp_unsigned("<", a, count)
    last = builder.select(inside, a, i64(0))
    with builder.if_else(inside) as (there, absent):
        with there:
            same = builder.icmp_signed("==", _key(builder, n, keys_at, last), key)
            found = builder.select(
                same, builder.trunc(builder.add(a, i64(1)), I32), ir.Constant(I32, 0)
            )
            there_end = builder.block
        with absent:
            absent_end = builder.block
    row = builder.phi(I32)
    row.add_incoming(found, there_end)
    row.add_incoming(ir.Constant(I32, 0), absent_end)
    return row


def _key(builder: Builder, n: IRValue, keys_at: IRValue, place: IRValue) -> IRValue:
    return builder.load(builder.gep(n, [builder.add(keys_at, place)]), align=4)
