"""Code of a wide product over a tile of rows: AMX's tiles, or ``vdpbf16ps`` in the form of a Gemm.

Both add pairs of bfloat16 products to float32 sums. AMX makes 32 outputs of 32 rows at once and
leaves them in scratch, where one pass adds the bias, applies the epilogue and, where the next step
is a wide product as well, makes its words. The other unit does so on the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from instjit.kernels import amx
from instjit.kernels.gemm import Block, TileGemm
from instjit.kernels.located import operations
from instjit.kernels.multiplier import MACRO, SIDE, tiles
from instjit.kernels.simd import (
    FLOAT,
    Builder,
    IRValue,
    VectorArithmetic,
    declare,
    i64,
    loop,
)
from instjit.kernels.specs import GemmSpec, ProductSpec
from instjit.kernels.split import FLOATS, HALVES, WIDTH, PairWriter, halves
from instjit.kernels.tile import INLINE_OPERATIONS, TileSchedule, TileValues

POINTER = FLOAT.as_pointer()
TILE_FLOATS = SIDE * SIDE


def write_product(
    builder: Builder, schedule: TileSchedule, spec: ProductSpec, places: Sequence[IRValue]
) -> None:
    """The code of a product; places are the operands of the spec."""
    (AmxProduct if spec.unit == "amx" else PairProduct)(builder, schedule, spec, places).write()


class PairArithmetic(VectorArithmetic):
    """float32 lanes whose ``fma`` adds the products of two pairs of bfloat16."""

    def fma(self, a: IRValue, b: IRValue, c: IRValue) -> IRValue:
        """``c`` plus the products of the upper halves, then of the lower ones, each rounded."""
        kind = ir.FunctionType(FLOATS, [FLOATS, HALVES, HALVES])
        dot = declare(self.builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
        return self.builder.call(dot, [c, halves(self.builder, a), halves(self.builder, b)])


class _Product:
    """What both units share: the places, the blocks' functions, and how sums become values."""

    def __init__(
        self,
        builder: Builder,
        schedule: TileSchedule,
        spec: ProductSpec,
        places: Sequence[IRValue],
    ) -> None:
        self.builder = builder
        self.schedule = schedule
        self.level = schedule.level
        self.spec = spec
        self.pairs, self.target, self.weights, self.sums, self.following, *held = places
        self.fetched, self.held = (held[:2], held[2:]) if spec.ahead else ([], held)
        self.made: dict[int, Any] = {}

    def block(
        self,
        count: int,
        first: IRValue,
        places: Sequence[IRValue],
        write: Callable[[Builder, int, list[IRValue]], None],
    ) -> None:
        """Call the LLVM function of ``count`` outputs: ``places`` and the value's."""
        if self.spec.ahead:
            self.schedule.fetch(self.builder, self.spec, first, count, self.fetched)
        arguments = [*places, *self.held]
        if count not in self.made:
            kind = ir.FunctionType(ir.VoidType(), [each.type for each in arguments])
            name = f"{self.builder.function.name}_{count}"
            function = declare(self.builder.module, kind, name)
            function.linkage = "internal"
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            write(inner, count, list(function.args))
            inner.ret_void()
            self.made[count] = function
        self.builder.call(self.made[count], arguments)

    def slot(self, base: IRValue, number: IRValue) -> IRValue:
        """Where slot ``number`` from ``base`` on begins."""
        return self.builder.gep(base, [self.builder.mul(number, i64(self.level.lanes))])

    def words_of(self, first: IRValue) -> IRValue:
        """Where the words of output ``first``, an even number, and of the next go."""
        return self.slot(self.following, self.builder.udiv(first, i64(2)))

    def clear(self) -> None:
        """Zero the words past the last output's."""
        if self.spec.following >= 0:
            spec = self.spec
            writer = PairWriter(self.builder, self.level, spec.multiplier, spec.outputs)
            writer.clear(self.following, spec.outputs)


