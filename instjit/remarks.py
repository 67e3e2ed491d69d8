"""What is allowed in a model but worth knowing.

``inspect`` lists it, ``validate --strict`` refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from instjit.arrays import first_non_finite
from instjit.collecting import Collected
from instjit.errors import Problem
from instjit.lower import unwritten_reads
from instjit.model import Model
from instjit.ops import Dot

PARTS = ("weights", "bias", "parameters")


def remarks(model: Model) -> tuple[Problem, ...]:
    """What is remarkable about a model without problems, as much of it as ``Collected`` keeps.

    Kinds: UnwrittenRead, NonFiniteNumber, NoFeatureNames; TooManyProblems for those left out.
    """
    return Collected(_remarks(model)).problems("remarks")


def _remarks(model: Model) -> Iterator[Problem]:
    for buffer, start, stop in unwritten_reads(model) if _may_read_unwritten(model) else ():
        where = f"slots {start} to {stop - 1} are" if stop > start + 1 else f"slot {start} is"
        message = f"buffer {buffer}: {where} read before anything is written there, as 0"
        fields = {"buffer": buffer, "start": start, "stop": stop}
        yield Problem("UnwrittenRead", message, fields=fields)
    yield from _non_finite(model)
    if not model.features:
        message = "the features have no names, so tables are matched by position"
        yield Problem("NoFeatureNames", message)


def _may_read_unwritten(model: Model) -> bool:
    """False where every buffer that is read is input or written by a DOT before.

    Others write whole buffers too, but for a DOT that always holds, and chains of them are what
    files of 65,535 layers have: the memory of lowering those is saved.
    """
    whole = bytearray(start < model.input_size for start in model.buffer_starts)
    for instruction in model.instructions:
        if not all(whole[buffer] for buffer in instruction.reads()):
            return True
        if isinstance(instruction, Dot):
            whole[instruction.output] = True
    return not whole[-1]


def _non_finite(model: Model) -> Iterator[Problem]:
    arrays = ((part, n, a) for part in PARTS for n, a in enumerate(getattr(model, part)))
    maps = (("map", n, table.values) for n, table in enumerate(model.maps))
    for part, number, array in chain(arrays, maps):
        place = first_non_finite(array)
        if place is not None:
            name, value = f"{part} {number}", array[place]
            message = f"{name}: the number at {list(place)} is {value!s}"
            yield Problem("NonFiniteNumber", message, fields={"array": name, "position": place})
