r"""Mutations of RNN\0 containers by their fields, and the digests that go with them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from . import blind, dense_records

FIXED = 12
TABLE = 3
DIGEST = 32
TYPES = (0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 0x7F, 0xC1, 0xFF)
NAMES = (
    *(b"layer_meta", b"weights", b"biases", b"model.name", b"model.precision", b"neuron_positions"),
    *(b"auth.hmac_sha256", b"", b"\xff\xfe", b"a\nb", b"__import__", b"weights\0"),
)


@dataclass(frozen=True)
class Blob:
    """Where the fields of one record stand, and what it refers to."""

    name: bytes
    start: int
    name_stop: int
    dims_stop: int
    digest: int | None
    stop: int
    offset: int
    length: int


def mutate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """A field, a record or a payload; the digests are made right again more often than not."""
    if len(content) < FIXED:
        return
    match rng.randrange(8):
        case 0:
            at, size = rng.choice(((4, 2), (6, 2), (8, 4)))
            near = struct.unpack_from("<I", content, 8)[0]
            content[at : at + size] = blind.number(rng, size, near)
        case 1 | 2:
            _mutate_area(content, rng)
        case 3 | 4 | 5:
            _mutate_blob(content, rng)
        case _:
            _mutate_payload(content, rng)
    if rng.random() < 0.7:
        repair(content)


def _mutate_area(content: bytearray, rng: Random) -> None:
    """Types, lengths and values of the header's records."""
    found = list(records(content))
    if not found:
        return
    start, value, stop = rng.choice(found)
    match rng.randrange(6):
        case 0:
            content[start] = rng.choice(TYPES)
        case 1 | 2:
            content[start + 1 : value] = blind.number(rng, 4, stop - value)
        case 3:
            _replace(content, start, stop, b"")
        case 4:
            size = rng.choice((0, 1, 7, 30))
            new = bytes([rng.choice(TYPES)]) + struct.pack("<I", size) + rng.randbytes(size)
            _replace(content, start, start, new)
        case _:
            _replace(content, stop, stop, bytes(content[start:stop]))


def _mutate_blob(content: bytearray, rng: Random) -> None:
    """One field of a blob's record."""
    found = list(blobs(content))
    if not found:
        return
    blob, other = rng.choice(found), rng.choice(found)
    match rng.randrange(9):
        case 0:
            content[blob.start : blob.start + 2] = blind.number(rng, 2, len(blob.name))
        case 1:
            name = rng.choice((*NAMES, other.name))[: len(blob.name)]
            first = blob.start + 2
            content[first : first + len(name)] = name
        case 2:
            content[blob.name_stop] = rng.choice((0, 1, 2, 3, 255))
        case 3:
            content[blob.name_stop + 1] = rng.choice((0, 1, 2, 3, 5, 255))
        case 4 if blob.dims_stop > blob.name_stop + 2:
            at = blob.name_stop + 2
            content[at : at + 4] = blind.number(rng, 4, blob.length // 4)
        case 5:
            fields = struct.pack("<2Q", other.offset, other.length)
            content[blob.dims_stop : blob.dims_stop + 16] = fields
        case 6 if blob.digest is not None:
            content[blob.digest : blob.stop] = rng.choice((bytes(DIGEST), rng.randbytes(DIGEST)))
        case 7:
            at = blob.dims_stop + rng.choice((0, 8))
            old = struct.unpack_from("<Q", content, at)[0]
            new = max(0, old + rng.choice((-20, -8, -4, -1, 1, 4, 8, 20)))
            content[at : at + 8] = struct.pack("<Q", new % 2**64)
        case _:
            at = blob.dims_stop + rng.choice((0, 8))
            content[at : at + 8] = blind.number(rng, 8, len(content))


def _mutate_payload(content: bytearray, rng: Random) -> None:
    meta = next((blob for blob in blobs(content) if blob.name == b"layer_meta"), None)
    if meta is not None and meta.offset + meta.length <= len(content):
        count = meta.length // dense_records.RECORD
        dense_records.mutate(content, rng, meta.offset, count)


def _replace(content: bytearray, start: int, stop: int, new: bytes) -> None:
    """Other bytes within the header, whose size and the offsets behind it follow."""
    content[start:stop] = new
    shift = len(new) - (stop - start)
    size = struct.unpack_from("<I", content, 8)[0]
    struct.pack_into("<I", content, 8, (size + shift) % 2**32)
    for blob in blobs(content):
        struct.pack_into("<Q", content, blob.dims_stop, (blob.offset + shift) % 2**64)


def repair(content: bytearray) -> None:
    """Digests of what the records refer to now; those that are zero stay so."""
    for blob in blobs(content):
        if blob.digest is not None and any(content[blob.digest : blob.stop]):
            payload = content[blob.offset : blob.offset + blob.length]
            content[blob.digest : blob.stop] = hashlib.sha256(payload).digest()


def records(content: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Start, start of the value and end of every header record, as far as they make sense."""
    stop = min(struct.unpack_from("<I", content, 8)[0], len(content))
    at = FIXED
    while at + 5 <= stop:
        if content[at] == 0:
            at += 1
            continue
        length = struct.unpack_from("<I", content, at + 1)[0]
        if at + 5 + length > stop:
            return
        yield at, at + 5, at + 5 + length
        at += 5 + length


def blobs(content: bytes | bytearray) -> list[Blob]:
    """Records of all blob tables, with or without digests, as far as they make sense."""
    if len(content) < FIXED:
        return []
    tables = [(v, stop) for at, v, stop in records(content) if content[at] == TABLE]
    found = []
    for start, stop in tables:
        digests = list(_table(content, start, stop, DIGEST))
        whole = bool(digests) and digests[-1].stop == stop
        found += digests if whole else list(_table(content, start, stop, 0)) or digests
    return found


def _table(content: bytes | bytearray, at: int, stop: int, digest: int) -> Iterator[Blob]:
    while at + 2 <= stop:
        name_stop = at + 2 + struct.unpack_from("<H", content, at)[0]
        if name_stop + 2 > stop:
            return
        dims_stop = name_stop + 2 + 4 * content[name_stop + 1]
        end = dims_stop + 16 + digest
        if end > stop:
            return
        offset, length = struct.unpack_from("<2Q", content, dims_stop)
        name = bytes(content[at + 2 : name_stop])
        place = dims_stop + 16 if digest else None
        yield Blob(name, at, name_stop, dims_stop, place, end, offset, length)
        at = end