class _Values:
    """Turns sums of some outputs from ``first`` on into values and words."""

    def __init__(
        self,
        builder: Builder,
        product: _Product,
        places: tuple[IRValue, IRValue, IRValue],
        held: Sequence[IRValue],
    ) -> None:
        spec = product.spec
        self.builder = builder
        self.spec = spec
        self.level = product.level
        self.first, self.out, self.words = places
        self.values = TileValues(builder, self.level, spec.value, held)
        self.writer = PairWriter(builder, self.level, spec.multiplier, spec.outputs)

    def of_registers(self, sums: list[list[IRValue]]) -> None:
        """``sums`` are [output][vector]."""
        found = [
            [self._value(i64(o), v, total) for v, total in enumerate(vectors)]
            for o, vectors in enumerate(sums)
        ]
        for o in range(0, len(found), 2):
            self._pair(i64(o // 2), found[o : o + 2])

    def of_slots(self, count: int, total: Callable[[IRValue, int], IRValue]) -> None:
        """``total(o, v)`` reads the sum of output ``first + o``."""

        def pair(number: IRValue, size: int) -> None:
            begin = self.builder.mul(number, i64(2))
            found = []
            for o in (self.builder.add(begin, i64(each)) for each in range(size)):
                totals = [total(o, v) for v in range(self.level.vectors)]
                found.append([self._value(o, v, held) for v, held in enumerate(totals)])
            self._pair(number, found)

        def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
            pair(number, 2)
            return state

        if count > 1:
            loop(self.builder, i64(count // 2), body)
        if count % 2:
            pair(i64(count // 2), 1)

    def _value(self, o: IRValue, v: int, total: IRValue) -> IRValue:
        value = self.values.at(self.builder.add(self.first, o), v, total)
        if self.spec.kept:
            self.values.store(value, self.out, o, v)
        return value

    def _pair(self, number: IRValue, found: list[list[IRValue]]) -> None:
        if self.spec.following < 0:
            return
        zero = self.values.arithmetic.const(0.0)
        for v in range(self.level.vectors):
            high = found[1][v] if len(found) == 2 else zero
            self.writer.store(self.words, number, v, found[0][v], high)


class PairProduct(_Product):
    """A Gemm over pairs: the weights' words are broadcast, the bias starts the sums."""

    def write(self) -> None:
        """All blocks of outputs."""
        self._form(self.builder).blocks(self.weights, self.target, self._emit)
        self.clear()

    def _form(self, builder: Builder) -> TileGemm:
        spec = self.spec
        pairs = spec.multiplier.pairs(spec.depth)
        gemm = GemmSpec(spec.outputs, pairs, 1, 0, 0, 0, spec.value)
        return TileGemm(builder, gemm, self.level, PairArithmetic(builder, WIDTH))

    def _emit(self, block: Block, count: int) -> None:
        strides = [block.by_k, block.by_output]
        words = self.words_of(block.first)
        places = [self.pairs, block.bias, block.weights, *strides, block.out, block.first, words]
        self.block(count, block.first, places, self._write)

    def _write(self, builder: Builder, count: int, arguments: list[IRValue]) -> None:
        source, bias, weights, by_k, by_output, out, first, words, *held = arguments
        block = Block(bias, weights, by_k, by_output, out, first)
        sums = self._form(builder).accumulate(source, block, count, 0, self.level.vectors)
        values = _Values(builder, self, (first, out, words), held)
        if operations(self.spec.value) <= INLINE_OPERATIONS:
            values.of_registers(sums)
            return
        for o, vectors in enumerate(sums):
            for v, total in enumerate(vectors):
                values.values.store(total, out, i64(o), v)
        values.of_slots(count, lambda o, v: values.values.load(out, o, v))


class AmxProduct(_Product):
    """Two tiles of outputs times a tile for every 16 rows, over all k and all products of parts."""

    def write(self) -> None:
        """All blocks of 32 outputs, and what is left."""
        whole, rest = divmod(self.spec.outputs, MACRO)
        if whole:

            def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
                self._macro(self.builder.mul(number, i64(MACRO)), MACRO)
                return state

            loop(self.builder, i64(whole), body)
        if rest:
            self._macro(i64(whole * MACRO), rest)
        self.clear()

    def _macro(self, first: IRValue, count: int) -> None:
        spec, builder = self.spec, self.builder
        begin = tiles(spec.outputs, SIDE) * SIDE
        each = spec.multiplier.slots(spec.depth)  # words of an output
        weights = builder.gep(
            self.weights, [builder.add(i64(begin), builder.mul(first, i64(each)))]
        )
        bias = builder.gep(self.weights, [first])
        out, words = self.slot(self.target, first), self.words_of(first)
        places = [self.pairs, bias, weights, self.sums, out, first, words]
        self.block(count, first, places, self._write)

    def _write(self, builder: Builder, count: int, arguments: list[IRValue]) -> None:
        source, bias, weights, sums, out, first, words, *held = arguments
        self._multiply(builder, tiles(count, SIDE), source, weights, sums)
        values = _Values(builder, self, (first, out, words), held)
        vector = VectorArithmetic(builder, WIDTH)

        def total(o: IRValue, v: int) -> IRValue:
            start = vector.splat(builder.load(builder.gep(bias, [o]), align=4))
            return vector.add(start, values.values.load(sums, o, v))

        values.of_slots(count, total)

    def _multiply(
        self, builder: Builder, across: int, source: IRValue, weights: IRValue, sums: IRValue
    ) -> None:
        """Tiles 0 .. 3 are sums, 4 and 5 weights, 6 and 7 words."""
        unit, lanes = amx.Tiles(builder), self.level.lanes
        each = [(m, g) for m in range(across) for g in range(self.level.vectors)]
        for m, g in each:
            unit.zero(2 * m + g)

        def body(block: IRValue, state: list[IRValue]) -> list[IRValue]:
            self._block_of_k(builder, unit, across, source, weights, block)
            return state

        loop(builder, i64(self.spec.multiplier.pairs(self.spec.depth) // SIDE), body)
        for m, g in each:
            place = builder.gep(sums, [i64(m * SIDE * lanes + g * WIDTH)])
            unit.store(2 * m + g, place, i64(4 * lanes))

    def _block_of_k(
        self,
        builder: Builder,
        unit: amx.Tiles,
        across: int,
        source: IRValue,
        weights: IRValue,
        block: IRValue,
    ) -> None:
        """Multiply 32 k; a tile that still holds the right part is not loaded again."""
        spec, lanes = self.spec.multiplier, self.level.lanes
        pairs = spec.pairs(self.spec.depth)
        of_block = builder.gep(
            weights, [builder.mul(block, i64(across * spec.parts * TILE_FLOATS))]
        )
        rows = builder.gep(source, [builder.mul(block, i64(SIDE * lanes))])
        loaded: dict[int, int] = {}
        for part, other in spec.products:
            for m in range(across):
                if loaded.get(4 + m) != part:
                    loaded[4 + m] = part
                    place = builder.gep(of_block, [i64((m * spec.parts + part) * TILE_FLOATS)])
                    unit.load(4 + m, place, i64(4 * SIDE))
            for g in range(self.level.vectors):
                if loaded.get(6 + g) != other:
                    loaded[6 + g] = other
                    place = builder.gep(rows, [i64(other * pairs * lanes + g * WIDTH)])
                    unit.load(6 + g, place, i64(4 * lanes))
            for m in range(across):
                for g in range(self.level.vectors):
                    unit.multiply(2 * m + g, 4 + m, 6 + g)
