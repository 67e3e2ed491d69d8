"""Rows of a block's tile: from the caller's array to its slots, and back.

Neighbouring lanes have neighbouring columns. A thread has several loads under way before it stores
what came of them: their latency is what this costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from instjit.gpu.block_form import BlockSteps
from instjit.gpu.thread_form import indented
from instjit.gpu.values import plus
from instjit.program import Column

Lines = Iterator[str]

UNDER_WAY = 8
"""Elements of a thread that are under way at a time."""


class Transfer:
    """Writes loads and stores of runs of columns."""

    def __init__(self, steps: BlockSteps) -> None:
        self.steps = steps
        self.tile = steps.tile
        self.program = steps.plain.program

    def taken(self, column: Column) -> Lines:
        """Every row's columns to their slots; rows past the last one are copies of it."""
        wide, high = self._shape(column)
        body = []
        for j in range(high):
            body.append(f"taken = {plus('first', 'row', j * self.tile.groups)}")
            body.append("taken = select(taken < rows, taken, rows - 1)")
            body.append(f"at{j} = {plus(f'taken * {self.program.width_in}', column.first)}")
        inner = [f"c{b} = {self._column(column, b)}" for b in range(wide)]
        inner += [f"v{j}_{b} = x[at{j} + c{b}]" for j in range(high) for b in range(wide)]
        for j in range(high):
            values = self.steps.values(plus("row", j * self.tile.groups))
            places = (values.element(column.view, f"c{b}") for b in range(wide))
            inner += [f"{place} = v{j}_{b}" for b, place in enumerate(places)]
        yield from self._loops(column, body, inner)

    def given(self, column: Column) -> Lines:
        """The columns of every row that there is."""
        wide, high = self._shape(column)
        inner = [f"c{b} = {self._column(column, b)}" for b in range(wide)]
        for j in range(high):
            values = self.steps.values(plus("row", j * self.tile.groups))
            inner += [f"v{j}_{b} = {values.element(column.view, f'c{b}')}" for b in range(wide)]
        for j in range(high):
            row = plus("first", "row", j * self.tile.groups)
            inner.append(f"at = {plus(f'({row}) * {self.program.width_out}', column.first)}")
            inner.append(f"if {row} < rows:")
            inner += [f"    y[at + c{b}] = v{j}_{b}" for b in range(wide)]
        yield from self._loops(column, [], inner)

    def _shape(self, column: Column) -> tuple[int, int]:
        """Columns and rows of a thread that are under way at a time."""
        wide = min(UNDER_WAY, max(1, -(-column.view.count // self.tile.lanes)))
        each = self.tile.rows // self.tile.groups
        high = 1
        while 2 * high * wide <= UNDER_WAY and each % (2 * high) == 0:
            high *= 2
        return wide, high

    def _loops(self, column: Column, body: list[str], inner: list[str]) -> Lines:
        count, tile = column.view.count, self.tile
        wide, high = self._shape(column)
        if not count:
            return
        yield f"for row in range(group, {tile.rows}, {tile.groups * high}):"
        yield from indented(iter(body))
        if count > wide * tile.lanes:
            yield f"    for i in range(lane, {count}, {wide * tile.lanes}):"
            yield from indented(iter(inner), 2)
        else:
            yield "    i = lane"
            yield from indented(iter(inner))

    def _column(self, column: Column, b: int) -> str:
        """A column of a lane; past the last one, that one once more."""
        count, i = column.view.count, plus("i", b * self.tile.lanes)
        last = (b + 1) * self.tile.lanes
        if count <= UNDER_WAY * self.tile.lanes and last <= count:
            return i
        return f"select({i} < {count}, {i}, {count - 1})"
