"""Keys that stand twice in one object of a JSON text, which JSON decoders keep silent about.

Everywhere in the text, fields that no reader of models knows included: which of two values counts
differs between decoders, so such a file is not the same file to two programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

# A string, with the colon behind it when it is a key, or the edge of an object. Unrolled, so that a
# match never backtracks: the time is linear in the text. Numbers and lists are skipped by the
# search itself.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"([ \t\r\n]*:)?|[{}]', re.DOTALL)


def duplicate_keys(text: bytes) -> Iterator[tuple[str, int]]:
    """Every repeated key of valid JSON, with the byte its second spelling starts at."""
    objects: list[set[bytes]] = []
    for token in _TOKEN.finditer(text):
        first = token[0][:1]
        if first == b"{":
            objects.append(set())
        elif first == b"}":
            objects.pop()
        elif token[2] is not None:
            key = _plain(token[1])
            if key in objects[-1]:
                yield key.decode(), token.start()
            objects[-1].add(key)


def _plain(key: bytes) -> bytes:
    return orjson.loads(b'"' + key + b'"').encode() if b"\\" in key else key
