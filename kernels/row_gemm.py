"""Products of one row: each panel of weights is streamed once, outputs lie across the vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from llvmlite import ir

from instjit.kernels.gemm import Depth, joined, over_depth
from instjit.kernels.packing import Panel, narrow, padded, panels
from instjit.kernels.simd import (
    I32,
    I64,
    Builder,
    IRValue,
    VectorArithmetic,
    i64,
    load,
    load_part,
    loop,
    name_of,
    powers,
    shared,
    smaller,
    store,
    store_part,
)
from instjit.kernels.specs import GemmSpec
from instjit.kernels.target import Level

PanelEmitter: TypeAlias = Callable[[Panel, IRValue, IRValue], None]


def row_sums(
    builder: Builder,
    spec: GemmSpec,
    level: Level,
    x: IRValue,
    w: IRValue,
    out: IRValue,
    *,
    many: bool,
) -> None:
    """Write the sums of a Gemm over one row to ``out[outputs]``, before any epilogue."""
    if narrow(spec.outputs, spec.depth):
        _narrow_row(builder, spec, x, w, out)
        return
    count = len(panels(spec.outputs, spec.depth, level.panel))

    def emit(part: Panel, first: IRValue, base: IRValue) -> None:
        places = x, builder.gep(w, [base]), builder.gep(out, [first])
        panel_sums(builder, spec, level, part, places, many=many)

    for_panels(builder, spec, level, (i64(0), i64(count)), emit)


def for_panels(
    builder: Builder,
    spec: GemmSpec,
    level: Level,
    span: tuple[IRValue, IRValue],
    emit: PanelEmitter,
) -> None:
    """Emit what is done for panels ``span``: ``emit(panel, first output, floats before it)``."""
    parts = panels(spec.outputs, spec.depth, level.panel)
    full = [part for part in parts if part.outputs == level.panel]
    begin, end = span
    if full:
        stop = smaller(builder, end, i64(len(full)))

        def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
            p = builder.add(begin, number)
            floats = i64(level.panel * (spec.depth + 1))
            emit(full[0], builder.mul(p, i64(level.panel)), builder.mul(p, floats))
            return state

        with builder.if_then(builder.icmp_signed("<", begin, stop)):
            loop(builder, builder.sub(stop, begin), body)
    if len(full) < len(parts):
        last = parts[-1]
        with builder.if_then(builder.icmp_signed("==", end, i64(len(parts)))):
            emit(last, i64(last.first), i64(last.at))


def panel_sums(
    builder: Builder,
    spec: GemmSpec,
    level: Level,
    part: Panel,
    places: tuple[IRValue, IRValue, IRValue],
    *,
    many: bool,
) -> None:
    """Call the function for sums of one panel of a row.

    ``places`` are those of the row, of the panel's block and of its first sum.
    """
    depth = Depth.of(spec, many=many)

    def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
        source, weights, sums, whole = arguments
        _panel_row(inner, spec, level, part, source, weights, sums, depth.whole(whole))

    name = name_of("panel", level.width, part.width, part.outputs, depth.form)
    kinds = [*(place.type for place in places), I64]
    function = shared(builder.module, name, kinds, write, apart=depth.shared)
    builder.call(function, [*places, i64(depth.times)])


def _panel_row(
    builder: Builder,
    spec: GemmSpec,
    level: Level,
    part: Panel,
    x: IRValue,
    base: IRValue,
    out: IRValue,
    whole: IRValue | None,
) -> None:
    pieces = _pieces(part.width, level.width)
    arithmetics = [VectorArithmetic(builder, width) for _, width in pieces]
    state = []
    for (start, width), vector in zip(pieces, arithmetics, strict=True):
        state.append(load(builder, builder.gep(base, [i64(start)]), width))
        state += [vector.const(-0.0)] * (spec.chains - 1)
    weights = builder.gep(base, [i64(part.width)])

    def step(k: IRValue, state: list[IRValue], chains: int) -> list[IRValue]:
        for c in range(chains):
            at = builder.add(k, i64(c))
            scalar = builder.load(builder.gep(x, [at]), align=4)
            column = builder.gep(weights, [builder.mul(at, i64(part.width))])
            for p, ((start, width), vector) in enumerate(zip(pieces, arithmetics, strict=True)):
                held = load(builder, builder.gep(column, [i64(start)]), width)
                n = p * spec.chains + c
                state[n] = vector.fma(held, vector.splat(scalar), state[n])
        return state

    state = over_depth(builder, spec, step, state, whole)
    for p, ((start, width), vector) in enumerate(zip(pieces, arithmetics, strict=True)):
        total = joined(vector, state[p * spec.chains : (p + 1) * spec.chains])
        valid = min(width, part.outputs - start)
        store_part(builder, total, builder.gep(out, [i64(start)]), valid, width)


def _pieces(width: int, vector: int) -> list[tuple[int, int]]:
    """Start and size of the vectors over ``width`` outputs: whole ones, then powers of two."""
    whole = [(start, vector) for start in range(0, width // vector * vector, vector)]
    done = len(whole) * vector
    return whole + [(done + start, size) for start, size in powers(width - done)]


def _narrow_row(builder: Builder, spec: GemmSpec, x: IRValue, w: IRValue, out: IRValue) -> None:
    """Chains across the vector: lane c of an output's accumulator sums k = c, c + 8, ..."""
    chains, vector = spec.chains, VectorArithmetic(builder, spec.chains)
    rows = [
        builder.gep(w, [i64(padded(spec.outputs) + o * spec.depth)]) for o in range(spec.outputs)
    ]
    state = []
    for o in range(spec.outputs):
        bias = builder.load(builder.gep(w, [i64(o)]), align=4)
        state.append(builder.insert_element(vector.const(-0.0), bias, ir.Constant(I32, 0)))
    whole, rest = divmod(spec.depth, chains)

    def step(i: IRValue, state: list[IRValue]) -> list[IRValue]:
        k = builder.mul(i, i64(chains))
        lanes = load(builder, builder.gep(x, [k]), chains)
        return [
            vector.fma(load(builder, builder.gep(row, [k]), chains), lanes, total)
            for row, total in zip(rows, state, strict=True)
        ]

    state = loop(builder, i64(whole), step, state)
    if rest:
        lanes = load_part(builder, builder.gep(x, [i64(whole * chains)]), rest, chains)
        mask = ir.Constant(
            ir.VectorType(ir.IntType(1), chains), [int(c < rest) for c in range(chains)]
        )
        held = [
            load_part(builder, builder.gep(row, [i64(whole * chains)]), rest, chains)
            for row in rows
        ]
        state = [
            builder.select(mask, vector.fma(part, lanes, total), total)
            for part, total in zip(held, state, strict=True)
        ]
    for o, total in enumerate(state):
        store(builder, _folded(builder, total, chains), builder.gep(out, [i64(o)]))


def _folded(builder: Builder, total: IRValue, chains: int) -> IRValue:
    """Lane 0 after lanes c and c + half have been added for half = chains / 2, ..., 1."""
    half = chains // 2
    while half:
        lanes = ir.VectorType(I32, half)
        low = builder.shuffle_vector(
            total, ir.Constant(total.type, ir.Undefined), ir.Constant(lanes, list(range(half)))
        )
        high = builder.shuffle_vector(
            total,
            ir.Constant(total.type, ir.Undefined),
            ir.Constant(lanes, list(range(half, 2 * half))),
        )
        total = builder.fadd(low, high)
        half //= 2
    return builder.extract_element(total, ir.Constant(I32, 0))
