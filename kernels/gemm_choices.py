"""Which products fetch the next tile meanwhile, and which ones threads share for one row."""

from __future__ import annotations

from instjit.kernels.packing import narrow
from instjit.kernels.target import Level
from instjit.program import Gemm, Program

FETCH_WORK = 64
"""Multiply-adds for each column from which Gemms fetch the next tile: 250-300-200 gains 5 %."""

WIDE_FLOATS = 1 << 16
"""Weights of a product from which threads share it for one row: 256 KiB, 3 us on one thread."""

WIDE_ROW_FLOATS = 10 * WIDE_FLOATS
"""Weights of all such products from which a row is worth it: 30 us on one thread."""


def wide_gemms(program: Program) -> frozenset[int]:
    """Numbers of the steps that threads share for one row; none where a row is not worth it."""
    floats = {
        number: step.target.count * step.source.count
        for number, step in enumerate(program.steps)
        if isinstance(step, Gemm) and not narrow(step.target.count, step.source.count)
    }
    wide = {number: size for number, size in floats.items() if size >= WIDE_FLOATS}
    return frozenset(wide) if sum(wide.values()) >= WIDE_ROW_FLOATS else frozenset()


def fetches(program: Program, level: Level) -> dict[int, tuple[int, int, int, int]]:
    """For each Gemm's step number what it fetches of the next tile (``GemmSpec.ahead``).

    Shares go by multiply-adds, so that the requests are spread over the time of a tile. A program
    with little work for its rows is left to the hardware's prefetcher.
    """
    work = {
        number: step.target.count * step.source.count
        for number, step in enumerate(program.steps)
        if isinstance(step, Gemm)
    }
    total = sum(work.values())
    if level.lanes == 1 or total < FETCH_WORK * (program.width_in + program.width_out):
        return {}
    found, x_at, y_at = {}, 0, 0
    for number, products in work.items():
        outputs = program.steps[number].target.count
        x_each, y_each = (
            -(-level.lanes * width * products // (total * outputs))
            for width in (program.width_in, program.width_out)
        )
        found[number] = (x_at, x_each, y_at, y_each)
        x_at += x_each * outputs
        y_at += y_each * outputs
    return found
