"""How a block of threads shares out a tile of rows."""

from __future__ import annotations

from dataclasses import dataclass

SHARED_BYTES = 96 * 1024
"""Shared memory that every device from compute capability 8.0 on gives a block."""

DEPTH = 16
"""Weights of a row that go to shared memory at a time; a multiple of 8, the most chains."""

SUMS = 32
"""Sums that a thread keeps: rows times outputs."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of ``lanes * rows_each`` rows, worked on by ``lanes * groups`` threads.

    Thread (lane, group) has rows lane, lane + lanes ... of the tile, and ``outputs_each``
    consecutive outputs of every ``groups * outputs_each``. A slot of the tile's scratch is followed
    by its next row; ``stride`` is the distance of two slots, odd for lanes = 32 so that rows can
    also be written across.
    """

    lanes: int = 32
    groups: int = 8
    rows_each: int = 1
    outputs_each: int = 16
    depth: int = DEPTH

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
        return self.rows + 1

    @property
    def panel(self) -> int:
        """Outputs that a block works out side by side."""
        return self.groups * self.outputs_each

    @property
    def weights_stride(self) -> int:
        """Floats from the weights of one k to those of the next in shared memory."""
        return self.panel + 4

    @property
    def weights_floats(self) -> int:
        """Floats of shared memory that hold weights."""
        return self.depth * self.weights_stride

    def scratch_floats(self, slots: int) -> int:
        """Floats of a tile's scratch."""
        return max(1, slots * self.stride)

    def shared_bytes(self, slots: int) -> int:
        """Shared memory of a block whose scratch is there."""
        return 4 * (self.scratch_floats(slots) + self.weights_floats)


ROWS_EACH = {4: 8, 2: 16, 1: 16}
"""Outputs of a thread for its rows: at most SUMS sums, so that they stay in registers."""


def fitting(slots: int, shared_bytes: int = SHARED_BYTES) -> tuple[Tile, bool]:
    """The largest tile whose scratch fits shared memory; or the smallest, and False."""
    tiles = [Tile(rows_each=rows, outputs_each=outputs) for rows, outputs in ROWS_EACH.items()]
    for tile in tiles:
        if tile.shared_bytes(slots) <= shared_bytes:
            return tile, True
    return tiles[-1], False
