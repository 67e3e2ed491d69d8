"""LLVM vectors through llvmlite: arithmetic, loads and stores of parts, transposes, loops."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir

IRValue: TypeAlias = Any
Builder: TypeAlias = Any

FLOAT = ir.FloatType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)


def i64(value: int) -> IRValue:
    """64-bit integer constant."""
    return ir.Constant(I64, value)


def vector_type(width: int) -> Any:
    """<width x float>, or float for width 1."""
    return FLOAT if width == 1 else ir.VectorType(FLOAT, width)


class VectorArithmetic:
    """``Arithmetic`` over LLVM vectors of ``width`` floats, plain floats for width 1."""

    def __init__(self, builder: Builder, width: int) -> None:
        self.builder = builder
        self.width = width
        self.float = vector_type(width)
        self.int = I32 if width == 1 else ir.VectorType(I32, width)

    def const(self, x: float) -> IRValue:
        """Float32 constant nearest to `value`."""
        return ir.Constant(self.float, x if self.width == 1 else [x] * self.width)

    def iconst(self, i: int) -> IRValue:
        """Int32 constant."""
        return ir.Constant(self.int, i if self.width == 1 else [i] * self.width)

    def add(self, a: IRValue, b: IRValue) -> IRValue:
        """`a + b`."""
        return self.builder.fadd(a, b)

    def sub(self, a: IRValue, b: IRValue) -> IRValue:
        """`a - b`."""
        return self.builder.fsub(a, b)

    def mul(self, a: IRValue, b: IRValue) -> IRValue:
        """`a * b`."""
        return self.builder.fmul(a, b)

    def div(self, a: IRValue, b: IRValue) -> IRValue:
        """`a / b`."""
        return self.builder.fdiv(a, b)

    def fma(self, a: IRValue, b: IRValue, c: IRValue) -> IRValue:
        """`a * b + c`, rounded once."""
        return self._intrinsic("fma", a, b, c)

    def sqrt(self, a: IRValue) -> IRValue:
        """Square root; NaN below zero."""
        return self._intrinsic("sqrt", a)

    def rint(self, a: IRValue) -> IRValue:
        """Nearest integer, ties to even."""
        return self._intrinsic("rint", a)

    def trunc(self, a: IRValue) -> IRValue:
        """Integer part, rounded towards zero."""
        return self._intrinsic("trunc", a)

    def neg(self, a: IRValue) -> IRValue:
        """Flip the sign bit."""
        return self.builder.fneg(a)

    def abs(self, a: IRValue) -> IRValue:
        """Clear the sign bit."""
        return self._intrinsic("fabs", a)

    def lt(self, a: IRValue, b: IRValue) -> IRValue:
        """`a < b`."""
        return self.builder.fcmp_ordered("<", a, b)

    def le(self, a: IRValue, b: IRValue) -> IRValue:
        """`a <= b`."""
        return self.builder.fcmp_ordered("<=", a, b)

    def gt(self, a: IRValue, b: IRValue) -> IRValue:
        """`a > b`."""
        return self.builder.fcmp_ordered(">", a, b)

    def ge(self, a: IRValue, b: IRValue) -> IRValue:
        """`a >= b`."""
        return self.builder.fcmp_ordered(">=", a, b)

    def eq(self, a: IRValue, b: IRValue) -> IRValue:
        """`a == b`."""
        return self.builder.fcmp_ordered("==", a, b)

    def isnan(self, a: IRValue) -> IRValue:
        """True where `a` is NaN."""
        return self.builder.fcmp_unordered("uno", a, a)

    def select(self, mask: IRValue, a: IRValue, b: IRValue) -> IRValue:
        """`a` where the mask is true, else `b`."""
        return self.builder.select(mask, a, b)

    def to_int(self, a: IRValue) -> IRValue:
        """Truncate to int32; the value is in range."""
        return self.builder.fptosi(a, self.int)

    def to_float(self, i: IRValue) -> IRValue:
        """Nearest float32."""
        return self.builder.sitofp(i, self.float)

    def bits(self, a: IRValue) -> IRValue:
        """The 32 bits of `a` as an integer."""
        return self.builder.bitcast(a, self.int)

    def from_bits(self, i: IRValue) -> IRValue:
        """The float32 with these 32 bits."""
        return self.builder.bitcast(i, self.float)

    def iadd(self, i: IRValue, j: IRValue) -> IRValue:
        """`i + j`."""
        return self.builder.add(i, j)

    def isub(self, i: IRValue, j: IRValue) -> IRValue:
        """`i - j`."""
        return self.builder.sub(i, j)

    def iand(self, i: IRValue, j: IRValue) -> IRValue:
        """Bitwise and."""
        return self.builder.and_(i, j)

    def ior(self, i: IRValue, j: IRValue) -> IRValue:
        """Bitwise or."""
        return self.builder.or_(i, j)

    def shl(self, i: IRValue, n: int) -> IRValue:
        """Shift left by `n` bits, 0 to 31."""
        return self.builder.shl(i, self.iconst(n))

    def shr(self, i: IRValue, n: int) -> IRValue:
        """Arithmetic shift right by `n` bits, 0 to 31."""
        return self.builder.ashr(i, self.iconst(n))

    def splat(self, scalar: IRValue) -> IRValue:
        """The scalar, a float or an int32, in every lane."""
        if self.width == 1:
            return scalar
        undefined = ir.Constant(self.float if scalar.type == FLOAT else self.int, ir.Undefined)
        single = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(
            single, undefined, ir.Constant(self.int, [0] * self.width)
        )

    def _intrinsic(self, name: str, *arguments: IRValue) -> IRValue:
        suffix = "f32" if self.width == 1 else f"v{self.width}f32"
        kind = ir.FunctionType(self.float, [self.float] * len(arguments))
        return self.builder.call(
            declare(self.builder.module, kind, f"llvm.{name}.{suffix}"), arguments
        )


def declare(module: Any, kind: Any, name: str) -> Any:
    """The function of that name in the module, declared on first use."""
    known = module.globals.get(name)
    return ir.Function(module, kind, name) if known is None else known


def shared(
    module: Any,
    name: str,
    kinds: Sequence[Any],
    write: Callable[[Builder, Sequence[IRValue]], None],
    *,
    apart: bool,
) -> Any:
    """The module's own function of that name, which ``write(builder, arguments)`` makes once.

    ``apart``: LLVM copies it into none of its callers.
    """
    function = declare(module, ir.FunctionType(ir.VoidType(), kinds), name)
    if function.is_declaration:
        function.linkage = "internal"
        if apart:
            function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        write(builder, function.args)
        builder.ret_void()
    return function


def name_of(kind: str, *form: object) -> str:
    """A function's name from all that its code depends on."""
    return f"instjit_{kind}_{hashlib.sha256(repr(form).encode()).hexdigest()[:16]}"


