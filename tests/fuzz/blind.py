"""Mutations that know nothing of the format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

BYTES = (0, 1, 2, 3, 4, 5, 7, 8, 0x10, 0x20, 0x22, 0x2C, 0x2D, 0x5B, 0x7B, 0x7F, 0x80, 0xC1, 0xFE)
NUMBERS = tuple(
    sorted(
        {0, 1, 2, 3, 19, 20, 21, 255, 1000, 65_535, 65_536, 65_537, 10**6, 10**7}
        | {2**power + step for power in (24, 31, 32, 48, 63, 64) for step in (-1, 0, 1)}
    )
)
"""What limits and overflow checks stand next to."""

LONGEST = 20_000

Mutation = Callable[[bytearray, Random, Sequence[bytes]], None]


def flip(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """One bit."""
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def overwrite_byte(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    if content:
        byte = rng.choice(BYTES) if rng.random() < 0.5 else rng.randrange(256)
        content[rng.randrange(len(content))] = byte


def overwrite_number(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """Two, four or eight bytes by a number that means trouble, or a small one."""
    size = rng.choice((2, 4, 4, 4, 8))
    if len(content) >= size:
        start = rng.randrange(len(content) - size + 1)
        content[start : start + size] = number(rng, size, len(content))


def insert(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 8, 20, 64)))


def delete(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    start, stop = _block(content, rng)
    del content[start:stop]


def duplicate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """A block once more, somewhere else."""
    start, stop = _block(content, rng)
    at = rng.randrange(len(content) + 1)
    content[at:at] = content[start:stop] * rng.choice((1, 1, 1, 2, 9))


def move(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    start, stop = _block(content, rng)
    block = content[start:stop]
    del content[start:stop]
    at = rng.randrange(len(content) + 1)
    content[at:at] = block


def splice(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """The head of this file, the tail of another."""
    other = rng.choice(seeds)
    content[rng.randrange(len(content) + 1) :] = other[rng.randrange(len(other) + 1) :]


def truncate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    del content[rng.randrange(len(content) + 1) :]


def extend(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    content += rng.choice((bytes(rng.randrange(1, 64)), rng.randbytes(rng.randrange(1, 64))))


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, overwrite_byte, overwrite_number),
    *(flip, overwrite_byte, overwrite_number),  # twice: they leave most of a file as it was
    *(insert, delete, duplicate, move, splice, truncate, extend),
)


def mutate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """One mutation, or a few."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        rng.choice(MUTATIONS)(content, rng, seeds)
    del content[LONGEST:]


def number(rng: Random, size: int, near: int) -> bytes:
    """``size`` bytes, little-endian: a boundary, a length that is off by little, or a few bits."""
    match rng.randrange(4):
        case 0:
            value = rng.choice(NUMBERS)
        case 1:
            value = near + rng.randrange(-2, 3)
        case _:
            value = rng.getrandbits(rng.choice((1, 2, 3, 4, 8, 8 * size)))
    return (value % 2 ** (8 * size)).to_bytes(size, "little")


def _block(content: bytearray, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 20, 100, 1000)))
