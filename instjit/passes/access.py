"""Who writes and who reads what, for the passes; and rewriting the reads of a step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from instjit.program import Call, Expression, Gemm, Lookup, Program, Read, Step, View, step_reads


class Accesses:
    """Numbers of the steps that write and read each region, ascending."""

    def __init__(self, steps: Sequence[Step | None]) -> None:
        self.steps = steps
        self.writers: dict[int, list[int]] = defaultdict(list)
        self.readers: dict[int, list[int]] = defaultdict(list)
        for number, step in enumerate(steps):
            if step is not None:
                self.add(number, step)

    def add(self, number: int, step: Step) -> None:
        """Enter a step, which may come before others that are there."""
        self._insert(self.writers[step.target.region], number)
        for region in {view.region for view in step_reads(step)}:
            self._insert(self.readers[region], number)

    def remove(self, number: int, step: Step) -> None:
        """Take a step out."""
        self.writers[step.target.region].remove(number)
        for region in {view.region for view in step_reads(step)}:
            self.readers[region].remove(number)

    def written_between(self, views: Sequence[View], first: int, last: int) -> bool:
        """Whether a step after ``first`` and before ``last`` writes a slot of the views."""
        for view in views:
            numbers = self.writers[view.region]
            for number in numbers[bisect_right(numbers, first) : bisect_left(numbers, last)]:
                step = self.steps[number]
                if step is not None and step.target.overlaps(view):
                    return True
        return False

    @staticmethod
    def _insert(numbers: list[int], number: int) -> None:
        at = bisect_left(numbers, number)
        if at == len(numbers) or numbers[at] != number:
            numbers.insert(at, number)


def kept_regions(program: Program) -> set[int]:
    """Regions that the caller's rows fill or that hold a row of output."""
    return {column.view.region for column in (*program.loads, *program.stores)}


def with_value(step: Step, value: Expression) -> Step:
    """The step with another expression."""
    if isinstance(step, Gemm):
        return replace(step, epilogue=value)
    return step if isinstance(step, Lookup) else replace(step, value=value)


def substituted(value: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """The expression with every leaf replaced for which ``change`` gives another one."""
    if isinstance(value, Call):
        return Call(
            value.function, tuple(substituted(argument, change) for argument in value.arguments)
        )
    changed = change(value)
    return value if changed is None else changed


def size_of(value: Expression) -> int:
    """Nodes and leaves of an expression."""
    return (
        1 + sum(size_of(argument) for argument in value.arguments) if isinstance(value, Call) else 1
    )


def merged_origin(first: Step, second: Step) -> tuple[int, ...]:
    """The instructions two steps come from, ascending."""
    return tuple(sorted({*first.origin, *second.origin}))


def reads_of(value: Expression, region: int) -> list[Read]:
    """Every place in the expression that reads the region, repeats included."""
    if isinstance(value, Call):
        return [read for argument in value.arguments for read in reads_of(argument, region)]
    return [value] if isinstance(value, Read) and value.region == region else []
