"""The bench's own CUDA kernels. Import it late: it brings ``numba.cuda``, real or simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int64, uint64

from examples.simulation import cartpole
from instjit import gpu

CHAINS, UNROLLED = 8, 16  # of fma, for each turn of ``chained``

step, upright = (cuda.jit(device=True)(each) for each in cartpole.physics(np.float32))


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


@cuda.jit
def filled(target: Any, value: Any) -> None:
    """One number everywhere."""
    for place in range(uint64(cuda.grid(1)), uint64(len(target)), uint64(cuda.gridsize(1))):
        target[place] = value


@cuda.jit
def count_nan(source: Any, found: Any) -> None:
    """Add to ``found[0]`` the elements that are no numbers."""
    mine = int64(0)
    for place in range(uint64(cuda.grid(1)), uint64(len(source)), uint64(cuda.gridsize(1))):
        if source[place] != source[place]:
            mine += int64(1)
    if mine:
        cuda.atomic.add(found, 0, mine)


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


def kernel_of_offsets(slots: int) -> Any:
    """The same over rows, each with the first word of its own model."""

    @cuda.jit
    def launched(words: Any, offsets: Any, x: Any, y: Any) -> None:
        row = cuda.grid(1)
        if row < x.shape[0]:
            at = offsets[row]
            buffer = cuda.local.array(slots, float32)
            for column in range(x.shape[1]):
                buffer[column] = x[row, column]
            gpu.predict(words, at, buffer)
            start = gpu.get_output_start(words, at)
            for column in range(y.shape[1]):
                y[row, column] = buffer[start + column]

    return launched


@cuda.jit(device=True)
def advance(state: Any, push: Any) -> bool:
    """A step of ``examples/simulation/cartpole.py``; whether the pole is still up."""
    state[0], state[1], state[2], state[3] = step(state[0], state[1], state[2], state[3], push)
    up: bool = upright(state[0], state[2])
    return up


def episodes_of_function(function: Any) -> Any:
    """Steps that each episode survives, steered by a device function."""

    @cuda.jit
    def episodes(starts: Any, steps: Any, longest: Any) -> None:
        episode = cuda.grid(1)
        if episode < len(starts):
            state, push = cuda.local.array(4, float32), cuda.local.array(1, float32)
            for k in range(4):
                state[k] = starts[episode, k]
            survived = 0
            for _ in range(longest):
                function(state, push)
                if not advance(state, push[0]):
                    break
                survived += 1
            steps[episode] = survived

    return episodes


def episodes_of_words(slots: int) -> Any:
    """The same, steered by ``gpu.predict``, each episode by the model at its own first word."""

    @cuda.jit
    def episodes(words: Any, offsets: Any, starts: Any, steps: Any, longest: Any) -> None:
        episode = cuda.grid(1)
        if episode < len(starts):
            at = offsets[episode]
            output = gpu.get_output_start(words, at)
            state, buffer = cuda.local.array(4, float32), cuda.local.array(slots, float32)
            for k in range(4):
                state[k] = starts[episode, k]
            survived = 0
            for _ in range(longest):
                for k in range(4):
                    buffer[k] = state[k]
                gpu.predict(words, at, buffer)
                if not advance(state, buffer[output]):
                    break
                survived += 1
            steps[episode] = survived

    return episodes
