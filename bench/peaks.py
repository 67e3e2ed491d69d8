"""What this machine can do at most: multiply-adds in registers, and bytes copied."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

ACCUMULATORS = 12  # two fma units of a latency of 4 need 8, and 16 registers must hold them all
STEPS = 20_000_000  # of every accumulator: some 60 ms
COPIED = 2**28  # bytes of all threads
TRIALS = 5


@dataclass(frozen=True)
class Peaks:
    """FLOP a second, and bytes read and written a second, both of all threads."""

    fma: float
    copy: float


def measured(threads: int, steps: int = STEPS, copied: int = COPIED) -> Peaks:
    """Measure both, the best of a few trials."""
    width = vector_width()
    multiply_adds = multiply_adds_loop(width)
    multiply_adds(1)
    with ThreadPoolExecutor(threads) as pool:
        seconds = _least(pool, threads, lambda: multiply_adds(steps))
        fma = 2 * width * ACCUMULATORS * steps * threads / seconds
        part = copied // threads // 4
        arrays = [(np.ones(part, np.float32), np.ones(part, np.float32)) for _ in range(threads)]
        pairs = iter(arrays * TRIALS)
        seconds = _least(pool, threads, lambda: np.copyto(*next(pairs)))
    return Peaks(fma, 8 * part * threads / seconds)


def _least(pool: ThreadPoolExecutor, threads: int, call: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(TRIALS):
        began = time.perf_counter()
        for future in [pool.submit(call) for _ in range(threads)]:
            future.result()
        least = min(least, time.perf_counter() - began)
    return least


def vector_width() -> int:
    """Floats of a vector of the blocking that instjit chooses for this CPU."""
    from instjit.kernels.target import choose

    return choose(None).width


def multiply_adds_loop(width: int) -> Any:
    """``f(steps)``: so many fma of every accumulator, each of which waits for none of the others.

    It runs without the interpreter's lock.
    """
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.core.cgutils import get_or_insert_function
    from numba.extending import intrinsic

    vector = ir.VectorType(ir.FloatType(), width)

    def same(number: float) -> Any:
        return ir.Constant(vector, [number] * width)

    def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (steps,) = arguments
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = get_or_insert_function(builder.module, kind, f"llvm.fma.v{width}f32")
        count = ir.IntType(64)
        before, loop = builder.block, builder.append_basic_block("loop")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        index = builder.phi(count)
        sums = [builder.phi(vector) for _ in range(ACCUMULATORS)]
        results = [builder.call(fma, [total, same(0.5), same(1.0)]) for total in sums]
        following = builder.add(index, ir.Constant(count, 1))
        index.add_incoming(ir.Constant(count, 0), before)
        index.add_incoming(following, loop)
        for number, (total, result) in enumerate(zip(sums, results, strict=True)):
            total.add_incoming(same(-float(number)), before)  # 2.0 would stay itself
            total.add_incoming(result, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
        builder.position_at_end(after)
        whole = results[0]
        for result in results[1:]:
            whole = builder.fadd(whole, result)
        return builder.extract_element(whole, ir.Constant(ir.IntType(32), 0))

    @intrinsic  # type: ignore[untyped-decorator]
    def chains(typing: Any, steps: Any) -> Any:
        return types.float32(types.int64), generated

    @numba.njit("float32(int64)", nogil=True)  # type: ignore[untyped-decorator]
    def loop(steps: Any) -> Any:
        return chains(steps)

    return loop
