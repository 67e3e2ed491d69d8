"""Code of the steps over one row: a slot is one float, elements lie across the vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from instjit.functions import FUNCTIONS
from instjit.kernels import search
from instjit.kernels.located import Located, Place, Total, evaluate, numbered, of_total
from instjit.kernels.packing import Panel
from instjit.kernels.row_gemm import for_panels, panel_sums, row_sums
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
    shared,
    store,
    store_part,
)
from instjit.kernels.specs import ColumnsSpec, GemmSpec, LookupSpec, MapSpec, ReduceSpec
from instjit.kernels.target import Level
from instjit.kernels.tile import pointers_of
from instjit.program import PARTIALS, partials


class RowSchedule:
    """Emits each kind of step; pointers come in the order of the spec's ``operands``."""

    name = "row"

    def __init__(self, level: Level, *, many: bool = False) -> None:
        self.level = level
        self.many = many
        self.lanes = 1

    def gemm(self, builder: Builder, spec: GemmSpec, pointers: Sequence[IRValue]) -> None:
        """Stream the weights once, then one pass over the sums for the epilogue."""
        source, target, weights, *held = pointers
        held = held[2:] if spec.ahead else held
        row_sums(builder, spec, self.level, source, weights, target, many=self.many)
        if not isinstance(spec.value, Total):
            self._each_vector(builder, spec.outputs, spec.value, target, held)

    def gemm_part(
        self,
        builder: Builder,
        spec: GemmSpec,
        pointers: Sequence[IRValue],
        span: tuple[IRValue, IRValue],
    ) -> None:
        """Panels ``span`` of a Gemm that is not narrow, each with its epilogue."""
        source, target, weights, *held = pointers

        def emit(part: Panel, first: IRValue, base: IRValue) -> None:
            places = source, builder.gep(weights, [base]), builder.gep(target, [first])
            panel_sums(builder, spec, self.level, part, places, many=self.many)
            if not isinstance(spec.value, Total):
                self._each_vector(builder, part.outputs, spec.value, target, held, first)

        for_panels(builder, spec, self.level, span, emit)

    def map(self, builder: Builder, spec: MapSpec, pointers: Sequence[IRValue]) -> None:
        """A loop over vectors of elements and one shorter vector."""
        target, *held = pointers
        self._each_vector(builder, spec.count, spec.value, target, held)

    def reduce(self, builder: Builder, spec: ReduceSpec, pointers: Sequence[IRValue]) -> None:
        """Partials across one vector, folded by halves."""
        target, *held = pointers
        values = RowValues(builder, spec.value, held)
        arithmetic = VectorArithmetic(builder, PARTIALS)
        sequence = FUNCTIONS[spec.function].sequence
        parts = partials(spec.count)
        state = [values.at(i64(0), parts, PARTIALS)]
        whole, rest = divmod(spec.count, PARTIALS) if spec.count > PARTIALS else (1, 0)
        if whole > 1:

            def body(block: IRValue, state: list[IRValue]) -> list[IRValue]:
                first = builder.mul(builder.add(block, i64(1)), i64(PARTIALS))
                return [sequence(arithmetic, state[0], values.at(first, PARTIALS, PARTIALS))]

            state = loop(builder, i64(whole - 1), body, state)
        total = state[0]
        if rest:
            joined = sequence(arithmetic, total, values.at(i64(whole * PARTIALS), rest, PARTIALS))
            total = builder.select(_below(rest, PARTIALS), joined, total)
        for step in (8, 4, 2, 1):
            low, high = (_lanes(builder, total, first, step) for first in (0, step))
            joined = sequence(VectorArithmetic(builder, step), low, high)
            pairs = max(0, min(step, parts - step))
            total = joined if pairs == step else builder.select(_below(pairs, step), joined, low)
        store(builder, total, target)

    def lookup(
        self,
        builder: Builder,
        spec: LookupSpec,
        pointers: Sequence[IRValue],
        k: IRValue,
        n: IRValue,
    ) -> None:
        """Find the row of the key, copy it."""
        source, target, directory = pointers
        identity = builder.load(source, align=4)
        place = search.places_of(builder, identity, 1, directory, n, spec.size)
        row = builder.gep(k, [builder.zext(place, I64)])
        self._copy(builder, row, target, spec.size)

    def load(
        self, builder: Builder, spec: ColumnsSpec, x: IRValue, pointers: Sequence[IRValue]
    ) -> None:
        """Copy a row's columns into scratch."""
        for (column, _, count), place in zip(spec.columns, pointers, strict=True):
            self._copy(builder, builder.gep(x, [i64(column)]), place, count)

    def store(
        self, builder: Builder, spec: ColumnsSpec, y: IRValue, pointers: Sequence[IRValue]
    ) -> None:
        """Copy slots into a row's columns."""
        for (column, _, count), place in zip(spec.columns, pointers, strict=True):
            self._copy(builder, place, builder.gep(y, [i64(column)]), count)

    def _copy(self, builder: Builder, source: IRValue, target: IRValue, count: int) -> None:
        width = self.level.width
        whole, rest = divmod(count, width)

        def body(block: IRValue, state: list[IRValue]) -> list[IRValue]:
            at = builder.mul(block, i64(width))
            store(
                builder, load(builder, builder.gep(source, [at]), width), builder.gep(target, [at])
            )
            return state

        if whole:
            loop(builder, i64(whole), body)
        if rest:
            at = i64(whole * width)
            tail = load_part(builder, builder.gep(source, [at]), rest, width)
            store_part(builder, tail, builder.gep(target, [at]), rest, width)

    def _each_vector(
        self,
        builder: Builder,
        count: int,
        value: Located,
        target: IRValue,
        held: Sequence[IRValue],
        start: IRValue | None = None,
    ) -> None:
        """Call the function that evaluates elements start .. start + count, the first for None.

        A gemm's sums lie at ``target``. Counts with the same rest share the function.
        """
        whole, rest = divmod(count, self.level.width)

        def write(inner: Builder, arguments: Sequence[IRValue]) -> None:
            times, begin, place, *places = arguments
            values = RowValues(inner, value, places, place if of_total(value) else None)
            self._vectors(inner, begin, times if whole else None, rest, values, place)

        name = name_of("elements", self.level.width, numbered(value), whole > 0, rest)
        kinds = [I64, I64, target.type, *(pointer.type for pointer in held)]
        function = shared(builder.module, name, kinds, write, apart=self.many)
        begin = i64(0) if start is None else start
        builder.call(function, [i64(whole), begin, target, *held])

    def _vectors(
        self,
        builder: Builder,
        begin: IRValue,
        whole: IRValue | None,
        rest: int,
        values: RowValues,
        target: IRValue,
    ) -> None:
        width = self.level.width

        def body(block: IRValue, state: list[IRValue]) -> list[IRValue]:
            at = builder.add(begin, builder.mul(block, i64(width)))
            store(builder, values.at(at, width, width), builder.gep(target, [at]))
            return state

        if whole is not None:
            loop(builder, whole, body)
        if rest:
            narrowed = 1 << (rest - 1).bit_length()
            at = begin
            if whole is not None:
                at = builder.add(at, builder.mul(whole, i64(width)))
            store_part(
                builder, values.at(at, rest, narrowed), builder.gep(target, [at]), rest, narrowed
            )


