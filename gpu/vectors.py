"""Several floats at a time for the generated text: loads, stores, copies that nobody waits for.

``load4`` and its like are one instruction of 16 bytes each, so their place is to be a multiple of
four floats in memory that starts at one. ``copy4`` is ``cp.async`` from global to shared memory:
the copy needs no register, and is done for its thread after ``await_copies``.
"""

from __future__ import annotations

from typing import Any

COPY = """{
.reg .u64 place, start;
cvta.to.shared.u64 place, $0;
cvta.to.global.u64 start, $1;
cp.async.cg.shared.global [place], [start], 16;
}"""
AWAIT = "cp.async.wait_all;"
MEMORY = "~{memory}"


def namespace() -> dict[str, Any]:
    """The primitives by name, for ``native.namespace``."""
    from instjit.gpu.inline_ptx import intrinsic

    made = intrinsic()
    return {
        **{f"load{count}": made(_load(count, 4 * count)) for count in (2, 4)},
        "store2": made(_store2()),
        "store4": made(_store4()),
        "copy4": made(_copy4()),
        "await_copies": made(_await_copies()),
    }


def anywhere() -> dict[str, Any]:
    """The loads for memory that starts at any float: one instruction for each float."""
    from instjit.gpu.inline_ptx import intrinsic

    return {f"load{count}": intrinsic()(_load(count, 4)) for count in (2, 4)}


def check_constants() -> Any:
    """``check(k, n)`` for a caller's kernel: Numba's error where they are of another type.

    The loads go by addresses: of an array with gaps they would read the gaps.
    """
    from numba import float32, int32, types, void
    from numba.core.errors import TypingError

    from instjit.gpu.inline_ptx import intrinsic

    def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        return context.get_dummy_value()

    def check(typing: Any, k: Any, n: Any) -> Any:
        for name, kind, dtype in (("k", k, float32), ("n", n, int32)):
            if kind == types.CPointer(dtype):
                continue
            right = isinstance(kind, types.Array) and kind.dtype == dtype
            if not right or kind.layout != "C" or kind.ndim != 1:
                wanted = f"{name} must be a C-contiguous {dtype} array of one dimension"
                raise TypingError(f"{wanted}, as device_constants() gives, got {kind}")
        return void(k, n), code

    return intrinsic()(check)


def _address(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Pointer to an element of an array of one dimension, or behind a pointer."""
    from numba import types

    base = array
    if isinstance(kind, types.Array):
        base = context.make_array(kind)(context, builder, array).data
    return builder.gep(base, [place])


def _load(count: int, align: int) -> Any:
    from llvmlite import ir
    from numba import float32, int64, types

    def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        address = _address(context, builder, signature.args[0], *operands)
        vector = ir.VectorType(ir.FloatType(), count)
        held = builder.load(builder.bitcast(address, vector.as_pointer()), align=align)
        parts = [builder.extract_element(held, ir.IntType(32)(e)) for e in range(count)]
        return context.make_tuple(builder, signature.return_type, parts)

    def load(typing: Any, array: Any, place: Any) -> Any:
        return types.UniTuple(float32, count)(array, int64), code

    return load


def _stored(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
    from llvmlite import ir

    array, place, *values = operands
    address = _address(context, builder, signature.args[0], array, place)
    vector = ir.VectorType(ir.FloatType(), len(values))
    held = ir.Constant(vector, ir.Undefined)
    for e, value in enumerate(values):
        held = builder.insert_element(held, value, ir.IntType(32)(e))
    builder.store(held, builder.bitcast(address, vector.as_pointer()), align=4 * len(values))
    return context.get_dummy_value()


def _store2() -> Any:
    from numba import float32, int64, void

    def store2(typing: Any, array: Any, place: Any, a: Any, b: Any) -> Any:
        return void(array, int64, float32, float32), _stored

    return store2


def _store4() -> Any:
    from numba import float32, int64, void

    def store4(typing: Any, array: Any, place: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return void(array, int64, *[float32] * 4), _stored

    return store4


def _copy4() -> Any:
    from llvmlite import ir
    from numba import int64, void

    def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        to, place, array, start = operands
        target = _address(context, builder, signature.args[0], to, place)
        source = _address(context, builder, signature.args[2], array, start)
        words = [builder.ptrtoint(address, ir.IntType(64)) for address in (target, source)]
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 2)
        builder.call(ir.InlineAsm(kind, COPY, f"l,l,{MEMORY}", side_effect=True), words)
        return context.get_dummy_value()

    def copy4(typing: Any, to: Any, place: Any, array: Any, start: Any) -> Any:
        return void(to, int64, array, int64), code

    return copy4


def _await_copies() -> Any:
    from llvmlite import ir
    from numba import void

    def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(ir.InlineAsm(kind, AWAIT, MEMORY, side_effect=True), [])
        return context.get_dummy_value()

    def await_copies(typing: Any) -> Any:
        return void(), code

    return await_copies
