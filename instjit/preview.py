"""The first rows of a run as a small table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.comparison import classes
from instjit.counted import count

SHOWN_ROWS = 10
SHOWN_COLUMNS = 8

Array = npt.NDArray[Any]


class Preview:
    """Keeps the first rows of a run.

    Parameters
    ----------
    names
        Names of the outputs.
    first
        Number of the first row in its file.
    """

    def __init__(self, names: Sequence[str], first: int = 0) -> None:
        self._names = names
        self._first = first
        self._outputs: list[FloatArray] = []
        self._expected: list[Array] = []
        self._rows = 0

    def add(self, outputs: FloatArray, expected: Array | None) -> None:
        """Take what is missing of some more rows."""
        room = max(0, SHOWN_ROWS - sum(map(len, self._outputs)))
        self._rows += len(outputs)
        if room:
            self._outputs.append(outputs[:room].copy())
            if expected is not None:
                self._expected.append(expected[:room].copy())

    def table(self, labels: bool) -> str:
        """The rows, of which there must be one, with their outputs or with their classes."""
        outputs = np.concatenate(self._outputs)
        cells = self._of_classes(outputs) if labels else self._of_outputs(outputs)
        lines = aligned(cells)
        hidden = self._rows - len(outputs)
        return "\n".join([*lines, f"... {count(hidden, 'more row')}"] if hidden else lines)

    def _of_classes(self, outputs: FloatArray) -> list[list[str]]:
        expected = np.concatenate(self._expected)[:, 0]
        rows = [["row", "predicted", "expected", "", "output"]]
        found = classes(outputs)
        for number, (guess, label) in enumerate(zip(found, expected, strict=True)):
            value = outputs[number].max()
            mark = "" if guess == label else "wrong"
            shown = "NaN" if guess < 0 else str(guess)
            rows.append([str(self._first + number), shown, f"{label:.0f}", mark, f"{value:#.4g}"])
        return rows

    def _of_outputs(self, outputs: FloatArray) -> list[list[str]]:
        more = ["..."] if len(self._names) > SHOWN_COLUMNS else []
        rows = [["row", *self._names[:SHOWN_COLUMNS], *more]]
        for number, values in enumerate(outputs[:, :SHOWN_COLUMNS], self._first):
            rows.append([str(number), *(f"{value:.6g}" for value in values), *more])
        return rows


def aligned(rows: Sequence[Sequence[str]], left: frozenset[int] = frozenset()) -> list[str]:
    """Lines of a table, columns right-aligned but for those in ``left``; empty columns go."""
    columns = [c for c in range(len(rows[0])) if any(row[c] for row in rows)]
    widths = {c: max(len(row[c]) for row in rows) for c in columns}
    return [
        "  ".join(
            row[c].ljust(widths[c]) if c in left else row[c].rjust(widths[c]) for c in columns
        ).rstrip()
        for row in rows
    ]