class RowValues:
    """Evaluates a located value for elements first .. first + count in a vector of ``width`` lanes.

    ``totals`` is where the sums of a gemm lie whose epilogue the value is.
    """

    def __init__(
        self,
        builder: Builder,
        value: Located,
        held: Sequence[IRValue],
        totals: IRValue | None = None,
    ) -> None:
        self.builder = builder
        self.value = value
        self.totals = totals
        self.pointers = pointers_of(value, held)
        self.fixed = {
            place: builder.load(base, align=4)
            for place, (base, _) in self.pointers.items()
            if place.index == "fixed"
        }

    def at(self, first: IRValue, count: int, width: int) -> IRValue:
        """Lanes from ``count`` on hold a value that nobody may use."""
        arithmetic = VectorArithmetic(self.builder, width)
        total = None if self.totals is None else self._contiguous(self.totals, first, count, width)
        return evaluate(
            self.value, arithmetic, lambda place: self._read(arithmetic, place, first, count), total
        )

    def _read(
        self, arithmetic: VectorArithmetic, place: Place, first: IRValue, count: int
    ) -> IRValue:
        base, listed = self.pointers[place]
        if place.index == "fixed":
            return arithmetic.splat(self.fixed[place])
        if place.index == "each":
            return self._contiguous(base, first, count, arithmetic.width)
        entry = self._gathered(listed) if place.index == "gather" else self._repeated(place.every)
        if arithmetic.width == 1:
            return self.builder.load(self.builder.gep(base, [entry(first)]), align=4)
        value = arithmetic.const(0.0)
        for lane in range(count):
            at = entry(self.builder.add(first, i64(lane)))
            single = self.builder.load(self.builder.gep(base, [at]), align=4)
            value = self.builder.insert_element(value, single, ir.Constant(I32, lane))
        return value

    def _gathered(self, listed: Any) -> Callable[[IRValue], IRValue]:
        builder = self.builder
        return lambda i: builder.sext(builder.load(builder.gep(listed, [i]), align=4), I64)

    def _repeated(self, every: int) -> Callable[[IRValue], IRValue]:
        return lambda i: self.builder.udiv(i, i64(every))

    def _contiguous(self, base: IRValue, first: IRValue, count: int, width: int) -> IRValue:
        return load_part(self.builder, self.builder.gep(base, [first]), count, width)


def _lanes(builder: Builder, value: IRValue, first: int, count: int) -> IRValue:
    """Lanes ``first .. first + count`` of a vector; one lane is a float."""
    if count == 1:
        return builder.extract_element(value, ir.Constant(I32, first))
    order = ir.Constant(ir.VectorType(I32, count), list(range(first, first + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), order)


def _below(count: int, width: int) -> IRValue:
    """True in the first ``count`` lanes."""
    if width == 1:
        return ir.Constant(ir.IntType(1), count)
    mask = ir.VectorType(ir.IntType(1), width)
    return ir.Constant(mask, [int(lane < count) for lane in range(width)])
