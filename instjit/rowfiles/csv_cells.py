"""Lines of comma-separated numbers -> an array: quickly when plain, exactly when not."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np
import orjson

from instjit.counted import count
from instjit.errors import FormatError
from instjit.rowfiles.rows import Array, unreadable

_PLAIN = b"0123456789+-.eE, \r\n"
_NEGATIVE_ZERO = re.compile(rb"-0+(?![0-9.eE])")
_EMPTY = re.compile(r"(?<![^,\n])[ \t]*(?=,|\r?\n|\r?\Z)")
_BLANK = re.compile(r"(?<![^\n])[ \t]*(?=\r?\n|\r?\Z)")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the lines of a file hold.

    Attributes
    ----------
    name
        The file, for messages.
    columns
        Names of all columns; empty when only their number is known.
    width
        Cells of a line.
    picked
        Columns to take, in this order; None takes all.
    empty_is_nan
        Whether an empty cell is NaN; otherwise it is an error.
    """

    name: str
    columns: tuple[str, ...]
    width: int
    picked: tuple[int, ...] | None
    empty_is_nan: bool


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, spelled as NumPy does."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def cells_of(line: str) -> list[str]:
    """Cells of one line, quotes taken off; csv.Error when a quote does not close."""
    return next(csv.reader([line.rstrip("\r")], strict=True), [])


def other_separator(text: str) -> str | None:
    """What separates a line or a cell in place of commas, in words; None in quotes."""
    inner = text.strip()
    if '"' in inner:
        return None
    return "a semicolon" if ";" in inner else "a tab" if "\t" in inner else None


def parse(block: bytes, layout: Layout, line: int) -> Array:
    """Numbers of whole lines.

    Parameters
    ----------
    block
        Lines, the last one without its line break.
    line
        Number of the first line in its file.

    Returns
    -------
    (lines, columns taken) float64.

    Raises
    ------
    FormatError
        Naming the line and the column of the first cell that is no number.
    """
    numbers = _plain(block, layout)
    if numbers is not None:
        return numbers
    text = _text(block, layout, line)
    numbers = _unquoted(text, layout)
    return _exactly(text, layout, line) if numbers is None else numbers


def _plain(block: bytes, layout: Layout) -> Array | None:
    """By the JSON decoder, three times as fast as ``loadtxt``; None for what JSON does not know."""
    if layout.empty_is_nan or block.translate(None, _PLAIN) or _NEGATIVE_ZERO.search(block):
        return None
    if not block.strip() or not _even(block, layout.width):
        return None
    try:
        # One list: a list for each line would make the garbage collector look at all of numba.
        cells = orjson.loads(b"[" + block.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        return None
    numbers = np.array(cells, dtype=np.float64).reshape(-1, layout.width)
    return numbers if layout.picked is None else numbers[:, layout.picked]


def _even(block: bytes, width: int) -> bool:
    """Whether every line has ``width`` cells, when no cell has a comma in it."""
    text = np.frombuffer(block, np.uint8)
    marks = text[(text == ord(",")) | (text == ord("\n"))]
    ends = marks == ord("\n")
    lines = int(ends.sum()) + 1
    return len(marks) == lines * width - 1 and bool(ends[width - 1 :: width].all())


def _unquoted(text: str, layout: Layout) -> Array | None:
    """By ``loadtxt``, which knows NaN, infinity and other spellings; None for quotes and faults."""
    if '"' in text or _BLANK.search(text):
        return None
    if layout.empty_is_nan:
        text = _EMPTY.sub("nan", text)
    lines = text.split("\n")
    if any(line.count(",") != layout.width - 1 for line in lines):
        return None
    try:
        return np.loadtxt(lines, delimiter=",", comments=None, ndmin=2, usecols=layout.picked)
    except ValueError:
        return None


def _exactly(text: str, layout: Layout, first: int) -> Array:
    picked = range(layout.width) if layout.picked is None else layout.picked
    rows: list[list[float]] = []
    for number, line in enumerate(text.split("\n"), first):
        cells = _checked_cells(line, layout, number)
        rows.append([_value(cells[column], layout, number, column) for column in picked])
    return np.array(rows, dtype=np.float64)


def _checked_cells(line: str, layout: Layout, number: int) -> list[str]:
    if not line.strip():
        raise unreadable(layout.name, f"line {number} is empty")
    try:
        cells = cells_of(line)
    except csv.Error as error:
        raise unreadable(layout.name, f"line {number}: {error}") from error
    if len(cells) != layout.width:
        wanted = f"expected {layout.width} as in the first line"
        has = count(len(cells), "cell")
        raise unreadable(layout.name, f"line {number} has {has}, {wanted}")
    return cells


def _value(cell: str, layout: Layout, line: int, column: int) -> float:
    text = cell.strip()
    if not text and layout.empty_is_nan:
        return float("nan")
    if is_number(text):
        return float(text)
    title = f" ({layout.columns[column]})" if layout.columns else ""
    place = f"line {line}, column {column + 1}{title}"
    if not text:
        raise unreadable(layout.name, f"{place}: the cell is empty; --missing nan takes it as NaN")
    shown = text if len(text) <= 40 else text[:40] + "..."
    hint = "; commas separate cells" if other_separator(text) else ""
    raise unreadable(layout.name, f"{place}: {shown!r} is not a number{hint}")


def _text(block: bytes, layout: Layout, line: int) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_text(layout.name, block, error, line) from error


def not_text(name: str, block: bytes, error: UnicodeDecodeError, line: int) -> FormatError:
    """The error for bytes that are not UTF-8."""
    return unreadable(name, f"line {line + block[: error.start].count(10)} is not UTF-8 text")
