"""What is allowed in a model but worth knowing.

``inspect`` lists it, ``validate --strict`` refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator

from instjit.arrays import first_non_finite
from instjit.errors import Problem
from instjit.lower import unwritten_reads
from instjit.model import Model

PARTS = ("weights", "bias", "parameters")


def remarks(model: Model) -> tuple[Problem, ...]:
    """Everything remarkable about a model without problems.

    Kinds: UnwrittenRead, NonFiniteNumber, NoFeatureNames.
    """
    return tuple(_remarks(model))


def _remarks(model: Model) -> Iterator[Problem]:
    for buffer, start, stop in unwritten_reads(model):
        where = f"slots {start} to {stop - 1} are" if stop > start + 1 else f"slot {start} is"
        message = f"buffer {buffer}: {where} read before anything is written there, as 0"
        fields = {"buffer": buffer, "start": start, "stop": stop}
        yield Problem("UnwrittenRead", message, fields=fields)
    yield from _non_finite(model)
    if not model.features:
        message = "the features have no names, so tables are matched by position"
        yield Problem("NoFeatureNames", message)


def _non_finite(model: Model) -> Iterator[Problem]:
    arrays = [(f"{part} {n}", a) for part in PARTS for n, a in enumerate(getattr(model, part))]
    arrays += [(f"map {n}", table.values) for n, table in enumerate(model.maps)]
    for name, array in arrays:
        place = first_non_finite(array)
        if place is not None:
            value = array[place]
            message = f"{name}: the number at {list(place)} is {value!s}"
            yield Problem("NonFiniteNumber", message, fields={"array": name, "position": place})
