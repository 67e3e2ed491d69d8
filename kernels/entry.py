"""Machine code that calls kernels: from Python without a conversion, and on each worker of a batch.

Three functions, compiled once in a process; what differs from kernel to kernel comes as an array of
int64 fields (``FORM``, ``BATCH``), numbers and addresses:

* ``row(form, [x, out])`` and ``rows(form, [X, out])`` are Python callables (``pyobjects.method``):
  arrays that can be used as they are go through the kernel, with the interpreter's lock held, and
  the answer is the output. The answer is None for anything else: other types, shapes or orders,
  overlapping memory, more rows than ``most``. The caller then takes the long road, with its
  conversions and its errors.
* ``work(args, counts, steps, batch)`` claims tiles of a batch until none is left. Its signature is
  that of a loop body of Numba's thread pools (``numba_parallel_for``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from instjit.kernels.pycall import POINTER, READ, Fields, Road, Stretch, bytes_of
from instjit.kernels.simd import FLOAT, I64, Builder, IRValue, i64, loop

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

FORM = ("tiles", "row", "k", "n", "scratch", "lanes", "width_in", "width_out", "few", "most")
"""Of a kernel. ``scratch``: address of a tile's. ``few``: up to so many rows
that no whole tile takes go one by one."""

BATCH = (
    "tiles", "x", "y", "rows", "width_in", "width_out", "shared", "start", "stop", "k", "n",
    "scratch", "scratch_bytes", "total", "grain", "claimed", "workers",
)  # fmt: skip
"""Of a batch. ``claimed`` tiles and ``workers`` that have begun start at what is done, and 0."""


@cache
def addresses() -> dict[str, int]:
    """Where "row", "rows" and "work" begin; compiled on the first call."""
    with global_compiler_lock:
        return _compiled()


def _compiled() -> dict[str, int]:
    library = cpu_target.target_context.codegen().create_library("instjit_entry")
    module = library.create_ir_module("instjit_entry")
    names = {"row": _write_row, "rows": _write_rows, "work": _write_work}
    for name, write in names.items():
        write(module, f"instjit_{name}")
    library.add_ir_module(module)
    library.finalize()
    _libraries.append(library)  # the machine code lives as long as it
    return {name: int(library.get_pointer_to_function(f"instjit_{name}")) for name in names}


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
        _rows(builder, ROWS_READ, x, rows, form.width_in),
        _rows(builder, ROWS, y, rows, form.width_out),
    ]
    rest = [i64(0), form.width_out, form.k, form.n, form.scratch]
    whole = ir.Constant(ir.IntType(1), 0)
    _call(builder, TILES, form.tiles, [*arrays, i64(0), total, whole, *rest])


def _write_work(module: ir.Module, name: str) -> None:
    kind = ir.FunctionType(
        ir.VoidType(), [POINTER.as_pointer(), I64.as_pointer(), I64.as_pointer(), POINTER]
    )
    function = ir.Function(module, kind, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _, counts, _, held = function.args
    batch = Fields(builder, held, BATCH)

    def body(_: IRValue, state: list[IRValue]) -> list[IRValue]:
        worker = builder.atomic_rmw("add", batch.at("workers"), i64(1), "monotonic")
        scratch = builder.add(batch.scratch, builder.mul(worker, batch.scratch_bytes))
        _claim_all(builder, batch, scratch)
        return state

    loop(builder, builder.load(counts), body)
    builder.ret_void()


def _claim_all(builder: Builder, batch: Fields, scratch: IRValue) -> None:
    """Take ``grain`` tiles at a time until there are none; see ``driver``."""
    x = _rows(builder, ROWS_READ, batch.x, batch.rows, batch.width_in)
    y = _rows(builder, ROWS, batch.y, batch.rows, batch.width_out)
    shared = builder.trunc(batch.shared, ir.IntType(1))
    rest = [shared, batch.start, batch.stop, batch.k, batch.n, scratch]
    total, grain = batch.total, batch.grain
    with _forever(builder) as leave:
        first = builder.atomic_rmw("add", batch.at("claimed"), grain, "monotonic")
        leave(builder.icmp_signed(">=", first, total))
        end = builder.add(first, grain)
        last = builder.select(builder.icmp_signed(">", end, total), total, end)
        _call(builder, TILES, batch.tiles, [x, y, first, last, *rest])


@contextmanager
def _forever(builder: Builder) -> Iterator[Callable[[IRValue], None]]:
    again, done = builder.append_basic_block("again"), builder.append_basic_block("done")
    builder.branch(again)
    builder.position_at_end(again)

    def leave(condition: IRValue) -> None:
        following = builder.append_basic_block()
        builder.cbranch(condition, done, following)
        builder.position_at_end(following)

    yield leave
    builder.branch(again)
    builder.position_at_end(done)


def _call_row(builder: Builder, form: Fields, x: IRValue, y: IRValue) -> None:
    arrays = [
        _array(builder, LINE_READ, x, [form.width_in]),
        _array(builder, LINE, y, [form.width_out]),
    ]
    _call(builder, ROW, form.row, [*arrays, form.k, form.n])


def _rows(builder: Builder, kind: Any, data: IRValue, rows: IRValue, width: IRValue) -> IRValue:
    return _array(builder, kind, data, [rows, width])


def _array(builder: Builder, kind: Any, data: IRValue, sizes: Sequence[IRValue]) -> IRValue:
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


def _call(builder: Builder, signature: Any, address: IRValue, arguments: Sequence[IRValue]) -> None:
    """Call Numba's machine code at an address; its steps raise nothing."""
    convention = cpu_target.target_context.call_conv
    kind = convention.get_function_type(signature.return_type, signature.args)
    function = builder.inttoptr(address, kind.as_pointer())
    convention.call_function(builder, function, signature.return_type, signature.args, arguments)
