"""Problems in the order they are found, as many as are of use to anyone."""

from __future__ import annotations

from collections.abc import Iterable

from instjit.errors import FormatError, Problem

MOST_PROBLEMS = 1000
"""Problems that are kept: a list of ten million nulls is one fault, not ten million."""

MOST_COUNTED = 100_000
"""Problems after which nothing looks for more."""


class Collected:
    """Keeps the first problems and counts the others.

    Attributes
    ----------
    count
        Problems so far, the kept ones included.
    """

    __slots__ = ("_kept", "count")

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._kept: list[Problem] = []
        self.count = 0
        self.extend(problems)

    def add(self, problem: Problem) -> None:
        """Keep or count one problem."""
        self.count += 1
        if len(self._kept) < MOST_PROBLEMS:
            self._kept.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Keep or count several; what comes after ``MOST_COUNTED`` is not even asked for."""
        if self.count >= MOST_COUNTED:
            return
        for problem in problems:
            self.add(problem)
            if self.count >= MOST_COUNTED:
                return

    def problems(self, name: str = "problems") -> tuple[Problem, ...]:
        """Those kept; where there are others, a last one (TooManyProblems) says how many."""
        more = self.count - len(self._kept)
        if not more:
            return tuple(self._kept)
        at_least = "at least " if self.count >= MOST_COUNTED else ""
        message = f"there are {at_least}{more} more {name}"
        return (*self._kept, Problem("TooManyProblems", message, fields={"more": more}))


def refuse(*several: Iterable[Problem]) -> None:
    """Raise FormatError with the problems of all iterables in order, if there is one."""
    found = Collected()
    for problems in several:
        found.extend(problems)
    if found.count:
        raise FormatError(found.problems())
