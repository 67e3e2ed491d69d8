"""Fields of a JSON model that no reader of models knows, and no writer writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from instjit.formats.extras import Extras
from instjit.formats.instmodel import parse
from instjit.formats.limits import DEFAULT, Limits
from instjit.ops import OPS
from instjit.ops.wire import wire_fields

FIELDS = frozenset(
    {"features", "feature_size", "buffer_sizes", "instructions", "weights", "bias", "parameters"}
    | {"maps", "validation_data"}
)
"""Those of the document."""

_ROWS = frozenset({"inputs", "expected_outputs"})
_LISTED = 20
_SHOWN = 40


def extras(content: bytes, limits: Limits = DEFAULT) -> Extras:
    """What a file holds beside the model: its unknown fields, as phrases.

    Raises
    ------
    FormatError
        As ``instmodel.parse``; what else is wrong with the file is not asked here.
    """
    found = tuple(dict.fromkeys(_unknown(parse(content, limits))))
    more = (f"{len(found) - _LISTED} more unknown fields",) if len(found) > _LISTED else ()
    return Extras(unread=found[:_LISTED] + more)


def _unknown(document: Any) -> Iterator[str]:
    if not isinstance(document, Mapping):
        return
    yield from _phrases(document, FIELDS, "")
    yield from _phrases(document.get("validation_data"), _ROWS, " of validation_data")
    instructions = document.get("instructions")
    for instruction in instructions if isinstance(instructions, list) else ():
        kind = instruction.get("type") if isinstance(instruction, Mapping) else None
        if isinstance(kind, str) and kind in OPS:
            known = {"type", *(field.name for field in wire_fields(OPS[kind]))}
            yield from _phrases(instruction, known, f" of {kind}")


def _phrases(fields: Any, known: Set[str], where: str) -> Iterator[str]:
    for name in fields if isinstance(fields, Mapping) else ():
        if name not in known:
            yield f"the unknown field {name[:_SHOWN]!r}{where}"
