"""What goes into a pickle: a structure as few bytes, a block of numbers, and a checksum of both."""

from __future__ import annotations

import zlib
from typing import Any

from instjit.errors import FormatError, Problem
from instjit.plain_bytes import Plain, from_bytes, to_bytes

VERSION = 2
"""The first byte. A reader of another version refuses it: models and kernels are pickled anew."""

HEAD = 6
"""Bytes before the structure: the version, CRC-32 of all the rest, the flags."""

SHORT_STRUCTURE, SHORT_NUMBERS = 1, 2
"""Flags: what is deflated."""

PROBED, PIECE = 2**14, 2**10
"""Bytes of a block, deflated to see whether that pays (0.5 ms), and of a piece of a larger one."""

PAYS = 0.75
LEVEL = 1
RAW = -15
"""Deflated without zlib's head and checksum: ours is of what is deflated."""


def sealed(about: Plain, numbers: bytes) -> tuple[bytes, bytes]:
    """Both as a pickle holds them; the first says whether the second is deflated.

    Raises TypeError or OverflowError where ``about`` is not plain.
    """
    plain = to_bytes(about)
    structure, block = deflated(plain), deflated(numbers)
    flags = (structure is not None) * SHORT_STRUCTURE | (block is not None) * SHORT_NUMBERS
    rest = bytes([flags]) + (plain if structure is None else structure)
    block = numbers if block is None else block
    return bytes([VERSION]) + _checksum(rest, block) + rest, block


def opened(content: Any, block: bytes) -> tuple[Plain, bytes]:
    """What was sealed.

    Raises
    ------
    FormatError
        BadVersion, DamagedPickle.
    """
    version = content[0] if isinstance(content, bytes) and content else content
    if version != VERSION:
        sentence = (
            f"this was pickled by another release of instjit, in version {version!r} of its "
            f"pickles; this one reads version {VERSION}: pickle the model or kernel anew"
        )
        raise FormatError(Problem("BadVersion", sentence, fields={"version": version}))
    rest = content[HEAD - 1 :]
    if content[1 : HEAD - 1] != _checksum(rest, block):
        raise damaged("its checksum is wrong")
    structure = inflated(rest[1:]) if rest[0] & SHORT_STRUCTURE else rest[1:]
    return from_bytes(structure), inflated(block) if rest[0] & SHORT_NUMBERS else block


def deflated(content: bytes) -> bytes | None:
    """A block deflated, None where that does not pay."""
    probe = content
    if len(content) > PROBED:
        step = len(content) // (PROBED // PIECE)
        probe = b"".join(content[at : at + PIECE] for at in range(0, len(content), step))
    if len(_deflated(probe)) > PAYS * len(probe):
        return None
    return _deflated(content)


def inflated(content: bytes) -> bytes:
    """The block again; FormatError (DamagedPickle) where it is none."""
    try:
        return zlib.decompress(content, RAW)
    except zlib.error as error:
        raise damaged(str(error)) from error


def damaged(what: str) -> FormatError:
    """The error for a pickle that does not hold what it says."""
    return FormatError(Problem("DamagedPickle", f"this pickle is damaged: {what}"))


def _deflated(content: bytes) -> bytes:
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW)
    return deflate.compress(content) + deflate.flush()


def _checksum(rest: bytes, block: bytes) -> bytes:
    return zlib.crc32(block, zlib.crc32(rest)).to_bytes(HEAD - 2, "little")
