"""How a block of threads shares out a tile of rows, and the work of each product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from instjit.program import Gemm, chains

SHARED_BYTES = 99 * 1024
"""Shared memory that a block may ask for on every device from compute capability 8.0 on."""

RESERVED = 1024
"""Shared memory that a multiprocessor keeps for itself of each block that it runs."""

SHARED_OF = {(8, 0): 163, (8, 7): 163, (9, 0): 227, (10, 0): 227, (10, 3): 227, (11, 0): 227}
"""Where it is more: KB by compute capability (CUDA C++ Programming Guide)."""

DEPTH = 16
"""Weights of a row that go to shared memory at a time; a multiple of 8, the most chains."""

SUMS = {1: 80, 2: 64}
"""Sums that a thread keeps, rows times outputs times chains, by ``Tile.blocks``."""

VECTOR = 4
"""Floats of the widest load."""


def shared_bytes_each(most: int, blocks: int) -> int:
    """Shared memory of each of some blocks that run at a time; one alone may take ``most``."""
    return max(0, (most + RESERVED) // blocks - RESERVED)


def shared_bytes_of(cc: tuple[int, int]) -> int:
    """Shared memory that a block may take on devices of a compute capability."""
    return SHARED_OF[cc] * 1024 if cc in SHARED_OF else SHARED_BYTES


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of ``lanes * rows_each`` rows, worked on by ``lanes * groups`` threads.

    Steps other than products have rows lane, lane + lanes ... in thread (lane, group). A product is
    shared out as its ``Share`` says; on tensor cores a thread has ``outputs_each`` consecutive
    outputs of every ``groups * outputs_each``. A multiprocessor is to run ``blocks`` at a time.

    A slot of the tile's scratch is followed by its next row; ``stride`` is the distance of two
    slots, a multiple of 4 so that four rows are one load, but not of 32 so that rows can also be
    written across.
    """

    lanes: int = 32
    groups: int = 8
    rows_each: int = 1
    outputs_each: int = 16
    depth: int = DEPTH
    blocks: int = 1

    @property
    def rows(self) -> int:
        """Rows of a tile."""
        return self.lanes * self.rows_each

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.lanes * self.groups

    @property
    def stride(self) -> int:
        """Floats from a slot to the next slot of the same row."""
        return whole_vectors(self.rows) + VECTOR

    @property
    def panel(self) -> int:
        """Outputs that a block works out side by side on tensor cores."""
        return self.groups * self.outputs_each

    @property
    def weights_stride(self) -> int:
        """Floats from the weights of one k to those of the next there."""
        return self.panel + 4

    @property
    def tensor_floats(self) -> int:
        """Floats of shared memory that hold weights there."""
        return self.depth * self.weights_stride


@dataclass(frozen=True, slots=True)
class Share:
    """A product's outputs and a tile's rows among ``lanes * groups`` threads.

    A thread has ``rows_each`` rows, ``vector`` adjacent ones of every ``lanes * vector``, and of
    each panel ``outputs_each`` of the ``outputs``: four adjacent ones of every ``4 * groups``, and
    behind all those what is left, adjacent too.
    """

    outputs: int
    lanes: int
    groups: int
    rows_each: int
    outputs_each: int
    panels: int

    @property
    def vector(self) -> int:
        """Rows that are one load."""
        return min(VECTOR, self.rows_each)

    @property
    def panel(self) -> int:
        """Outputs that are worked out side by side."""
        return self.groups * self.outputs_each

    @property
    def stride(self) -> int:
        """Floats from the weights of one k to those of the next in shared memory."""
        return self.panel if self.panels > 1 else row_floats(self.outputs)

    def weight_loads(self) -> list[tuple[int, int]]:
        """Outputs of a thread whose weights are one load: the first, and how many.

        Two are one load where every k starts at an even place, which an odd stride denies.
        """
        fours, rest = divmod(self.outputs_each, VECTOR)
        width = 2 if rest == 2 and self.stride % 2 == 0 else 1
        behind = range(fours * VECTOR, self.outputs_each, width)
        return [*((four * VECTOR, VECTOR) for four in range(fours)), *((q, width) for q in behind)]

    def loads(self) -> tuple[int, int]:
        """How many loads of activations and of weights there are for one k."""
        return self.rows_each // self.vector, len(self.weight_loads())

    def clocks(self) -> float:
        """Estimate for one k of all outputs: four fma start in a clock, one access is served.

        A load of four floats is one access where lanes share addresses, yet it returns four times
        as much: that counts half.
        """
        rows, weights = self.loads()
        side = min(self.lanes, 32) * self.vector * 4
        beside = max(1, 32 // self.lanes) * min(VECTOR, self.outputs_each) * 4
        accesses = rows * -(-side // 128) + weights * -(-beside // 128)
        issued = self.rows_each * self.outputs_each + rows + weights
        returned = self.rows_each + self.outputs_each
        return self.panels * max(issued / 4, accesses, (accesses + returned) / 2)


def shared_out(tile: Tile, outputs: int, depth: int) -> Share:
    """The fastest share of a product of this shape."""
    return min(_shares(tile, outputs, chains(outputs, depth)), key=Share.clocks)


def _shares(tile: Tile, outputs: int, count: int) -> Iterator[Share]:
    lanes = 1
    while lanes <= min(tile.rows, tile.threads):
        rows, groups = tile.rows // lanes, tile.threads // lanes
        most = SUMS[tile.blocks] // (rows * count)
        if most and tile.rows % lanes == 0 and tile.threads % lanes == 0 and rows in (1, 2, 4, 8):
            panels = -(-outputs // (groups * most))
            each = -(-outputs // (panels * groups))
            if panels > 1:  # a panel starts at a whole vector of weights
                each = max(1, VECTOR // groups) * -(-each // max(1, VECTOR // groups))
                panels = -(-outputs // (groups * each))
            yield Share(outputs, lanes, groups, rows, each, panels)
        lanes *= 2


def weights_floats(tile: Tile, products: list[Gemm]) -> int:
    """Floats of shared memory for the weights of products: two stretches, and what is beyond."""
    most = 0
    for step in products:
        share = shared_out(tile, step.target.count, step.source.count)
        most = max(most, 2 * tile.depth * share.stride + max(0, share.panel - share.stride))
    return whole_vectors(most)


def row_floats(outputs: int) -> int:
    """Floats from the weights of one k to those of the next in ``k``: vectors, or a few."""
    return whole_vectors(outputs) if outputs >= VECTOR else outputs


def whole_vectors(floats: int) -> int:
    """The next multiple of a vector."""
    return -(-floats // VECTOR) * VECTOR


ROWS_EACH = {4: 8, 2: 16, 1: 16}
"""Rows of a thread in the tiles on offer, and its outputs on tensor cores, which keep 32 sums."""


def tiles() -> list[Tile]:
    """The tiles on offer, the largest first."""
    return [
        Tile(rows_each=rows, outputs_each=outputs, depth=depth, blocks=blocks)
        for rows, outputs in ROWS_EACH.items()
        for depth in ((DEPTH, DEPTH // 2) if rows == 1 else (DEPTH,))
        for blocks in SUMS
    ]
