"""Python callables in machine code: arguments checked there, so that good ones convert nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from instjit.kernels import pyobjects
from instjit.kernels.objects import PREFIX
from instjit.kernels.simd import I32, I64, Builder, IRValue, i64

POINTER = ir.IntType(8).as_pointer()
READ = pyobjects.CONTIGUOUS | pyobjects.ALIGNED
WRITTEN = READ | pyobjects.WRITEABLE


class Fields:
    """Reads an array of int64 fields by their names."""

    def __init__(self, builder: Builder, pointer: IRValue, names: Sequence[str]) -> None:
        self._builder = builder
        self._pointer = builder.bitcast(pointer, I64.as_pointer())
        self._names = names

    def at(self, name: str) -> IRValue:
        """Where a field lies."""
        return self._builder.gep(self._pointer, [i64(self._names.index(name))])

    def __getattr__(self, name: str) -> IRValue:
        return self._builder.load(self.at(name))


class Array:
    """What machine code reads of a Python object that is an array."""

    def __init__(self, builder: Builder, pointer: IRValue) -> None:
        self._builder = builder
        self.pointer = pointer

    def read(self, offset: int, kind: Any = I64) -> IRValue:
        """The field at an offset."""
        place = self._builder.gep(self.pointer, [i64(offset)])
        return self._builder.load(self._builder.bitcast(place, kind.as_pointer()))

    def size(self, dimension: int) -> IRValue:
        """Elements along a dimension."""
        shape = self._builder.inttoptr(self.read(pyobjects.SHAPE), I64.as_pointer())
        return self._builder.load(self._builder.gep(shape, [i64(dimension)]))

    @property
    def data(self) -> IRValue:
        """Address of the first element."""
        return self.read(pyobjects.DATA)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Memory from an address on, so many bytes."""

    start: IRValue
    size: IRValue


