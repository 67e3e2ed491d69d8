"""Runs any kernel's ``tiles`` over a batch, or its ``row``: one set of functions in a process.

They take the machine code by its address, so a new kernel compiles only its own steps, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from instjit import threads
from instjit.kernels.native import aligned, release
from instjit.kernels.packing import LINE_FLOATS
from instjit.kernels.simd import I64, Builder, IRValue

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

DRIVER = types.void(
    types.uint64,
    ROWS_READ,
    ROWS,
    types.boolean,
    types.int64,
    types.int64,
    types.uint64,
    types.uint64,
    types.int64,
    types.int64,
    types.int64,
    types.int64,
    types.Array(types.int64, 1, "C"),
)


LINE = types.Array(types.float32, 1, "C")
LINE_READ = types.Array(types.float32, 1, "C", readonly=True)
ROW = types.boolean(LINE_READ, LINE, types.uint64, types.uint64)
"""x, y, k, n: the one signature that ``row`` is compiled for."""


@cache
def serial() -> Callable[..., None]:
    """``run`` on the calling thread."""
    return _compiled(parallel=False)


@cache
def parallel() -> Callable[..., None]:
    """``run`` on Numba's threads, as many as ``numba.set_num_threads`` allows."""
    threads.launch()  # compiling would start the pool too, but with spinning threads
    return _compiled(parallel=True)


@cache
def single() -> Callable[..., bool]:
    """``f(row, x, y, k, n)`` for 1-D arrays, ``x`` read-only or not, without a conversion."""
    signatures = [
        types.boolean(types.uint64, x, LINE, types.uint64, types.uint64) for x in (LINE, LINE_READ)
    ]
    function: Callable[..., bool] = numba.njit(signatures, error_model="numpy")(_single)
    return function


def _single(row: int, x: Any, y: Any, k: int, n: int) -> bool:
    done: bool = call_row(row, x, y, k, n)
    return done


def address_of(function: Any) -> int:
    """Where the machine code of a Numba function with one signature begins."""
    compiled = next(iter(function.overloads.values()))
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def run(
    tiles: int, x: Any, y: Any, shared: bool, start: int, stop: int, k: int, n: int,
    floats: int, total: int, workers: int, grain: int, claims: Any,
) -> None:  # fmt: skip
    """Run tiles 0 .. total; each worker claims ``grain`` of them at a time.

    So a thread that loses its core holds up little. ``floats`` is the scratch of one tile;
    ``claims`` an int64 array of one zero.
    """
    for _ in numba.prange(workers):
        buffer = np.empty(floats + LINE_FLOATS, np.float32)
        s = aligned(buffer)
        first = claim(claims, grain)
        while first < total:
            last = first + grain
            if last > total:
                last = total
            call_tiles(tiles, x, y, first, last, shared, start, stop, k, n, s)
            first = claim(claims, grain)
        release(buffer)


@intrinsic
def call_tiles(
    typing: Any, tiles: Any, x: Any, y: Any, first: Any, last: Any, shared: Any, start: Any,
    stop: Any, k: Any, n: Any, s: Any,
) -> Any:  # fmt: skip
    """Call the machine code at ``tiles`` with the other arguments."""
    return types.void(types.uint64, *TILES.args), _by_address(TILES)


@intrinsic
def call_row(typing: Any, row: Any, x: Any, y: Any, k: Any, n: Any) -> Any:
    """Call the machine code at ``row``; read-only arrays and others are the same structure."""
    return types.boolean(types.uint64, x, y, types.uint64, types.uint64), _by_address(ROW)


def _by_address(called: Any) -> Callable[..., IRValue]:
    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        kind = context.call_conv.get_function_type(called.return_type, called.args)
        function = builder.inttoptr(args[0], kind.as_pointer())
        _, result = context.call_conv.call_function(
            builder, function, called.return_type, called.args, args[1:]
        )
        return context.get_dummy_value() if called.return_type == types.void else result

    return codegen


@intrinsic
def claim(typing: Any, claims: Any, grain: Any) -> Any:
    """Take the next ``grain`` tiles: adds to ``claims[0]`` atomically, gives its value before."""

    def codegen(context: Any, builder: Builder, signature: Any, args: Sequence[IRValue]) -> IRValue:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw(
            "add", builder.bitcast(data, ir.PointerType(I64)), args[1], "monotonic"
        )

    return types.int64(claims, types.int64), codegen


def _compiled(*, parallel: bool) -> Callable[..., None]:
    function: Callable[..., None] = numba.njit(
        [DRIVER], error_model="numpy", nogil=True, parallel=parallel
    )(run)
    return function
