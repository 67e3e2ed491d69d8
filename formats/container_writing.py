r"""Writing an RNN\0 container: records, one table, payloads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from instjit.errors import FormatError, Problem
from instjit.formats.container import (
    DIGEST_BYTES,
    FIXED_BYTES,
    MAGIC,
    MOST_DTYPE,
    MOST_HEADER_BYTES,
    TABLE,
    VERSION,
    printable,
)
from instjit.formats.extras import Blob

RECORD_BYTES = 5
"""Type and length of a header record."""
PLACE_BYTES = 16
"""Offset and length of a payload."""
ALIGNMENT = 16
"""Of every payload and of the file's length."""


def pack(records: Sequence[tuple[int, bytes]], blobs: Sequence[Blob]) -> bytes:
    """The file that holds these records, then one table of these blobs, with digests.

    The first payload starts where the header ends, all at multiples of 16.

    Raises
    ------
    FormatError
        BadHeader: the header is longer than 65,536 bytes, or has no room for a number.
    """
    for kind, _ in records:
        if kind not in range(1, 256) or kind == TABLE:
            message = f"a header record has type {kind}, expected 1 to 255 but for {TABLE}"
            raise _error(message, record=kind)
    head = b"".join(_record(kind, value) for kind, value in records)
    heads = [_entry_head(blob, number) for number, blob in enumerate(blobs)]
    table_bytes = sum(len(each) + PLACE_BYTES + DIGEST_BYTES for each in heads)
    size = _aligned(FIXED_BYTES + len(head) + RECORD_BYTES + table_bytes)
    if size > MOST_HEADER_BYTES:
        message = f"the header takes {size} bytes, the format allows {MOST_HEADER_BYTES}"
        raise _error(message, size=size, max=MOST_HEADER_BYTES)
    table, offset = b"", size
    for entry_head, blob in zip(heads, blobs, strict=True):
        length = len(blob.payload)
        place = offset.to_bytes(8, "little") + length.to_bytes(8, "little")
        table += entry_head + place + hashlib.sha256(blob.payload).digest()
        offset = _aligned(offset + length)
    fixed = MAGIC + b"".join(
        number.to_bytes(width, "little") for number, width in ((VERSION, 2), (0, 2), (size, 4))
    )
    parts = [_padded(fixed + head + _record(TABLE, table))]
    parts += [_padded(blob.payload) for blob in blobs]
    return b"".join(parts)


def _record(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(4, "little") + value


def _entry_head(blob: Blob, number: int) -> bytes:
    """What stands in the blob table before the place of the payload."""
    fits = len(blob.name) < 2**16 and 1 <= len(blob.dims) <= 255 and 0 <= blob.dtype <= MOST_DTYPE
    if not fits or not all(0 <= dim < 2**32 for dim in blob.dims):
        where = f"blob {number} ({printable(blob.name[:64])!r})"
        raise _error(f"{where}: its name, dtype or dims do not fit into a blob table", blob=number)
    dims = b"".join(dim.to_bytes(4, "little") for dim in blob.dims)
    name = len(blob.name).to_bytes(2, "little") + blob.name
    return name + bytes((blob.dtype, len(blob.dims))) + dims


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _padded(content: bytes) -> bytes:
    return content.ljust(_aligned(len(content)), b"\0")


def _error(message: str, **fields: object) -> FormatError:
    return FormatError(Problem("BadHeader", message, fields=fields))
