"""What instjit raises.

    InstjitError
        FormatError     the bytes are not a model file of the format
        ModelError      the file is well formed, the model in it means nothing
        InputError      a call's arguments do not fit the kernel
        CompileError    the kernel cannot be built here

Every error carries ``problems``; ``kind`` and ``fields`` are those of the first. Besides, ``save``
warns with a LossWarning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: kind, sentence, the instruction it is in (None: the whole model), figures."""

    kind: str
    message: str
    instruction: int | None = None
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.message


class InstjitError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    problems
        One problem or several in the order of the checks; at least one.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        several = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems: tuple[Problem, ...] = several
        super().__init__(_sentence(several))

    def __reduce__(self) -> tuple[type[InstjitError], tuple[tuple[Problem, ...]]]:
        return type(self), (tuple(_picklable(problem) for problem in self.problems),)

    @property
    def kind(self) -> str:
        """Kind of the first problem."""
        return self.problems[0].kind

    @property
    def fields(self) -> Mapping[str, Any]:
        """Figures of the first problem."""
        return self.problems[0].fields


class FormatError(InstjitError, ValueError):
    """The bytes are no model file of the format, or are over a limit; or it cannot hold a model."""


class ModelError(InstjitError, ValueError):
    """The model breaks a rule: an index, a size, an unused part, a failed validation row."""


class InputError(InstjitError, ValueError):
    """The arguments of a call do not fit the kernel."""


class CompileError(InstjitError, RuntimeError):
    """The kernel cannot be generated or compiled on this machine."""


class LossWarning(UserWarning):
    """A file has no place for all that was saved to it."""


def _sentence(problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1:
        return problems[0].message
    lines = [f"{len(problems)} problems:"]
    lines += [f"  {problem.message}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"  and {len(problems) - SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def _picklable(problem: Problem) -> Problem:
    return Problem(problem.kind, problem.message, problem.instruction, dict(problem.fields))