class Road:
    """Builds a Python callable whose checks end in a block that answers None.

    It is called with an array of int64 fields, ``form``, and two arguments.
    """

    def __init__(self, module: ir.Module, name: str, fields: Sequence[str]) -> None:
        kind = ir.FunctionType(POINTER, [POINTER, POINTER.as_pointer(), I64])
        function = ir.Function(module, kind, name)
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._function = function
        self._answers: dict[str, Any] = {}
        held, self._arguments, _ = function.args
        form = Array(self.builder, held).data
        self.form = Fields(self.builder, self.builder.inttoptr(form, POINTER), fields)

    def argument(self, number: int) -> Array:
        """An argument of the call."""
        place = self.builder.gep(self._arguments, [i64(number)])
        return Array(self.builder, self.builder.load(place))

    def require(self, condition: IRValue, otherwise: str = "None") -> None:
        """Go on where the condition holds; answer an object that is known where it does not."""
        following = self.builder.append_basic_block()
        self.builder.cbranch(condition, following, self._answering(otherwise))
        self.builder.position_at_end(following)

    def _answering(self, name: str) -> Any:
        if name not in self._answers:
            self._answers[name] = self._function.append_basic_block("other")
            with self.builder.goto_block(self._answers[name]):
                self.builder.ret(self._counted(_pointer(self.builder, name)))
        return self._answers[name]

    def require_floats(self, array: Array, dimensions: int, flags: int) -> None:
        """Go on with a plain float32 array of so many dimensions that has the flags."""
        builder = self.builder
        self.require(self._same(array.read(pyobjects.TYPE), known(builder, "ndarray")))
        held = builder.and_(array.read(pyobjects.FLAGS, I32), ir.Constant(I32, flags))
        self.require(self._same(array.read(pyobjects.DESCR), known(builder, "float32")))
        found = array.read(pyobjects.DIMENSIONS, I32)
        self.require(self._same(found, ir.Constant(I32, dimensions)))
        self.require(self._same(held, ir.Constant(I32, flags)))

    def require_size(self, array: Array, dimension: int, wanted: IRValue) -> None:
        """Go on where the array has so many elements along a dimension."""
        self.require(self._same(array.size(dimension), wanted))

    def output(
        self, given: Array, sizes: Sequence[IRValue], apart_from: Stretch | None = None
    ) -> Array:
        """The caller's output, or for None a new one; a reference that the answer hands over."""
        builder = self.builder
        missing = self._same(builder.ptrtoint(given.pointer, I64), known(builder, "None"))
        result = builder.alloca(POINTER)
        with builder.if_else(missing) as (then, otherwise):
            with then:
                made = self._new(sizes)
                builder.store(made, result)
                failed = builder.append_basic_block("failed")
                going = builder.append_basic_block("made")
                builder.cbranch(builder.icmp_unsigned("==", made, POINTER(None)), failed, going)
                with builder.goto_block(failed):
                    builder.ret(POINTER(None))  # the exception is set
                builder.position_at_end(going)
            with otherwise:
                self.require_floats(given, len(sizes), WRITTEN)
                for dimension, size in enumerate(sizes):
                    self.require_size(given, dimension, size)
                if apart_from is not None:
                    self._require_apart(apart_from, Stretch(given.data, bytes_of(builder, sizes)))
                builder.store(self._counted(given.pointer), result)
        return Array(builder, builder.load(result))

    def require_or_drop(self, condition: IRValue, output: Array) -> None:
        """Go on where the condition holds; the output's reference goes where it does not."""
        following = self.builder.append_basic_block()
        dropped = self.builder.append_basic_block()
        self.builder.cbranch(condition, following, dropped)
        with self.builder.goto_block(dropped):
            kind = ir.FunctionType(ir.VoidType(), [POINTER])
            drop = known_function(self.builder, "Py_DecRef", kind)
            self.builder.call(drop, [output.pointer])
            self.builder.branch(self._answering("None"))
        self.builder.position_at_end(following)

    def answer(self, output: Array) -> None:
        """Return the output."""
        self.builder.ret(output.pointer)

    def _require_apart(self, a: Stretch, b: Stretch) -> None:
        builder = self.builder
        before = builder.icmp_unsigned("<=", builder.add(a.start, a.size), b.start)
        after = builder.icmp_unsigned("<=", builder.add(b.start, b.size), a.start)
        self.require(builder.or_(before, after))

    def _new(self, sizes: Sequence[IRValue]) -> IRValue:
        builder = self.builder
        shape = builder.alloca(I64, size=len(sizes))
        for dimension, size in enumerate(sizes):
            builder.store(size, builder.gep(shape, [i64(dimension)]))
        kinds = [POINTER, I32, I64.as_pointer(), I32, *[POINTER] * 2, I32, I32, POINTER]
        function = known_function(builder, "new_array", ir.FunctionType(POINTER, kinds))
        number, none, zero = ir.Constant(I32, pyobjects.FLOAT32), POINTER(None), ir.Constant(I32, 0)
        dimensions = ir.Constant(I32, len(sizes))
        kind = _pointer(builder, "ndarray")
        return builder.call(
            function, [kind, dimensions, shape, number, none, none, zero, zero, none]
        )

    def _counted(self, pointer: IRValue) -> IRValue:
        """The object, with one reference more."""
        kind = ir.FunctionType(ir.VoidType(), [POINTER])
        self.builder.call(known_function(self.builder, "Py_IncRef", kind), [pointer])
        return pointer

    def _same(self, a: IRValue, b: IRValue) -> IRValue:
        return self.builder.icmp_unsigned("==", a, b)


def bytes_of(builder: Builder, sizes: Sequence[IRValue]) -> IRValue:
    """Bytes of a float32 array of those sizes."""
    total = i64(4)
    for size in sizes:
        total = builder.mul(total, size)
    return total


def known(builder: Builder, name: str) -> IRValue:
    """The address that ``pyobjects.address`` has for a name when the code is loaded."""
    return builder.ptrtoint(_pointer(builder, name), I64)


def known_function(builder: Builder, name: str, kind: Any) -> IRValue:
    """The same as a function to call."""
    return builder.bitcast(_pointer(builder, name), kind.as_pointer())


def _pointer(builder: Builder, name: str) -> IRValue:
    symbols = builder.module.globals
    if PREFIX + name not in symbols:
        ir.GlobalVariable(builder.module, ir.IntType(8), PREFIX + name).linkage = "external"
    return symbols[PREFIX + name]
