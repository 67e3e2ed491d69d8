"""Mutations of RMD1 files by their fields."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

from . import blind, dense_records

HEADER = 20


def mutate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """A field of the header, a record, or a payload that grows or shrinks with its count."""
    if len(content) < HEADER:
        return
    layers, weights, _ = struct.unpack_from("<3I", content, 8)
    match rng.randrange(10):
        case 0:
            at, size = rng.choice(((4, 2), (6, 1), (7, 1)))
            content[at : at + size] = blind.number(rng, size, 0)
        case 1 | 2:
            at = rng.choice((8, 12, 16))
            content[at : at + 4] = blind.number(rng, 4, len(content) // 4)
        case 3:  # a record more, counted
            record = content[HEADER : HEADER + dense_records.RECORD]
            times = rng.choice((1, 1, 2, 2, 9, 60))
            content[HEADER:HEADER] = record * times
            struct.pack_into("<I", content, 8, (layers + times) % 2**32)
        case 4:  # a record less, counted
            del content[HEADER : HEADER + dense_records.RECORD]
            struct.pack_into("<I", content, 8, (layers - 1) % 2**32)
        case 5:  # numbers more, counted
            times = rng.randrange(1, 9)
            content += rng.randbytes(8 * times)
            struct.pack_into("<I", content, rng.choice((12, 16)), (weights + times) % 2**32)
        case _:
            dense_records.mutate(content, rng, HEADER, layers)
