r"""The RNN\0 container: a header with records, some of them tables of named blobs, and payloads.

The rules and the kinds of their problems are those of the parser in the Rust crate
`native_neural_network` 0.1 to 0.3. Nothing of a payload is copied, or read, while parsing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from instjit.errors import FormatError, Problem
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.reader import Reader

MAGIC = b"RNN\0"
ENCRYPTED_MAGIC = b"RNN0"
VERSION = 1
FIXED_BYTES = 12
"""Magic, version, flags and the header's size."""
MOST_HEADER_BYTES = 65_536
ENCRYPTED_BYTES = 236
"""What stands before the ciphertext of an encrypted container."""
KEY_VERSION_AT = 28
DIGEST_BYTES = 32

NAME, TABLE, SUMMARY, BENCHMARK = 4, 3, 5, 6
"""Types of header records."""

MOST_DTYPE = 2
_NO_DIGEST = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed part. ``size`` counts from the start of the file."""

    version: int
    flags: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob as its table describes it; the payload stays where it is.

    Attributes
    ----------
    name, dtype, dims
        As in ``extras.Blob``.
    offset, length
        The payload, from the start of the file.
    digest
        SHA-256 of the payload, or None.
    """

    name: bytes
    dtype: int
    dims: tuple[int, ...]
    offset: int
    length: int
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Container:
    """A file that parses.

    Attributes
    ----------
    content
        The whole file.
    header
        Its fixed part.
    records
        (type, value) of every header record in order, the tables included.
    entries
        The blobs of all tables in order. Names may occur twice, payloads may overlap.
    """

    content: bytes
    header: Header
    records: tuple[tuple[int, bytes], ...]
    entries: tuple[Entry, ...]

    def record(self, kind: int) -> bytes | None:
        """Value of the first record of that type."""
        return next((value for each, value in self.records if each == kind), None)

    def entry(self, name: bytes) -> Entry | None:
        """The first blob of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def payload(self, entry: Entry) -> memoryview:
        """The bytes of a blob, not copied."""
        return memoryview(self.content)[entry.offset : entry.offset + entry.length]

    def digest_matches(self, entry: Entry) -> bool | None:
        """Whether the payload has the digest that the table says; None where it says none."""
        if entry.digest is None:
            return None
        return hashlib.sha256(self.payload(entry)).digest() == entry.digest


def read_header(content: bytes) -> Header:
    """The fixed part.

    Raises
    ------
    FormatError
        Truncated, BadMagic; Encrypted for a container that has to be decrypted first.
    """
    reader = Reader(content, "RNN\\0").part(FIXED_BYTES, "the header", "Truncated")
    magic = reader.take(len(MAGIC), "the magic")
    if magic == ENCRYPTED_MAGIC and len(content) >= ENCRYPTED_BYTES:
        message = "the container is encrypted and its keys are not part of the file"
        raise _error("Encrypted", f"{message}: decrypt it first, with the crate that wrote it")
    if magic != MAGIC:
        message = f"RNN\\0: the file begins with {magic!r}, expected {MAGIC!r}"
        raise _error("BadMagic", message + _HINTS.get(magic, ""))
    return Header(reader.u16("version"), reader.u16("flags"), reader.u32("header_size"))


def key_version(content: bytes) -> int | None:
    """Version of the key of an encrypted container; None for any other file."""
    if not content.startswith(ENCRYPTED_MAGIC) or len(content) < ENCRYPTED_BYTES:
        return None
    return Reader(content, "RNN0", start=KEY_VERSION_AT).u32("the key version")


def parse(content: bytes, limits: Limits = DEFAULT) -> Container:
    """The whole header.

    A file whose header says less than 12 bytes has no records. There are at most 13,104 of them,
    and 2,729 blobs: more have no room in a header.

    Raises
    ------
    FormatError
        Truncated, BadMagic, BadHeader, BadBounds; Encrypted; LimitExceeded: a name is longer than
        ``limits.name_bytes``, or the blobs together than ``limits.payload_growth`` times the file.
    """
    header = read_header(content)
    for most, what in ((len(content), "the file has"), (MOST_HEADER_BYTES, "the format allows")):
        if header.size > most:
            message = f"header_size is {header.size}, {what} {most} bytes"
            raise _error("BadHeader", message, size=header.size, max=most)
    records, cut = _records(Reader(content, "header", "BadHeader", FIXED_BYTES, header.size))
    entries = _entries(content, [value for kind, value in records if kind == TABLE])
    if cut is not None:
        raise cut
    _check_names(records, entries, limits.name_bytes)
    total, most = sum(entry.length for entry in entries), limits.payload_growth * len(content)
    if total > most:
        message = f"the blobs overlap: they are {total} bytes in a file of {len(content)}"
        message = f"{message}, the limit is {most}"
        raise _error("LimitExceeded", message, name="payload_growth", actual=total, max=most)
    return Container(content, header, tuple(records), entries)


def _check_names(records: Sequence[tuple[int, bytes]], entries: Sequence[Entry], most: int) -> None:
    named = [("the model's name", value) for kind, value in records if kind == NAME]
    named += [(f"the name of blob {k}", entry.name) for k, entry in enumerate(entries)]
    for what, name in named:
        if len(name) > most:
            message = f"{what} has {len(name)} bytes, the limit is {most}"
            raise _error("LimitExceeded", message, name="name_bytes", actual=len(name), max=most)


_HINTS = {
    ENCRYPTED_MAGIC: f" (an encrypted container, were it {ENCRYPTED_BYTES} bytes long or more)",
    b"RMD1": " (the file is RMD1)",
}


def _records(reader: Reader) -> tuple[list[tuple[int, bytes]], FormatError | None]:
    """The records up to the end, or to the one that is cut off."""
    records: list[tuple[int, bytes]] = []
    try:
        while reader.left:
            kind = reader.u8("a record's type")
            if kind:  # a zero is padding
                length = reader.u32("a record's length")
                records.append((kind, reader.take(length, f"record {len(records)}")))
    except FormatError as cut:
        return records, cut
    return records, None


def _entries(content: bytes, tables: list[bytes]) -> tuple[Entry, ...]:
    """The blobs of all tables.

    The records of version 0.1 of the crate have no digest and nothing tells them from those that
    do. One form holds for the whole file: that with digests if every table divides exactly into
    such records, else that without if they all divide so, else that with digests, which then fails
    where the first record does. A file that both forms divide is read as the crate reads it since
    0.3, which knows only digests.
    """
    found = _divided(tables, digests=True)
    if found is None:
        found = _divided(tables, digests=False)
    entries: list[Entry] = []
    for entry in found if found is not None else _walk_all(tables, digests=True):
        _check(entry, len(entries), len(content))
        entries.append(entry)
    return tuple(entries)


def _divided(tables: list[bytes], digests: bool) -> list[Entry] | None:
    """The entries, if every table divides exactly into records of that form."""
    try:
        return list(_walk_all(tables, digests))
    except FormatError:
        return None


def _walk_all(tables: list[bytes], digests: bool) -> Iterator[Entry]:
    return (entry for table in tables for entry in _walk(table, digests))


def _walk(table: bytes, digests: bool) -> Iterator[Entry]:
    reader = Reader(table, "blob table", "BadHeader")
    while reader.left:
        name = reader.take(reader.u16("a name's length"), "a name")
        dtype, rank = reader.u8("a dtype"), reader.u8("ndim")
        dims = tuple(reader.u32_rows(1, rank, "dims")[0])
        offset, length = reader.u64("an offset"), reader.u64("a length")
        digest = reader.take(DIGEST_BYTES, "a digest") if digests else _NO_DIGEST
        present = digest if digest != _NO_DIGEST else None
        yield Entry(name, dtype, dims, offset, length, present)


def _check(entry: Entry, number: int, size: int) -> None:
    where = f"blob {number} ({printable(entry.name)!r})"
    if not entry.dims:
        raise _error("BadHeader", f"{where}: ndim is 0, expected at least 1", blob=number)
    if entry.dtype > MOST_DTYPE:
        message = f"{where}: dtype is {entry.dtype}, expected 0 f32, 1 f64 or 2 bytes"
        raise _error("BadHeader", message, blob=number)
    if entry.offset + entry.length > size:
        message = f"{where}: ends at byte {entry.offset + entry.length}, the file has {size}"
        raise _error("BadBounds", message, blob=number)


def printable(name: bytes) -> str:
    """A name for people: what cannot be printed, or is not UTF-8, as escapes."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _error(kind: str, message: str, **fields: object) -> FormatError:
    return FormatError(Problem(kind, message, fields=fields))
