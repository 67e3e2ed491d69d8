"""The MODEL argument -> a model, its problems named after the file."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from instjit.errors import InstjitError, Problem

if TYPE_CHECKING:
    from instjit.model import Model

OVER_A_LIMIT = {"LimitExceeded", "WeightSizeExceedsLimit", "ComputationBufferSizeExceedsLimit"}


def open_model(path: str, *, check: bool = True) -> Model:
    """Load a model, from standard input for "-".

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load``, every message with the file's name in front.
    """
    import instjit

    try:
        return instjit.load(sys.stdin.buffer if path == "-" else path, check=check)
    except InstjitError as error:
        name = "standard input" if path == "-" else path
        raise type(error)(_named(problem, name) for problem in error.problems) from error


def is_over_a_limit(error: InstjitError) -> bool:
    """Whether a file asks for more than it may."""
    return any(problem.kind in OVER_A_LIMIT for problem in error.problems)


def _named(problem: Problem, name: str) -> Problem:
    if problem.message.startswith(f"{name}:"):
        return problem
    return replace(problem, message=f"{name}: {problem.message}")
