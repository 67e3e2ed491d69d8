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

from instjit.kernels.packing import Panel, narrow, padded, panels
from instjit.kernels.simd import (
    Builder,
    IRValue,
    VectorArithmetic,
    i64,
    load,
    loop,
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

SHALLOW = 16
"""A Gemm up to this depth has code of its own, which LLVM unrolls: a row through 20 layers of 16
takes 0.47 us instead of 0.66. Others share theirs, or a hundred layers of unlike shapes would take
20 s to compile; so do all Gemms of a text of many steps."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What code that Gemms share depends on, and how often each runs its loop over all chains."""

    form: tuple[int, ...]
    times: int

    @staticmethod
    def of(spec: GemmSpec, *, many: bool) -> Depth:
        """Of a Gemm, of a text of few steps or of many."""
        times, rest = divmod(spec.depth, spec.chains)
        deep = spec.depth > (0 if many else SHALLOW)
        return Depth((spec.chains, rest) if deep else (spec.chains, spec.depth, 0), times)

    @property
    def shared(self) -> bool:
        """Whether code serves several depths; then it is called, and not copied to each call."""
        return len(self.form) == 2

    def whole(self, argument: IRValue) -> IRValue | None:
        """The argument for shared code, None where the count is fixed."""
        return argument if self.shared else None


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
        self,
        x: IRValue,
        block: Block,
        count: int,
        v: int,
        vectors: int,
        whole: IRValue | None = None,
    ) -> list[list[IRValue]]:
        """Sums of ``count`` outputs for lane vectors v .. v + vectors: [output][vector].

        ``whole`` as ``Depth.whole``, where the code is for several depths.
        """
        spec, vector = self.spec, self.vector
        zero = vector.const(-0.0)
        state = []
        for o in range(count):
            bias = self._weight(block.bias, i64(o), i64(1))
            state += [bias if c == 0 else zero for c in range(spec.chains) for _ in range(vectors)]

        def step(k: IRValue, state: list[IRValue], chains: int) -> list[IRValue]:
            for c in range(chains):
                at = self.builder.add(k, i64(c))
                row = self.builder.gep(x, [self.builder.mul(at, i64(self.lanes))])
                lanes = [self._lanes(row, v + j) for j in range(vectors)]
                column = self.builder.gep(block.weights, [self.builder.mul(at, block.by_k)])
                for o in range(count):
                    weight = self._weight(column, i64(o), block.by_output)
                    for j in range(vectors):
                        n = (o * spec.chains + c) * vectors + j
                        state[n] = vector.fma(weight, lanes[j], state[n])
            return state

        state = over_depth(self.builder, spec, step, state, whole)
        chained = spec.chains * vectors
        return [
            [
                joined(vector, state[o * chained + j : (o + 1) * chained : vectors])
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
        place = self.builder.gep(base, [self.builder.mul(o, stride)])
        return self.vector.splat(self.builder.load(place, align=4))

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

    def span(self, w: IRValue, out: IRValue, number: IRValue, emit: BlockEmitter) -> None:
        """Call ``emit(block, count)`` for the blocks of a span of a Gemm that is not narrow."""
        builder, spec, size = self.builder, self.spec, self.level.span
        last = panels(spec.outputs, spec.depth, self.level.panel)[-1]
        first = builder.mul(number, i64(size))
        panel = builder.udiv(first, i64(self.level.panel))
        begin = builder.mul(panel, i64(self.level.panel))
        within = builder.sub(first, begin)
        full = builder.icmp_signed("<", begin, i64(last.first))
        width = builder.select(full, i64(self.level.panel), i64(last.width))
        bias = builder.gep(w, [builder.add(builder.mul(begin, i64(spec.depth + 1)), within)])
        weights = builder.gep(bias, [width])

        def emit_outputs(count: int) -> None:
            part = Panel(0, count, 0, 0)
            self._panel(part, first, bias, weights, width, i64(1), out, emit)

        whole, rest = divmod(spec.outputs, size)
        if not rest:
            emit_outputs(size)
            return
        if not whole:
            emit_outputs(rest)
            return
        with builder.if_else(builder.icmp_signed("<", number, i64(whole))) as (several, few):
            with several:
                emit_outputs(size)
            with few:
                emit_outputs(rest)

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


def over_depth(
    builder: Builder,
    spec: GemmSpec,
    step: Callable[[IRValue, list[IRValue], int], list[IRValue]],
    state: list[IRValue],
    whole: IRValue | None = None,
) -> list[IRValue]:
    """Run ``step(k, state, chains)`` over the depth, all chains at a time, then what is left."""
    times, rest = divmod(spec.depth, spec.chains)
    count = i64(times) if whole is None else whole
    if times:
        state = loop(
            builder,
            count,
            lambda i, s: step(builder.mul(i, i64(spec.chains)), list(s), spec.chains),
            state,
        )
    return step(builder.mul(count, i64(spec.chains)), list(state), rest)


def joined(vector: VectorArithmetic, sums: list[IRValue]) -> IRValue:
    """Sum of the chains: each takes the one half as many further on, until one is left."""
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [vector.add(sums[c], sums[c + half]) for c in range(half)]
    return sums[0]
