"""Machine code that calls kernels from Python without a conversion.

Two functions, compiled once in a process; what differs from kernel to kernel comes as an array of
int64 fields (``FORM``), numbers and addresses. ``row(form, [x, out])`` and ``rows(form, [X, out])``
are Python callables (``pyobjects.method``): arrays that can be used as they are go through the
kernel, with the interpreter's lock held, and the answer is the output. The answer is None for
anything else: other types, shapes or orders, overlapping memory, more rows than ``most``. The
caller then takes the long road, with its conversions and its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from instjit.kernels.pycall import POINTER, READ, Fields, Road, Stretch, bytes_of
from instjit.kernels.simd import FLOAT, Builder, IRValue, i64, loop

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

LINE = types.Array(types.float32, 1, "C")
LINE_READ = types.Array(types.float32, 1, "C", readonly=True)
ROW = types.boolean(LINE_READ, LINE, types.uint64, types.uint64)
"""x, y, k, n: the one signature of ``row``."""

Writer: TypeAlias = Callable[[ir.Module, str], None]

FORM = ("tiles", "row", "k", "n", "scratch", "lanes", "width_in", "width_out", "few", "most")
"""Of a kernel. ``scratch``: address of a tile's. ``few``: up to so many rows
that no whole tile takes go one by one."""


@cache
def addresses() -> dict[str, int]:
    """Where "row" and "rows" begin; compiled on the first call."""
    return compiled("instjit_entry", {"row": _write_row, "rows": _write_rows})


def compiled(library: str, writers: Mapping[str, Writer]) -> dict[str, int]:
    """Addresses of functions of one module, each written by ``writer(module, name)``."""
    with global_compiler_lock:
        made = cpu_target.target_context.codegen().create_library(library)
        module = made.create_ir_module(library)
        for name, write in writers.items():
            write(module, f"instjit_{name}")
        made.add_ir_module(module)
        made.finalize()
        _libraries.append(made)  # the machine code lives as long as it
        return {name: int(made.get_pointer_to_function(f"instjit_{name}")) for name in writers}


_libraries: list[Any] = []


def _write_row(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    form, x = road.form, road.argument(0)
    road.require_floats(x, 1, READ)
    road.require_size(x, 0, form.width_in)
    out = road.output(road.argument(1), [form.width_out])
    _call_row(road.builder, form, x.data, out.data)
    road.answer(out)


def _write_rows(module: ir.Module, name: str) -> None:
    road = Road(module, name, FORM)
    builder, form, x = road.builder, road.form, road.argument(0)
    road.require_floats(x, 2, READ)
    road.require_size(x, 1, form.width_in)
    rows = x.size(0)
    within = builder.icmp_unsigned("<", builder.sub(rows, i64(1)), form.most)  # 1 .. most
    road.require(within)
    taken = Stretch(x.data, bytes_of(builder, [rows, form.width_in]))
    out = road.output(road.argument(1), [rows, form.width_out], taken)
    _run_few(builder, form, rows, x.data, out.data)
    road.answer(out)


def _run_few(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    """Whole tiles, and what is left as one more tile or one by one, whichever is quicker."""
    rest = builder.urem(rows, form.lanes)
    short = builder.icmp_unsigned("<=", rest, form.few)
    tiled = builder.select(short, builder.sub(rows, rest), rows)
    with builder.if_then(builder.icmp_unsigned("!=", tiled, i64(0))):
        _all_tiles(builder, form, tiled, x, y)
    single = builder.sub(rows, tiled)
    with builder.if_then(builder.icmp_unsigned("!=", single, i64(0))):
        begin, end = (
            builder.add(base, bytes_of(builder, [tiled, width]))
            for base, width in ((x, form.width_in), (y, form.width_out))
        )
        _each_row(builder, form, single, begin, end)


def _each_row(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    def body(number: IRValue, state: list[IRValue]) -> list[IRValue]:
        at, to = (
            builder.add(base, builder.mul(builder.mul(number, width), i64(4)))
            for base, width in ((x, form.width_in), (y, form.width_out))
        )
        _call_row(builder, form, at, to)
        return state

    loop(builder, rows, body)


def _all_tiles(builder: Builder, form: Fields, rows: IRValue, x: IRValue, y: IRValue) -> None:
    up = builder.sub(builder.add(rows, form.lanes), i64(1))
    total = builder.udiv(up, form.lanes)
    arrays = [
        array_at(builder, ROWS_READ, x, [rows, form.width_in]),
        array_at(builder, ROWS, y, [rows, form.width_out]),
    ]
    rest = [i64(0), form.width_out, form.k, form.n, form.scratch]
    whole = ir.Constant(ir.IntType(1), 0)
    call(builder, TILES, form.tiles, [*arrays, i64(0), total, whole, *rest])


def _call_row(builder: Builder, form: Fields, x: IRValue, y: IRValue) -> None:
    arrays = [
        array_at(builder, LINE_READ, x, [form.width_in]),
        array_at(builder, LINE, y, [form.width_out]),
    ]
    call(builder, ROW, form.row, [*arrays, form.k, form.n])


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
