"""Which columns of a schema are a model's, and what may stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from instjit.arrow import pyarrow
from instjit.counted import count
from instjit.errors import InputError, Problem
from instjit.features import column_names, feature_width

SHOWN = 8

HINTS = {
    "dictionary": "; decode it first",
    "extension": "; take its storage first",
    "decimal": "; cast it to float64 first",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A column of batches: its name and place, and how many columns of the rows it fills.

    ``lists`` says that each row of it holds a list of ``width`` numbers.
    """

    name: str
    place: int
    width: int
    lists: bool


def parts_of(
    schema: Any, features: Sequence[str], width: int | None, where: str
) -> tuple[Part, ...]:
    """The columns that make a row, in the order of the row.

    Parameters
    ----------
    schema
        Of a batch.
    features
        Names to take: ``age``; for ``x[3]`` the columns ``x[0]`` to ``x[2]``, or one of lists,
        called ``x`` or ``x[3]``. A single column of lists of the whole row will do where no name is
        there. Without names all columns are taken as they stand.
    width
        Columns of a row; None for as many as there are.
    where
        The batch or the file, for messages.

    Raises
    ------
    InputError
        MissingColumns, AmbiguousColumn, WrongColumnType, ValidationInputSizeMismatch.
    """
    if features:
        found = _by_name(schema, features, width, where)
    else:
        found = [_part(schema, place, None, where) for place in range(len(schema))]
        if len(found) == 1 and found[0].width < 0 and width is not None:
            found = [Part(found[0].name, 0, width, True)]
    total = sum(part.width for part in found)
    if any(part.width < 0 for part in found):
        total = -1
    if total < 0 or width not in (None, total):
        names = ", ".join(schema.names[:SHOWN]) + (", ..." if len(schema.names) > SHOWN else "")
        numbers = count(total, "column") if total >= 0 else "columns of lists of unknown length"
        takes = "" if width is None else f", the model takes {width}"
        sentence = f"{where} has {numbers} ({names}){takes}"
        fields = {"provided": total, "expected": width}
        raise InputError(Problem("ValidationInputSizeMismatch", sentence, fields=fields))
    return tuple(found)


def names_to_read(names: Sequence[str], features: Iterable[str]) -> tuple[str, ...]:
    """Those of a file's columns that the features take; () where it lacks one."""
    taken: list[str] = []
    for feature in features:
        sources = _sources(feature, frozenset(names))
        if not sources:
            return ()
        taken += sources
    return tuple(dict.fromkeys(taken))


def _by_name(schema: Any, features: Sequence[str], width: int | None, where: str) -> list[Part]:
    present = frozenset(schema.names)
    sources = {feature: _sources(feature, present) for feature in features}
    missing = [feature for feature, columns in sources.items() if not columns]
    if missing:
        whole = _whole_row(schema, width, where) if len(missing) == len(features) else None
        if whole is not None:
            return [whole]
        shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
        of = f"{len(missing)} of the {count(len(features), 'feature')} that the model takes"
        fields = {"missing": tuple(missing)}
        raise InputError(Problem("MissingColumns", f"{where} lacks {of}: {shown}", fields=fields))
    found = []
    for feature, columns in sources.items():
        each = (feature_width(feature) or 1) // len(columns)
        for name in columns:
            places = schema.get_all_field_indices(name)
            if len(places) > 1:
                sentence = f"{where}: column {name!r} stands {len(places)} times"
                raise InputError(Problem("AmbiguousColumn", sentence, fields={"column": name}))
            found.append(_part(schema, places[0], each, where))
    return found


def _sources(feature: str, present: frozenset[str]) -> tuple[str, ...]:
    """Columns that hold a feature: itself, or the parts or the whole of an array; () for none."""
    stem = feature.partition("[")[0]
    for candidate in ((feature,), column_names(feature), (stem,)):
        if candidate and present.issuperset(candidate):
            return candidate
    return ()


def _whole_row(schema: Any, width: int | None, where: str) -> Part | None:
    lists = [place for place, field in enumerate(schema) if _is_list(field.type)]
    if len(lists) != 1 or _list_size(schema.field(lists[0]).type) not in (-1, width):
        return None
    return _part(schema, lists[0], width, where)


def _part(schema: Any, place: int, width: int | None, where: str) -> Part:
    """One column, checked; a width of -1 is that of lists of any length."""
    field = schema.field(place)
    is_list = _is_list(field.type)
    value = field.type.value_type if is_list else field.type
    size = _list_size(field.type) if is_list else 1
    wanted = "numbers" if width in (None, 1) else f"lists of {width} numbers"
    wrong = width is not None and (size not in (-1, width) or (size == 1 and width > 1))
    if wrong or not _is_number(value):
        hint = next((hint for kind, hint in HINTS.items() if kind in _kind(value)), "")
        sentence = f"column {field.name!r} of {where} holds {field.type}, expected {wanted}{hint}"
        fields = {"column": field.name, "type": str(field.type), "where": where}
        raise InputError(Problem("WrongColumnType", sentence, fields=fields))
    return Part(field.name, place, size if width is None or size > 0 else width, is_list)


def _is_list(kind: Any) -> bool:
    types = pyarrow().types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def _list_size(kind: Any) -> int:
    return int(kind.list_size) if pyarrow().types.is_fixed_size_list(kind) else -1


def _is_number(kind: Any) -> bool:
    types = pyarrow().types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _kind(value: Any) -> str:
    types = pyarrow().types
    if types.is_dictionary(value):
        return "dictionary"
    if types.is_decimal(value):
        return "decimal"
    return "extension" if isinstance(value, pyarrow().BaseExtensionType) else ""
