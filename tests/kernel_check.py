"""Every way of calling a compiled kernel against the reference, on random models.

Also a program: ``python kernel_check.py FIRST COUNT`` checks those seeds at the level that the
environment (``NUMBA_CPU_NAME``) leaves this CPU, and prints what disagrees as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import numba
import numpy as np
from plain_run import buffers_after, same_bits
from random_models import random_model

from instjit import launch, reference
from instjit.kernel import Kernel
from instjit.kernels.target import Level, detect
from instjit.passes import PASSES, Pass

WIDE_EVERY = 5
"""Slots and flat buffers of every fifth model, ``inline`` of every tenth: each compiles anew."""


def disagreements(seed: int, level: Level, passes: tuple[Pass, ...] = PASSES) -> list[str]:
    """Names of the calls whose bits are not the reference's."""
    model, rows = random_model(seed)
    rows = np.concatenate([rows, rows[::-1], rows])
    kernel = Kernel(model, level, None, passes)
    calls = [_batches(kernel, rows), _single_rows(kernel, rows)]
    if seed % WIDE_EVERY == 0:
        calls.append(_slots(kernel, rows, np.random.default_rng(seed)))
    if seed % (2 * WIDE_EVERY) == 0:
        calls.append(_inline(kernel, rows))
    return [name for call in calls for name, got, wanted in call if not same_bits(got, wanted)]


Call = Iterator[tuple[str, np.ndarray, np.ndarray]]


def _batches(kernel: Kernel, rows: np.ndarray) -> Call:
    wanted = reference.run(kernel.model, rows)
    for threads in (1, 2):
        yield f"predict, threads={threads}", kernel.predict(rows, threads=threads), wanted


def _single_rows(kernel: Kernel, rows: np.ndarray) -> Call:
    for number in (0, len(rows) // 2):
        wanted = reference.run(kernel.model, rows[number : number + 1])[0]
        yield "row", kernel.row(rows[number]), wanted


def _slots(kernel: Kernel, rows: np.ndarray, rng: np.random.Generator) -> Call:
    width = kernel.required_memory
    wanted = reference.run_buffers(kernel.model, rows)
    yield "slots", kernel.predict(rows, slots=(0, width)), wanted
    start, stop = sorted(int(slot) for slot in rng.choice(width + 1, 2, replace=False))
    yield "part of the slots", kernel.predict(rows, slots=(start, stop)), wanted[:, start:stop]

    flat = rng.normal(size=(len(rows), width)).astype(np.float32)
    flat[:, : kernel.input_size] = rows
    wanted = buffers_after(kernel.model, flat)
    for threads in (1, 2):
        yield "run_buffer", kernel.run_buffer(flat.copy(), threads=threads), wanted
    yield "run_buffer, one row", kernel.run_buffer(flat[0].copy()), wanted[0]


def _inline(kernel: Kernel, rows: np.ndarray) -> Call:
    out = np.full(kernel.output_size, np.nan, np.float32)
    kernel.inline(rows[0], out)
    yield "inline", out, reference.run(kernel.model, rows[:1])[0]


def main() -> None:
    """Check the seeds of the command line."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    launch.PARALLEL_SECONDS = 0.0
    found = {}
    for seed in range(first, first + count):
        wrong = disagreements(seed, detect(), () if seed % 3 == 0 else PASSES)
        if wrong:
            found[seed] = wrong
    cpu = numba.core.config.CPU_NAME
    print(json.dumps({"cpu": cpu, "level": detect().name, "seeds": count, "wrong": found}))


if __name__ == "__main__":
    main()
