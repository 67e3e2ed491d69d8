"""Keys that stand twice in one object of a JSON text, which JSON decoders keep silent about.

Everywhere in the text, fields that no reader of models knows included: which of two values counts
differs between decoders, so such a file is not the same file to two programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

# A string from its opening quote on, with the colon behind it when it is a key. Unrolled, so that a
# match never backtracks: the time is linear in the text.
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"([ \t\r\n]*:)?', re.DOTALL)


def duplicate_keys(text: bytes) -> Iterator[tuple[str, int]]:
    """Every repeated key of valid JSON, with the byte its second spelling starts at."""
    objects: list[set[bytes] | None] = []  # None for an object without keys so far
    at = 0
    while (quote := text.find(b'"', at)) >= 0:
        if quote > at and text[at : at + 2] != b',"':  # most stretches between strings are no more
            _follow_braces(text, at, quote, objects)
        string = _STRING.match(text, quote)
        if string is None:
            return  # no JSON
        at = string.end()
        if string[2] is None:
            continue
        key = _plain(string[1])
        keys = objects[-1]
        if keys is None:
            objects[-1] = {key}
        elif key in keys:
            yield key.decode(), quote
        else:
            keys.add(key)


def _follow_braces(text: bytes, at: int, end: int, objects: list[set[bytes] | None]) -> None:
    """Open and close the objects of a stretch without strings.

    Each search runs over all the numbers up to the next brace at the speed of memory.
    """
    opening = text.find(b"{", at, end)
    closing = text.find(b"}", at, end)
    while opening >= 0 or closing >= 0:
        if closing < 0 or 0 <= opening < closing:
            objects.append(None)
            opening = text.find(b"{", opening + 1, end)
        else:
            objects.pop()
            closing = text.find(b"}", closing + 1, end)


def _plain(key: bytes) -> bytes:
    return orjson.loads(b'"' + key + b'"').encode() if b"\\" in key else key
