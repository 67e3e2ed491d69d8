"""Plain values as few bytes, and back: integers of 64 bits, texts, bytes, None, tuples of them.

The bytes are CBOR (RFC 8949), of which this is all that a structure needs: a number below 24 takes
one byte, as do None and what begins a short text or tuple.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Plain: TypeAlias = "tuple[Any, ...]"
"""Integers, texts, bytes, None and tuples of them: hashable."""

POSITIVE, NEGATIVE, BYTES, TEXT, TUPLE = range(5)
"""What the upper three bits of a first byte say; the lower five are a number or its size."""

NONE = 0xF6
SMALL = 24
SIZES = 1, 2, 4, 8
"""Bytes of a number that is not small, by the lower five bits from ``SMALL`` on."""

UNPAIRED = "surrogatepass"
"""A name of a column may hold what no UTF-8 may; it is refused later, and kept until then."""


def to_bytes(value: Any) -> bytes:
    """A plain value as bytes; TypeError or OverflowError for anything else."""
    written = bytearray()
    _write(value, written)
    return bytes(written)


def from_bytes(content: bytes) -> Any:
    """The value again; ValueError, IndexError or TypeError where the bytes are those of none."""
    value, end = _read(content, 0)
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes too many")
    return value


def _write(value: Any, written: bytearray) -> None:
    if value is None:
        written.append(NONE)
    elif isinstance(value, tuple):
        written += _head(TUPLE, len(value))
        for each in value:
            _write(each, written)
    elif isinstance(value, str):
        text = value.encode("utf-8", UNPAIRED)
        written += _head(TEXT, len(text)) + text
    elif isinstance(value, bytes):
        written += _head(BYTES, len(value)) + value
    elif isinstance(value, int):
        written += _head(POSITIVE, value) if value >= 0 else _head(NEGATIVE, -1 - value)
    else:
        raise TypeError(f"{type(value).__name__} is no plain value")


def _head(kind: int, number: int) -> bytes:
    if number < SMALL:
        return bytes([kind << 5 | number])
    for place, size in enumerate(SIZES):
        if number < 1 << 8 * size:
            return bytes([kind << 5 | SMALL + place]) + number.to_bytes(size, "big")
    raise OverflowError(f"{number.bit_length()} bits are more than {8 * SIZES[-1]}")


def _read(content: bytes, at: int) -> tuple[Any, int]:
    first = content[at]
    if first == NONE:
        return None, at + 1
    kind, number, at = first >> 5, first & 31, at + 1
    if number >= SMALL:
        start, at = at, at + SIZES[number - SMALL]
        number = int.from_bytes(_piece(content, start, at), "big")
    if kind == TUPLE:
        values = []
        for _ in range(number):
            value, at = _read(content, at)
            values.append(value)
        return tuple(values), at
    if kind in (BYTES, TEXT):
        piece = _piece(content, at, at + number)
        return piece if kind == BYTES else piece.decode("utf-8", UNPAIRED), at + number
    if kind > TUPLE:
        raise ValueError(f"no value begins with {first:#x}")
    return number if kind == POSITIVE else -1 - number, at


def _piece(content: bytes, start: int, stop: int) -> bytes:
    if stop > len(content):
        raise ValueError(f"it ends after {len(content)} bytes, expected {stop}")
    return content[start:stop]
