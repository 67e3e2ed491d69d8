"""A tile of rows in a block of threads: activations lie [slot][row] in shared memory ``s``.

Weights under way lie at its start. What it has no room for lies in global memory ``beyond``, from
``base`` on. Every step is a function that all threads of the block call and that ends in a barrier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from instjit.gpu.placement import Placement
from instjit.gpu.product_form import Product
from instjit.gpu.tensor_form import Precision, TensorProduct, suits, wide
from instjit.gpu.thread_form import assigned, indented, lookup_lines, reduce_lines
from instjit.gpu.tile import Tile
from instjit.gpu.values import Values, plus, times
from instjit.program import Gemm, Map, Reduce, Step, View

Lines = Iterator[str]

ARGUMENTS = "k, n, s, beyond, base, lane, group"


@dataclass(frozen=True)
class Room:
    """Where a block keeps its tile: ``weights`` floats of shared memory, then the slots."""

    tile: Tile
    scratch: Placement
    weights: int


@dataclass(frozen=True)
class RowSlot:
    """The text of a slot of row ``row``."""

    room: Room
    row: str

    def __call__(self, region: int, number: str) -> str:
        """Slot ``number`` of a region's memory, an integer or a sum."""
        memory, place = self.place(region, number)
        return f"{memory}[{place}]"

    def place(self, region: int, number: str) -> tuple[str, str]:
        """The array, and the index in it."""
        place = times(number, self.room.tile.stride)
        if region in self.room.scratch.shared:
            return "s", plus(self.room.weights, place, self.row)
        return "beyond", plus("base", place, self.row)


class RowValues(Values):
    """Writes values of one row of the tile."""

    slot: RowSlot

    def place(self, view: View, i: str | int) -> tuple[str, str]:
        """The array that holds slot ``i`` of a view, and the index in it."""
        return self.slot.place(view.region, plus(self.at(view), i))


class BlockSteps:
    """Writes each kind of step as the body of a function of ``ARGUMENTS``."""

    def __init__(self, values: Values, room: Room, precision: Precision = "float32") -> None:
        self.plain = values
        self.room = room
        self.tile = room.tile
        self.precision = precision

    def values(self, row: str) -> RowValues:
        """Writes values of one row of the tile."""
        return RowValues(self.plain.program, self.plain.places, RowSlot(self.room, row))

    def step(self, step: Step, directory: int | None) -> Lines:
        """The statements of a step, the barrier at its end included."""
        if isinstance(step, Gemm):
            if self.precision != "float32" and wide(step) and suits(self.tile):
                yield from TensorProduct(self, step, self.precision).lines()
            else:
                yield from Product(self, step).lines()
        elif isinstance(step, Map):
            lines = assigned(self.values("row"), step, "i")
            yield from self.each_element(step.target.count, lines)
        else:
            tile, values = self.tile, self.values("row")
            yield f"for row in range(group * {tile.lanes} + lane, {tile.rows}, {tile.threads}):"
            yield from indented(
                reduce_lines(values, step)
                if isinstance(step, Reduce)
                else lookup_lines(values, step, directory)
            )
        yield "cuda.syncthreads()"

    def each_element(self, count: int, lines: Lines) -> Lines:
        """The lines for every element ``i`` of every ``row``."""
        yield f"for i in range(group, {count}, {self.tile.groups}):"
        yield f"    for row in range(lane, {self.tile.rows}, {self.tile.lanes}):"
        yield from indented(lines, 2)
