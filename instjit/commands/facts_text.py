"""JSON values that a format tells about a file -> lines for people; nothing here knows a format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instjit.commands.text import printable
from instjit.preview import aligned

SHOWN_ROWS = 64
SHOWN_ITEMS = 8
LONGEST_WORD = 24
"""Of digests and other bytes in hex, and of names."""
LONGEST_TEXT = 200


def fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """Scalars as lines, then objects and lists of objects as tables below their names.

    Parameters
    ----------
    facts
        As ``Format.describe`` gives them. Texts in them may hold anything.
    """
    plain = {name: value for name, value in facts.items() if not _is_table(value)}
    lines = _pairs(plain)
    for name, value in facts.items():
        if _is_table(value):
            below = _pairs(value) if isinstance(value, Mapping) else _table(value)
            lines += [_name(name), *(f"  {line}" for line in below)]
    return lines


def shown(value: Any) -> str:
    """One value on one line, shortened where it is long."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{_name(key)} {shown(each)}" for key, each in _first(value.items()))
    if isinstance(value, list | tuple):
        items = ", ".join(shown(each) for each in _first(value))
        return items if len(value) <= SHOWN_ITEMS else f"{items}, ... ({len(value):,} of them)"
    return _short(printable(str(value)))


def _is_table(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    rows = [[_name(name), shown(value)] for name, value in values.items()]
    return aligned(rows, frozenset({0, 1})) if rows else []


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    visible = rows[:SHOWN_ROWS]
    columns = list(dict.fromkeys(name for row in visible for name in row))
    values = [[row.get(name) for name in columns] for row in visible]
    is_text = [
        any(isinstance(value, str | list) for value in column)
        for column in zip(*values, strict=True)
    ]
    cells = [[_name(name) for name in columns], *([shown(v) for v in row] for row in values)]
    lines = aligned(cells, frozenset(n for n, text in enumerate(is_text) if text))
    hidden = len(rows) - len(visible)
    return [*lines, f"... {hidden:,} more"] if hidden else lines


def _first(values: Any) -> list[Any]:
    return [value for _, value in zip(range(SHOWN_ITEMS), values, strict=False)]


def _short(text: str) -> str:
    longest = LONGEST_TEXT if " " in text else LONGEST_WORD
    return text if len(text) <= longest else f"{text[:longest]}..."


def _name(name: str) -> str:
    return _short(printable(name.replace("_", " ")))
