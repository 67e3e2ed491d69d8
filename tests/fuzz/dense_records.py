r"""Mutations of layer records, which RMD1 files and RNN\0 containers have in common."""

from __future__ import annotations

import struct
from random import Random

from . import blind

RECORD = 20


def mutate(content: bytearray, rng: Random, start: int, count: int) -> None:
    """One or two fields of the records from ``start`` on, or one width of the whole chain."""
    count = min(count, (len(content) - start) // RECORD)
    if count < 1:
        return
    for _ in range(rng.choice((1, 1, 2))):
        number = rng.randrange(count)
        at = start + RECORD * number
        match rng.randrange(10):
            case 0 | 1:  # a width, on both sides: the chain still holds
                width = rng.randrange(1, 9)
                struct.pack_into("<I", content, at + 4, width)
                if number + 1 < count:
                    struct.pack_into("<I", content, at + RECORD, width)
            case 2:  # the last layer takes what it gives
                content[at + 16] = rng.randrange(4)
            case 3:
                content[at + 16 + rng.randrange(4)] = rng.randrange(256)
            case 4 | 5:  # ranges that overlap, in any order
                struct.pack_into("<I", content, at + rng.choice((8, 12)), rng.randrange(12))
            case 6:
                other = start + RECORD * rng.randrange(count)
                content[at : at + RECORD] = content[other : other + RECORD]
            case _:
                field = at + 4 * rng.randrange(4)
                content[field : field + 4] = blind.number(rng, 4, len(content) // 4)
