"""Program -> Program: pure, in one tuple. Any choice of passes gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from instjit.passes.copies import forward_copies
from instjit.passes.dead import drop_dead
from instjit.passes.fuse import fuse
from instjit.passes.reuse import reuse_regions
from instjit.program import Program

Pass: TypeAlias = Callable[[Program], Program]

PASSES: tuple[Pass, ...] = (drop_dead, forward_copies, fuse, drop_dead, reuse_regions)


def apply(program: Program, passes: tuple[Pass, ...] = PASSES) -> Program:
    """Run the passes in order and lay the regions out."""
    for step in passes:
        program = step(program)
    return program.laid_out()


__all__ = ["PASSES", "Pass", "apply", "drop_dead", "forward_copies", "fuse", "reuse_regions"]
