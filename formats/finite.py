"""NaN and infinity, which JSON has no number for."""

from __future__ import annotations

from collections.abc import Iterator

from instjit.arithmetic import FloatArray
from instjit.arrays import first_non_finite
from instjit.errors import Problem
from instjit.model import LookupTable


def not_finite(array: FloatArray, path: str, kind: str) -> Iterator[Problem]:
    """A problem that names the place, if a number of the array is NaN or infinite in float32.

    Its fields: ``path`` of the number, ``array`` of the whole, ``position`` in it.
    """
    position = first_non_finite(array)
    if position is None:
        return
    where = path + "".join(f"[{k}]" for k in position)
    message = f"{where}: expected a number that is finite in float32, got NaN or infinity"
    fields = {"path": where, "array": path, "position": position}
    yield Problem(kind, message, fields=fields)


def not_finite_in_map(table: LookupTable, path: str) -> Iterator[Problem]:
    """The same for the vectors of a map, whose place is told by the key."""
    position = first_non_finite(table.values)
    if position is not None:
        row = position[0]
        values = table.values[row]
        key = table.keys[row]
        shown = repr(key[:40]) if isinstance(key, str) else key
        yield from not_finite(values, f"{path}.{shown}", "NonFiniteNumber")
