"""Calls of a kernel from Python that go straight to machine code: one row, and batches of few.

What they cannot take as it is, and what is better shared out among threads, they answer with None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from instjit.kernels import entry, pyobjects
from instjit.kernels.packing import LINE_FLOATS

Call: TypeAlias = Callable[[Any, Any], Any]

HELD_BYTES = 1 << 19
"""Scratch that a kernel keeps for such calls at most."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns of a row of input and of output, rows of a tile, floats of its scratch."""

    width_in: int
    width_out: int
    lanes: int
    scratch: int


class Direct:
    """The calls of one kernel, which take up to ``most_tiles`` tiles.

    They hold the interpreter's lock: ``launch`` takes over 10 us to give it back and get to work.
    Without machine code for a "row" every batch takes tiles; without any for "tiles" (and none at
    most) batches take single rows.

    Attributes
    ----------
    row
        ``row(x, out)``: the output of one row, ``out`` or a new array for None.
    rows
        ``rows(X, out)``: the same for a batch of few rows.
    """

    row: Call
    rows: Call

    def __init__(
        self, code: Mapping[str, int], k: int, n: int, shape: Shape, most_tiles: int
    ) -> None:
        if not pyobjects.readable():
            self.row = self.rows = _nothing
            return
        few = few_rows(shape.lanes) if "row" in code else 0
        tiles = most_tiles if 4 * shape.scratch <= HELD_BYTES else 0
        held = _Held(4 * shape.scratch if tiles else 0)
        held.fill(
            {
                "tiles": 0, "row": 0, **code,
                "k": k, "n": n, "scratch": held.scratch, "lanes": shape.lanes,
                "width_in": shape.width_in, "width_out": shape.width_out,
                "few": few, "most": max(few, tiles * shape.lanes),
            }
        )  # fmt: skip
        addresses = entry.addresses()
        self.row, self.rows = (
            pyobjects.method(name, addresses[name], held.memory) for name in ("row", "rows")
        )
        if "row" not in code:
            self.row = _nothing


class _Held:
    """The fields of a kernel and its scratch in one array, which a call keeps alive."""

    def __init__(self, scratch_bytes: int) -> None:
        line = 4 * LINE_FLOATS
        fields = -(-8 * len(entry.FORM) // line) * line
        self.memory = np.empty((fields + line + scratch_bytes) // 8 + 1, np.int64)
        self.scratch = -(-(self.memory.ctypes.data + fields) // line) * line

    def fill(self, values: Mapping[str, int]) -> None:
        """Set every field."""
        self.memory[: len(entry.FORM)] = [values[name] for name in entry.FORM]


def few_rows(lanes: int) -> int:
    """Rows up to which one by one is quicker than a tile, which takes as long for one as for all.

    Tiles of 32 rows took as long as 16 (8-16-1), 17 (250-300-200) and 21 rows (20-64-32-1).
    """
    return max(1, lanes // 2)


def _nothing(x: Any, out: Any) -> None:
    return None
