"""Machine code that calls Numba's by address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.core.registry import cpu_target

from instjit.kernels.pycall import POINTER
from instjit.kernels.simd import FLOAT, Builder, IRValue, i64

ROWS = types.Array(types.float32, 2, "C")
ROWS_READ = types.Array(types.float32, 2, "C", readonly=True)
TILES = types.void(
    ROWS_READ,
    ROWS,
    types.int64,
    types.int64,
    types.boolean,
    types.int64,
    types.int64,
    types.uint64,
    types.uint64,
    types.uint64,
)
"""x, y, first, last, shared, start, stop, k, n, s: the one signature of ``tiles``."""

PHASES = types.void(
    ROWS_READ,
    ROWS,
    types.int64,
    types.int64,
    types.int64,
    types.int64,
    types.uint64,
    types.uint64,
    types.uint64,
)
"""x, y, phase, pairs, first, last, k, n, scratch: the one signature of ``phases``."""

LINE = types.Array(types.float32, 1, "C")
LINE_READ = types.Array(types.float32, 1, "C", readonly=True)
ROW = types.boolean(LINE_READ, LINE, types.uint64, types.uint64)
"""x, y, k, n: the one signature of ``row``."""

WIDE_ROW = types.boolean(LINE_READ, LINE, types.uint64, types.uint64, types.uint64)
"""x, y, k, n, pool: the one signature of ``wide_row``."""


def array_at(builder: Builder, kind: Any, data: IRValue, sizes: Sequence[IRValue]) -> IRValue:
    """Numba's view of a C-contiguous array; nothing that is called here counts references."""
    context = cpu_target.target_context
    array = context.make_array(kind)(context, builder)
    bytes_each = i64(4)
    strides = [bytes_each]
    for size in reversed(sizes[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    items = sizes[0]
    for size in sizes[1:]:
        items = builder.mul(items, size)
    array.meminfo = POINTER(None)
    array.parent = POINTER(None)
    array.nitems = items
    array.itemsize = bytes_each
    array.data = builder.inttoptr(data, FLOAT.as_pointer())
    array.shape = context.make_tuple(builder, types.UniTuple(types.intp, len(sizes)), sizes)
    array.strides = context.make_tuple(builder, types.UniTuple(types.intp, len(sizes)), strides)
    return array._getvalue()


def call(builder: Builder, signature: Any, address: IRValue, arguments: Sequence[IRValue]) -> None:
    """Call Numba's machine code at an address; its steps raise nothing."""
    convention = cpu_target.target_context.call_conv
    kind = convention.get_function_type(signature.return_type, signature.args)
    function = builder.inttoptr(address, kind.as_pointer())
    convention.call_function(builder, function, signature.return_type, signature.args, arguments)


def call_row(
    builder: Builder, code: tuple[IRValue, IRValue], arrays: Sequence[IRValue], *k_and_n: IRValue
) -> None:
    """Work out a row on this thread with ``row`` or, where that is 0, ``wide_row``."""
    row, wide_row = code
    with builder.if_else(builder.icmp_unsigned("!=", row, i64(0))) as (plain, wide):
        with plain:
            call(builder, ROW, row, [*arrays, *k_and_n])
        with wide:
            call(builder, WIDE_ROW, wide_row, [*arrays, *k_and_n, i64(0)])
