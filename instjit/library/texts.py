"""The C texts that come with the package, and what is filled in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import instjit.kernels
from instjit.errors import InputError, Problem

FOLDER = Path(next(iter(instjit.kernels.__path__))) / "c"

MODEL_BYTES = """NULL, 0 for the library's own numbers, or RMD1 bytes of the
 *     same structure (layers, sizes, activations), which bring others: a network trained again."""
ANY_BYTES = "RMD1 bytes, which are the model."

RESERVED = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if
    inline instjit int long register restrict return short signed sizeof static struct switch
    typedef union unsigned void volatile while""".split()  # noqa: SIM905
)
"""Words of C; instjit_info and instjit_model are types."""


@cache
def text(name: str) -> str:
    """A file of ``kernels/c``."""
    return (FOLDER / name).read_text(encoding="ascii")


def header(name: str, *, own_numbers: bool = True) -> str:
    """The header of a library with that prefix."""
    filled = text("library.h").replace("CREATE_BYTES", MODEL_BYTES if own_numbers else ANY_BYTES)
    filled = filled.replace("INSTJIT_NAME_H", guard(name))
    return re.sub(r"\bNAME(?=[_:])", name, filled)


def guard(name: str) -> str:
    """The macro that says that a header has been read."""
    return f"INSTJIT_LIBRARY_{name.upper()}_H"


def checked_name(name: str) -> str:
    """A prefix of C functions.

    Raises
    ------
    InputError
        UnknownForm for what is no C identifier or a word of C.
    """
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and name not in RESERVED:
        return name
    sentence = f"name {name!r} is no C identifier, which begins every function of the library"
    raise InputError(Problem("UnknownForm", sentence, fields={"name": name}))


def name_of(path: str) -> str:
    """A prefix from the name of a file: ``libmy-net.so`` is my_net."""
    stem = Path(path).name.split(".", 1)[0]
    plain = re.sub(r"\W", "_", stem.removeprefix("lib"), flags=re.ASCII).lower()
    plain = plain if re.match("[a-z]", plain) else f"model_{plain}".rstrip("_")
    return plain if plain not in RESERVED else f"{plain}_model"


def quoted(words: str) -> str:
    """A string literal of C: UTF-8, everything but plain ASCII as octal digits."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in words.encode("utf-8", "surrogatepass")
    )
    return f'"{"".join(plain)}"'
