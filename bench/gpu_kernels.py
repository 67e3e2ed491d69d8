"""The bench's own CUDA kernels. Import it late: it brings ``numba.cuda``, real or simulated."""

from __future__ import annotations

from typing import Any

from numba import cuda, float32, uint64

from instjit import gpu

CHAINS, UNROLLED = 8, 16  # of fma, for each turn of ``chained``


@cuda.jit
def chained(out: Any, turns: Any, factor: Any, addend: Any) -> None:
    """Chains of fma that wait for nothing but themselves."""
    a = float32(cuda.threadIdx.x)
    b, c, d, e = a + addend, a - addend, a + factor, a - factor
    f, g, h = b + addend, c - addend, d + addend
    for _ in range(turns):
        for _ in range(UNROLLED):
            a = cuda.fma(a, factor, addend)
            b = cuda.fma(b, factor, addend)
            c = cuda.fma(c, factor, addend)
            d = cuda.fma(d, factor, addend)
            e = cuda.fma(e, factor, addend)
            f = cuda.fma(f, factor, addend)
            g = cuda.fma(g, factor, addend)
            h = cuda.fma(h, factor, addend)
    out[cuda.grid(1)] = a + b + c + d + e + f + g + h


@cuda.jit
def copied(source: Any, target: Any) -> None:
    """One array to another, neighbours by neighbours."""
    for place in range(uint64(cuda.grid(1)), uint64(len(source)), uint64(cuda.gridsize(1))):
        target[place] = source[place]


def kernel_of_rows(function: Any) -> Any:
    """A caller's kernel around a device function: a row in a thread."""

    @cuda.jit
    def launched(x: Any, y: Any, k: Any, n: Any) -> None:
        row = cuda.grid(1)
        if row < x.shape[0]:
            function(x[row], y[row], k, n)

    return launched


def kernel_of_words(slots: int) -> Any:
    """A caller's kernel around ``gpu.predict``: a model in a block, a row of it in a thread."""

    @cuda.jit
    def launched(words: Any, offsets: Any, x: Any, y: Any) -> None:
        number, row = cuda.blockIdx.x, cuda.threadIdx.x
        at = offsets[number]
        buffer = cuda.local.array(slots, float32)
        for column in range(gpu.get_feature_size(words, at)):
            buffer[column] = x[number, row, column]
        gpu.predict(words, at, buffer)
        start = gpu.get_output_start(words, at)
        for column in range(gpu.get_output_size(words, at)):
            y[number, row, column] = buffer[start + column]

    return launched
