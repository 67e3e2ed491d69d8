"""The generated source of a model, without compiling it."""

from __future__ import annotations

import instjit
from instjit.kernels.target import LEVELS, choose
from instjit.model import Model
from instjit.passes import PASSES
from instjit.variant import Compiled


def source_text(model: Model, level: str | None) -> str:
    """The source for an instruction set.

    For None, that of this CPU, numba is imported to ask what it is.
    """
    blocking = choose(None) if level is None else LEVELS[level]
    return Compiled(model, instjit.cost(model), blocking, "output", PASSES).source.text
