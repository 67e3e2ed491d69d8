"""What the products of a tile fetch of the next one."""

from __future__ import annotations

from instjit.kernels.target import Level
from instjit.program import Gemm, Program

FETCH_WORK = 64
"""Multiply-adds for each column from which Gemms fetch the next tile: 250-300-200 gains 5 %."""


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