def load(builder: Builder, pointer: IRValue, width: int, align: int = 4) -> IRValue:
    """A vector of ``width`` floats at a float pointer."""
    return builder.load(builder.bitcast(pointer, vector_type(width).as_pointer()), align=align)


def store(builder: Builder, value: IRValue, pointer: IRValue, align: int = 4) -> None:
    """Store a vector at a float pointer."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=align)


def gather(builder: Builder, base: IRValue, places: IRValue) -> IRValue:
    """Elements of an array at unsigned int32 places, one or a vector of them.

    Load by load: the gather instructions of AVX2 and AVX-512 are no faster on most CPUs.
    """
    if not isinstance(places.type, ir.VectorType):
        return builder.load(builder.gep(base, [builder.zext(places, I64)]), align=4)
    element = base.type.pointee
    found = ir.Constant(ir.VectorType(element, places.type.count), ir.Undefined)
    for lane in range(places.type.count):
        at = ir.Constant(I32, lane)
        place = builder.zext(builder.extract_element(places, at), I64)
        value = builder.load(builder.gep(base, [place]), align=4)
        found = builder.insert_element(found, value, at)
    return found


def prefetch(builder: Builder, pointer: IRValue, *, writing: int) -> None:
    """Bring the line at a pointer into the first-level cache, for writing (1) or reading (0)."""
    anywhere, flag = ir.IntType(8).as_pointer(), I32
    kind = ir.FunctionType(ir.VoidType(), [anywhere, flag, flag, flag])
    near, data = ir.Constant(flag, 3), ir.Constant(flag, 1)
    function = declare(builder.module, kind, "llvm.prefetch.p0")
    place, written = builder.bitcast(pointer, anywhere), ir.Constant(flag, writing)
    builder.call(function, [place, written, near, data])


def powers(count: int) -> list[tuple[int, int]]:
    """``count`` as falling powers of two, each with its start: 11 -> (0, 8), (8, 2), (10, 1)."""
    parts, start = [], 0
    for bit in reversed(range(count.bit_length())):
        if count >> bit & 1:
            parts.append((start, 1 << bit))
            start += 1 << bit
    return parts


def load_part(builder: Builder, pointer: IRValue, count: int, width: int) -> IRValue:
    """The first ``count`` floats at the pointer in a vector of ``width`` lanes, then zeros.

    Reads nothing past them: whole pieces of a power of two, joined by shuffles, no masked loads, so
    that every target makes good code of it.
    """
    if count == width:
        return load(builder, pointer, width)
    joined = ir.Constant(vector_type(width), [0.0] * width)
    lanes = ir.VectorType(I32, width)
    for start, size in powers(count):
        piece = load(builder, builder.gep(pointer, [i64(start)]), size)
        if size == 1:
            joined = builder.insert_element(joined, piece, ir.Constant(I32, start))
            continue
        wide = _widen(builder, piece, size, width)
        order = [
            width + lane - start if start <= lane < start + size else lane for lane in range(width)
        ]
        joined = builder.shuffle_vector(joined, wide, ir.Constant(lanes, order))
    return joined


def store_part(builder: Builder, value: IRValue, pointer: IRValue, count: int, width: int) -> None:
    """Store the first ``count`` lanes of a vector of ``width`` and nothing else."""
    if count == width:
        store(builder, value, pointer)
        return
    for start, size in powers(count):
        if size == 1:
            piece = builder.extract_element(value, ir.Constant(I32, start))
        else:
            order = ir.Constant(ir.VectorType(I32, size), list(range(start, start + size)))
            piece = builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), order)
        store(builder, piece, builder.gep(pointer, [i64(start)]))


def _widen(builder: Builder, piece: IRValue, size: int, width: int) -> IRValue:
    order = [lane if lane < size else 0 for lane in range(width)]
    undefined = ir.Constant(piece.type, ir.Undefined)
    return builder.shuffle_vector(piece, undefined, ir.Constant(ir.VectorType(I32, width), order))


def transpose(builder: Builder, rows: Sequence[IRValue]) -> list[IRValue]:
    """Transpose ``n`` vectors of ``n`` lanes, n a power of two.

    A butterfly: pass ``step`` swaps bit ``step`` of the row number with that of the lane number.
    The widest step comes first, so that for few columns most shuffles are dead after the first
    passes.
    """
    count = len(rows)
    current = list(rows)
    lanes = ir.VectorType(I32, count)
    step = count // 2
    while step:
        following = list(current)
        low = [lane if not lane & step else count + (lane ^ step) for lane in range(count)]
        high = [lane | step if not lane & step else count + lane for lane in range(count)]
        for i in range(count):
            if not i & step:
                a, b = current[i], current[i | step]
                following[i] = builder.shuffle_vector(a, b, ir.Constant(lanes, low))
                following[i | step] = builder.shuffle_vector(a, b, ir.Constant(lanes, high))
        current = following
        step //= 2
    return current


def loop(
    builder: Builder,
    count: IRValue,
    body: Callable[[IRValue, list[IRValue]], Sequence[IRValue]],
    state: Sequence[IRValue] = (),
) -> list[IRValue]:
    """Run ``body(i, state) -> state`` for i = 0 .. count - 1, count > 0; gives the last state."""
    before = builder.block
    block = builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(block)
    builder.position_at_end(block)
    index = builder.phi(I64)
    index.add_incoming(i64(0), before)
    carried = []
    for value in state:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        carried.append(phi)
    after = list(body(index, carried))
    following = builder.add(index, i64(1), flags=("nuw", "nsw"))
    index.add_incoming(following, builder.block)
    for phi, value in zip(carried, after, strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_unsigned("<", following, count), block, done)
    builder.position_at_end(done)
    return after


def smaller(builder: Builder, a: IRValue, b: IRValue) -> IRValue:
    """The smaller of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def larger(builder: Builder, a: IRValue, b: IRValue) -> IRValue:
    """The larger of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), b, a)
