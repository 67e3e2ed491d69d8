"""Code that finds lookups' rows: float id -> int32 key -> directly indexed or binary search.

All of it for a vector of ids, one lane being the form for a single row.
"""

from __future__ import annotations

from llvmlite import ir

from instjit.kernels.packing import DIRECTORY
from instjit.kernels.simd import I32, I64, Builder, IRValue, VectorArithmetic, gather, i64

INT32_MAX = 2147483647.0
INT32_MIN = -2147483648.0


def places_of(
    builder: Builder, identities: IRValue, width: int, directory: IRValue, n: IRValue, size: int
) -> IRValue:
    """Places in ``k`` of the rows of ``size`` floats of the ids, that of the default where absent.

    ``directory`` points at the lookup's entries in ``n`` (see ``packing.DIRECTORY``).
    """
    m = VectorArithmetic(builder, width)
    keys = key_of(builder, identities, width)
    keys_at, count, first, span, dense_at, values_at, default_at = (
        builder.load(builder.gep(directory, [i64(e)]), align=4) for e in range(DIRECTORY)
    )
    dense, sparse, done = (builder.append_basic_block(name) for name in ("dense", "sparse", "row"))
    builder.cbranch(builder.icmp_unsigned(">", span, ir.Constant(I32, 0)), dense, sparse)
    builder.position_at_end(dense)
    place = builder.sub(keys, m.splat(first))  # wraps, as the unsigned comparison wants it
    inside = builder.icmp_unsigned("<", place, m.splat(span))
    indexed = gather(builder, _from(builder, n, dense_at), m.select(inside, place, m.iconst(0)))
    indexed = m.select(inside, indexed, m.iconst(0))
    dense_end = builder.block
    builder.branch(done)
    builder.position_at_end(sparse)
    searched = _bisected(builder, m, keys, _from(builder, n, keys_at), count)
    sparse_end = builder.block
    builder.branch(done)
    builder.position_at_end(done)
    number = builder.phi(m.int)
    number.add_incoming(indexed, dense_end)
    number.add_incoming(searched, sparse_end)
    row = builder.mul(builder.sub(number, m.iconst(1)), m.iconst(size))
    absent = builder.icmp_unsigned("==", number, m.iconst(0))
    return m.select(absent, m.splat(default_at), builder.add(m.splat(values_at), row))


def key_of(builder: Builder, identities: IRValue, width: int) -> IRValue:
    """Round half away from zero, saturate to int32, NaN -> 0 (instmodel 3.1)."""
    m = VectorArithmetic(builder, width)
    whole = m.trunc(identities)
    away = m.select(m.lt(identities, m.const(0.0)), m.const(-1.0), m.const(1.0))
    half = m.ge(m.abs(m.sub(identities, whole)), m.const(0.5))
    rounded = m.select(half, m.add(whole, away), whole)
    inside = m.select(m.lt(m.abs(rounded), m.const(INT32_MAX)), rounded, m.const(0.0))
    key = m.to_int(inside)
    key = m.select(m.ge(rounded, m.const(INT32_MAX)), m.iconst(2**31 - 1), key)
    return m.select(m.le(rounded, m.const(INT32_MIN)), m.iconst(-(2**31)), key)


def _bisected(
    builder: Builder, m: VectorArithmetic, keys: IRValue, known: IRValue, count: IRValue
) -> IRValue:
    """1 + the place of each key among ``count`` ascending ones, 0 where it is not there.

    All lanes halve the same number of times. One entry is read even where there is none, which
    ``n`` has room for.
    """
    before = builder.block
    test, halve, found = (builder.append_basic_block(name) for name in ("test", "halve", "found"))
    builder.branch(test)
    builder.position_at_end(test)
    left, base = builder.phi(I32), builder.phi(m.int)
    left.add_incoming(count, before)
    base.add_incoming(m.iconst(0), before)
    one = ir.Constant(I32, 1)
    builder.cbranch(builder.icmp_unsigned(">", left, one), halve, found)
    builder.position_at_end(halve)
    half = builder.lshr(left, one)
    last = gather(builder, known, builder.add(base, m.splat(builder.sub(half, one))))
    below = builder.icmp_signed("<", last, keys)
    base.add_incoming(m.select(below, builder.add(base, m.splat(half)), base), builder.block)
    left.add_incoming(builder.sub(left, half), builder.block)
    builder.branch(test)
    builder.position_at_end(found)
    same = builder.icmp_signed("==", gather(builder, known, base), keys)
    there = builder.and_(same, builder.icmp_unsigned("<", base, m.splat(count)))
    return m.select(there, builder.add(base, m.iconst(1)), m.iconst(0))


def _from(builder: Builder, n: IRValue, place: IRValue) -> IRValue:
    return builder.gep(n, [builder.zext(place, I64)])
