"""What an ELF object leaves open, read from the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SYMBOL_TABLE = 2


@dataclass(frozen=True, slots=True)
class Form:
    """How an ELF file of one word size lays things out.

    Attributes
    ----------
    table, counts
        Places of the address of the section table, and of its entries' size and number.
    word, section, symbol
        An address, a section (offset, size and link are entries 4 to 6), a symbol.
    where
        Entry of a symbol that tells its section, 0 for none.
    """

    table: int
    counts: int
    word: struct.Struct
    section: struct.Struct
    symbol: struct.Struct
    where: int


FORMS = {
    b"\x7fELF\x01\x01": Form(
        0x20, 0x2E, struct.Struct("<I"), struct.Struct("<10I"), struct.Struct("<IIIBBH"), 5
    ),
    b"\x7fELF\x02\x01": Form(
        0x28, 0x3A, struct.Struct("<Q"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), 3
    ),
}
"""By the file's first bytes: 32 and 64 bits, little-endian."""


def undefined(content: bytes) -> tuple[str, ...] | None:
    """Names that an ELF object leaves open, None for any other file."""
    form = FORMS.get(content[:6])
    if form is None:
        return None
    (start,) = form.word.unpack_from(content, form.table)
    size, count = struct.unpack_from("<HH", content, form.counts)
    sections = [form.section.unpack_from(content, start + size * i) for i in range(count)]
    found: set[str] = set()
    for section in sections:
        if section[1] == SYMBOL_TABLE:
            found.update(_undefined(content, form, section, sections[section[6]][4]))
    return tuple(sorted(found))


def _undefined(content: bytes, form: Form, section: tuple[int, ...], names: int) -> Iterator[str]:
    for at in range(section[4], section[4] + section[5], form.symbol.size):
        symbol = form.symbol.unpack_from(content, at)
        if symbol[0] and symbol[form.where] == 0:
            begin = names + symbol[0]
            yield content[begin : content.index(b"\0", begin)].decode()
