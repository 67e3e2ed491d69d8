"""Code of a Gemm: a register-blocked micro-kernel over a tile's lanes, and the form for one row.

Tile form, for each block of ``outputs`` outputs (pseudo-code, vectors over lanes)::

    acc[o][c][v] = bias[o] if c == 0 else -0.0
    for k in range(0, depth, chains):
        acc[o][c][v] = fma(w[k + c][o], x[k + c][v], acc[o][c][v])
    join the chains, apply the epilogue, store to out[o][v]

Row form: the same sums with outputs (or, narrow, chains) across the vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from llvmlite import ir

from instjit.kernels.packing import Panel, narrow, padded, panels
from instjit.kernels.simd import (
    I32,
    Builder,
    IRValue,
    VectorArithmetic,
    i64,
    load,
    load_part,
    loop,
    powers,
    smaller,
    store,
    store_part,
)
from instjit.kernels.specs import GemmSpec
from instjit.kernels.target import Level


@dataclass(frozen=True, slots=True)
class Block:
    """What a micro-kernel call makes: places of bias, weights and target; strides in floats."""

    bias: IRValue
    weights: IRValue
    by_k: IRValue
    by_output: IRValue
    out: IRValue
    first: IRValue


BlockEmitter: TypeAlias = Callable[[Block, int], None]
PanelEmitter: TypeAlias = Callable[[Panel, IRValue, IRValue], None]


class TileGemm:
    """Writes the tile form of one Gemm shape; ``vector`` may give ``fma`` another meaning."""

    def __init__(
        self,
        builder: Builder,
        spec: GemmSpec,
        level: Level,
        vector: VectorArithmetic | None = None,
    ) -> None:
        self.builder = builder
        self.spec = spec
        self.level = level
        self.lanes = level.lanes
        self.vector = vector or VectorArithmetic(builder, level.width)

    def block_outputs(self) -> int:
        """Outputs of a full micro-kernel block."""
        return max(1, self.level.outputs // self.spec.chains)

    def vectors_at_once(self) -> int:
        """Vectors of lanes a pass keeps in registers: fewer when the chains alone fill them."""
        full = self.level.outputs * self.level.vectors
        return max(1, min(self.level.vectors, full // (self.block_outputs() * self.spec.chains)))

    def accumulate(
        self, x: IRValue, block: Block, count: int, v: int, vectors: int
    ) -> list[list[IRValue]]:
        """Sums of ``count`` outputs for lane vectors v .. v + vectors: [output][vector]."""
        spec, vector = self.spec, self.vector
        zero = vector.const(-0.0)
        state = []
        for o in range(count):
            bias = vector.splat(
                self.builder.load(self._weight(block.bias, i64(o), i64(1)), align=4)
            )
            state += [bias if c == 0 else zero for c in range(spec.chains) for _ in range(vectors)]

        def step(k: IRValue, state: list[IRValue], chains: int) -> list[IRValue]:
            for c in range(chains):
                at = self.builder.add(k, i64(c))
                row = self.builder.gep(x, [self.builder.mul(at, i64(self.lanes))])
                lanes = [self._lanes(row, v + j) for j in range(vectors)]
                column = self.builder.gep(block.weights, [self.builder.mul(at, block.by_k)])
                for o in range(count):
                    weight = vector.splat(
                        self.builder.load(self._weight(column, i64(o), block.by_output), align=4)
                    )
                    for j in range(vectors):
                        n = (o * spec.chains + c) * vectors + j
                        state[n] = vector.fma(weight, lanes[j], state[n])
            return state

        state = _over_depth(self.builder, spec, step, state)
        chained = spec.chains * vectors
        return [
            [
                _joined(vector, state[o * chained + j : (o + 1) * chained : vectors])
                for j in range(vectors)
            ]
            for o in range(count)
        ]

    def _lanes(self, row: IRValue, v: int) -> IRValue:
        return load(
            self.builder,
            self.builder.gep(row, [i64(v * self.level.width)]),
            self.level.width,
            4 * self.level.width,
        )

    def _weight(self, base: IRValue, o: IRValue, stride: IRValue) -> IRValue:
        return self.builder.gep(base, [self.builder.mul(o, stride)])

    def blocks(self, w: IRValue, out: IRValue, emit: BlockEmitter) -> None:
        """Call ``emit(block, count)`` for every block of outputs, in loops where blocks repeat."""
        spec = self.spec
        if narrow(spec.outputs, spec.depth):
            weights = self.builder.gep(w, [i64(padded(spec.outputs))])
            whole = Panel(0, spec.outputs, spec.depth, 0)
            self._panel(whole, i64(0), w, weights, i64(1), i64(spec.depth), out, emit)
            return
        parts = panels(spec.outputs, spec.depth, self.level.panel)
        full = [part for part in parts if part.outputs == self.level.panel]
        if full:
            floats = self.level.panel * (spec.depth + 1)

            def body(p: IRValue, state: list[IRValue]) -> list[IRValue]:
                base = self.builder.gep(w, [self.builder.mul(p, i64(floats))])
                first = self.builder.mul(p, i64(self.level.panel))
                self._wide(full[0], first, base, out, emit)
                return state

            loop(self.builder, i64(len(full)), body)
        if len(full) < len(parts):
            last = parts[-1]
            self._wide(last, i64(last.first), self.builder.gep(w, [i64(last.at)]), out, emit)

    def _wide(
        self, part: Panel, first: IRValue, base: IRValue, out: IRValue, emit: BlockEmitter
    ) -> None:
        weights = self.builder.gep(base, [i64(part.width)])
        self._panel(part, first, base, weights, i64(part.width), i64(1), out, emit)

    def _panel(
        self,
        part: Panel,
        first: IRValue,
        bias: IRValue,
        weights: IRValue,
        by_k: IRValue,
        by_output: IRValue,
        out: IRValue,
        emit: BlockEmitter,
    ) -> None:
        step = self.block_outputs()
        whole, rest = divmod(part.outputs, step)

        def block_at(o: IRValue) -> Block:
            number = self.builder.add(first, o)
            return Block(
                self.builder.gep(bias, [o]),
                self.builder.gep(weights, [self.builder.mul(o, by_output)]),
                by_k,
                by_output,
                self.builder.gep(out, [self.builder.mul(number, i64(self.lanes))]),
                number,
            )

        def body(i: IRValue, state: list[IRValue]) -> list[IRValue]:
            emit(block_at(self.builder.mul(i, i64(step))), step)
            return state

        if whole:
            loop(self.builder, i64(whole), body)
        if rest:
            emit(block_at(i64(whole * step)), rest)


def _over_depth(
    builder: Builder,
    spec: GemmSpec,
    step: Callable[[IRValue, list[IRValue], int], list[IRValue]],
    state: list[IRValue],
) -> list[IRValue]:
    """Run ``step(k, state, chains)`` over the depth, all chains at a time, then what is left."""
    whole, rest = divmod(spec.depth, spec.chains)
    if whole:
        state = loop(
            builder,
            i64(whole),
            lambda i, s: step(builder.mul(i, i64(spec.chains)), list(s), spec.chains),
            state,
        )
    return step(i64(whole * spec.chains), list(state), rest)


def _joined(vector: VectorArithmetic, sums: list[IRValue]) -> IRValue:
    """Sum of the chains: each takes the one half as many further on, until one is left."""
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [vector.add(sums[c], sums[c + half]) for c in range(half)]
    return sums[0]


def row_sums(
    builder: Builder, spec: GemmSpec, level: Level, x: IRValue, w: IRValue, out: IRValue
) -> None:
    """Write the sums of a Gemm over one row to ``out[outputs]``, before any epilogue."""
    if narrow(spec.outputs, spec.depth):
        _narrow_row(builder, spec, x, w, out)
        return
    count = len(panels(spec.outputs, spec.depth, level.panel))
    for_panels(
        builder,
        spec,
        level,
        (i64(0), i64(count)),
        lambda part, first, base: panel_row(
            builder, spec, level, part, x, builder.gep(w, [base]), builder.gep(out, [first])
        ),
    )


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


def panel_row(
    builder: Builder,
    spec: GemmSpec,
    level: Level,
    part: Panel,
    x: IRValue,
    base: IRValue,
    out: IRValue,
) -> None:
    """Sums of one panel of a row, whose block is at ``base``."""
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

    state = _over_depth(builder, spec, step, state)
    for p, ((start, width), vector) in enumerate(zip(pieces, arithmetics, strict=True)):
        total = _joined(vector, state[p * spec.chains : (p + 1) * spec.chains])
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
