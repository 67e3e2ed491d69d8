"""Code of the steps over a tile: lanes are rows, slot i is ``lanes`` floats at ``i * lanes``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from instjit.functions import FUNCTIONS
from instjit.kernels import search, transfer
from instjit.kernels.gemm import Block, BlockEmitter, Depth, TileGemm
from instjit.kernels.located import Located, Place, evaluate, numbered, operations, places
from instjit.kernels.packing import LINE_FLOATS
from instjit.kernels.simd import (
    FLOAT,
    I64,
    Builder,
    IRValue,
    VectorArithmetic,
    i64,
    load,
    loop,
    name_of,
    prefetch,
    shared,
    store,
)
from instjit.kernels.specs import (
    ColumnsSpec,
    GemmSpec,
    LookupSpec,
    MapSpec,
    ProductSpec,
    ReduceSpec,
)
from instjit.kernels.target import Level
from instjit.program import partials

FLOATS = FLOAT.as_pointer()
BLOCK = (FLOATS, FLOATS, I64, I64, FLOATS, I64)
"""Types of the fields of a ``Block``."""

INLINE_OPERATIONS = 6
"""Epilogues up to this many operations run on the accumulators, others over the stored block."""


class TileSchedule:
    """Emits each kind of step; pointers come in the order of the spec's ``operands``."""

    name = "tile"

    def __init__(self, level: Level, *, many: bool = False) -> None:
        self.level = level
        self.lanes = level.lanes
        self.many = many

    def gemm(self, builder: Builder, spec: GemmSpec, pointers: Sequence[IRValue]) -> None:
        """The calls of a Gemm's micro-kernels: an LLVM function for each number of outputs."""
        source, target, weights, *held = pointers
        fetched, held = (held[:2], held[2:]) if spec.ahead else ([], held)
        emit = self._blocks(builder, spec, source, fetched, held)
        TileGemm(builder, spec, self.level).blocks(weights, target, emit)

    def gemm_span(
        self, builder: Builder, spec: GemmSpec, pointers: Sequence[IRValue], number: IRValue
    ) -> None:
        """One span of a Gemm that is not narrow and fetches nothing."""
        source, target, weights, *held = pointers
        emit = self._blocks(builder, spec, source, [], held)
        TileGemm(builder, spec, self.level).span(weights, target, number, emit)

    def _blocks(
        self,
        builder: Builder,
        spec: GemmSpec,
        source: IRValue,
        fetched: Sequence[IRValue],
        held: Sequence[IRValue],
    ) -> BlockEmitter:
        """Calls of the function that makes a block's outputs."""
        depth = Depth.of(spec, many=self.many)
        places = [source.type, *BLOCK, I64, *(pointer.type for pointer in held)]

        def emit(block: Block, count: int) -> None:
            def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
                self._micro(inner, spec, count, depth, arguments)

            name = name_of("block", self.level, count, depth.form, numbered(spec.value))
            function = shared(builder.module, name, places, write, apart=depth.shared)
            fields = [
                block.bias,
                block.weights,
                block.by_k,
                block.by_output,
                block.out,
                block.first,
            ]
            if spec.ahead:
                self.fetch(builder, spec, block.first, count, fetched)
            builder.call(function, [source, *fields, i64(depth.times), *held])

        return emit

    def map(self, builder: Builder, spec: MapSpec, pointers: Sequence[IRValue]) -> None:
        """A loop over elements, all vectors of a tile in its body."""
        target, *held = pointers
        values = TileValues(builder, self.level, spec.value, held)

        def body(i: IRValue, state: list[IRValue]) -> list[IRValue]:
            for v in range(self.level.vectors):
                values.store(values.at(i, v), target, i, v)
            return state

        loop(builder, i64(spec.count), body)

    def reduce(self, builder: Builder, spec: ReduceSpec, pointers: Sequence[IRValue]) -> None:
        """One vector of lanes at a time: the interleaved partials stay in registers."""
        target, *held = pointers

        def body(v: IRValue, state: list[IRValue]) -> list[IRValue]:
            shift = builder.mul(v, i64(self.level.width))
            values = TileValues(builder, self.level, spec.value, held, shift)
            values.store(self._folded(builder, spec, values), target, i64(0), 0)
            return state

        loop(builder, i64(self.level.vectors), body)

    def lookup(
        self,
        builder: Builder,
        spec: LookupSpec,
        pointers: Sequence[IRValue],
        k: IRValue,
        n: IRValue,
    ) -> None:
        """Find the rows of a vector of keys, copy them into its lanes."""
        source, target, directory = pointers
        width = self.level.width

        def body(v: IRValue, state: list[IRValue]) -> list[IRValue]:
            lane = builder.mul(v, i64(width))
            keys = load(builder, builder.gep(source, [lane]), width, 4 * width)
            places = search.places_of(builder, keys, width, directory, n, spec.size)
            slots = builder.gep(target, [lane])
            transfer.take_rows(builder, self.level, k, places, slots, spec.size)
            return state

        loop(builder, i64(self.level.vectors), body)

    def load(
        self, builder: Builder, spec: ColumnsSpec, x: IRValue, pointers: Sequence[IRValue]
    ) -> None:
        """Transpose the tile's rows at ``x`` into scratch."""
        for (column, _, count), place in zip(spec.columns, pointers, strict=True):
            rows = builder.gep(x, [i64(column)])
            transfer.move_columns(builder, self.level, "load", rows, i64(spec.width), place, count)

    def store(
        self, builder: Builder, spec: ColumnsSpec, y: IRValue, pointers: Sequence[IRValue]
    ) -> None:
        """Transpose the tile's slots into rows at ``y``."""
        for (column, _, count), place in zip(spec.columns, pointers, strict=True):
            rows = builder.gep(y, [i64(column)])
            transfer.move_columns(builder, self.level, "store", rows, i64(spec.width), place, count)

    def fetch(
        self,
        builder: Builder,
        spec: GemmSpec | ProductSpec,
        first: IRValue,
        count: int,
        fetched: Sequence[IRValue],
    ) -> None:
        """Ask for the part of the next tile's rows and outputs that falls to ``count`` outputs.

        A few lines before each block of the micro-kernel: they arrive while it computes. A prefetch
        of memory past the end of an array does nothing.
        """
        for pointer, floats, writing in zip(fetched, spec.ahead[1::2], (0, 1), strict=True):
            start = builder.gep(pointer, [builder.mul(first, i64(floats))])
            for line in range(-(-count * floats // LINE_FLOATS)):
                prefetch(builder, builder.gep(start, [i64(line * LINE_FLOATS)]), writing=writing)

    def _folded(self, builder: Builder, spec: ReduceSpec, values: TileValues) -> IRValue:
        join = _join(spec.function, values.arithmetic)
        parts = partials(spec.count)
        state = [values.at(i64(p), 0) for p in range(parts)]
        whole, rest = divmod(spec.count - parts, parts) if spec.count > parts else (0, 0)
        if whole:

            def body(block: IRValue, state: list[IRValue]) -> list[IRValue]:
                base = builder.mul(builder.add(block, i64(1)), i64(parts))
                return [
                    join(part, values.at(builder.add(base, i64(p)), 0))
                    for p, part in enumerate(state)
                ]

            state = loop(builder, i64(whole), body, state)
        for p in range(rest):
            state[p] = join(state[p], values.at(i64((whole + 1) * parts + p), 0))
        for step in (8, 4, 2, 1):
            for p in range(step):
                if p + step < parts:
                    state[p] = join(state[p], state[p + step])
        return state[0]

    def _micro(
        self,
        builder: Builder,
        spec: GemmSpec,
        count: int,
        depth: Depth,
        arguments: Sequence[IRValue],
    ) -> None:
        """The body of the function that makes ``count`` outputs of a tile."""
        source, bias, weights, by_k, by_output, out, first, whole, *held = arguments
        block, times = Block(bias, weights, by_k, by_output, out, first), depth.whole(whole)
        form = TileGemm(builder, spec, self.level)
        values = TileValues(builder, self.level, spec.value, held)
        inline = operations(spec.value) <= INLINE_OPERATIONS
        at_once = form.vectors_at_once()
        for v in range(0, self.level.vectors, at_once):
            vectors = min(at_once, self.level.vectors - v)
            sums = form.accumulate(source, block, count, v, vectors, times)
            for o, totals in enumerate(sums):
                number = builder.add(block.first, i64(o))
                for j, total in enumerate(totals):
                    value = values.at(number, v + j, total) if inline else total
                    values.store(value, block.out, i64(o), v + j)
        if not inline:
            self._epilogue(builder, block, count, values)

    def _epilogue(self, builder: Builder, block: Block, count: int, values: TileValues) -> None:
        def body(o: IRValue, state: list[IRValue]) -> list[IRValue]:
            number = builder.add(block.first, o)
            for v in range(self.level.vectors):
                total = values.load(block.out, o, v)
                values.store(values.at(number, v, total), block.out, o, v)
            return state

        loop(builder, i64(count), body)


class TileValues:
    """Evaluates a located value at element i for vector v of the lanes.

    ``held`` are the pointers of the value's places in order; ``shift`` moves all of them along the
    lanes. Leaves at a fixed slot are read once, where the object is made.
    """

    def __init__(
        self,
        builder: Builder,
        level: Level,
        value: Located,
        held: Sequence[IRValue],
        shift: IRValue | None = None,
    ) -> None:
        self.builder = builder
        self.level = level
        self.value = value
        self.arithmetic = VectorArithmetic(builder, level.width)
        self.shift = shift
        self.pointers = pointers_of(value, held)
        vectors = 1 if shift is not None else level.vectors
        self.fixed = {
            (place, v): self._read(place, i64(0), v)
            for place in self.pointers
            if place.index == "fixed"
            for v in range(vectors)
        }

    def at(self, i: IRValue, v: int, total: IRValue | None = None) -> IRValue:
        """The value of element ``i``."""

        def leaf(place: Place) -> IRValue:
            return self.fixed[place, v] if place.index == "fixed" else self._read(place, i, v)

        return evaluate(self.value, self.arithmetic, leaf, total)

    def load(self, base: IRValue, i: IRValue, v: int) -> IRValue:
        """Vector v of slot i of a region."""
        return load(self.builder, self._slot(base, i, v), self.level.width, 4 * self.level.width)

    def store(self, value: IRValue, base: IRValue, i: IRValue, v: int) -> None:
        """Store vector v of slot i of a region."""
        store(self.builder, value, self._slot(base, i, v), 4 * self.level.width)

    def _read(self, place: Place, i: IRValue, v: int) -> IRValue:
        base, listed = self.pointers[place]
        if place.index == "fixed":
            i = i64(0)
        elif place.index == "repeat":
            i = self.builder.udiv(i, i64(place.every))
        elif place.index == "gather":
            i = self.builder.sext(self.builder.load(self.builder.gep(listed, [i]), align=4), I64)
        if place.area == "k":
            return self.arithmetic.splat(self.builder.load(self.builder.gep(base, [i]), align=4))
        return self.load(base, i, v)

    def _slot(self, base: IRValue, i: IRValue, v: int) -> IRValue:
        at = self.builder.add(self.builder.mul(i, i64(self.level.lanes)), i64(v * self.level.width))
        if self.shift is not None:
            at = self.builder.add(at, self.shift)
        return self.builder.gep(base, [at])


def pointers_of(
    value: Located, held: Sequence[IRValue]
) -> dict[Place, tuple[IRValue, IRValue | None]]:
    """The base pointer of each place of a value, and a gather's list."""
    remaining = iter(held)
    found: dict[Place, tuple[IRValue, IRValue | None]] = {}
    for place in places(value):
        base = next(remaining)
        found[place] = (base, next(remaining) if place.index == "gather" else None)
    return found


def _join(function: str, arithmetic: Any) -> Callable[[IRValue, IRValue], IRValue]:
    sequence = FUNCTIONS[function].sequence
    return lambda a, b: sequence(arithmetic, a, b)
