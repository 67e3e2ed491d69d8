"""Program -> Program: pure, in one tuple. Any choice of passes gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..program import Program
from .copies import forward_copies
from .dead import drop_dead
from .fuse import fuse
from .reuse import reuse_regions

Pass: TypeAlias = Callable[[Program], Program]

PASSES: tuple[Pass, ...] = (drop_dead, forward_copies, fuse, drop_dead, reuse_regions)


def apply(program: Program, passes: tuple[Pass, ...] = PASSES) -> Program:
    """Run the passes in order and lay the regions out."""
    for step in passes:
        program = step(program)
    return program.laid_out()


__all__ = ["PASSES", "Pass", "apply", "drop_dead", "forward_copies", "fuse", "reuse_regions"]
