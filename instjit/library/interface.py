"""The C interface of a library through ctypes: its structs, its functions, its statuses."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from instjit.errors import FormatError, InputError, Problem

API_VERSION = 1
KINDS = {
    1: "NullPointer",
    2: "InputShape",
    3: "ComputationBufferTooSmall",
    4: "Misaligned",
    5: "Overlap",
    6: "BadStructSize",
    7: "UnsupportedCpu",
    8: "UnknownCpu",
    9: "OutOfMemory",
    10: "Truncated",
    11: "BadMagic",
    12: "BadVersion",
    13: "BadHeader",
    14: "InvalidActivation",
    15: "InvalidLayer",
    16: "IncompatibleChain",
    17: "StructureMismatch",
    18: "NotADenseChain",
    19: "LimitExceeded",
}
"""Kind of the problem of each status."""

OF_THE_FILE = (*range(10, 17), 19)


class Options(ctypes.Structure):
    """``instjit_options``."""

    _fields_ = (("size", ctypes.c_uint64), ("cpu", ctypes.c_char_p))


class Info(ctypes.Structure):
    """``instjit_info``."""

    _fields_ = (
        ("size", ctypes.c_uint64),
        ("input_size", ctypes.c_uint64),
        ("output_size", ctypes.c_uint64),
        ("row_scratch_bytes", ctypes.c_uint64),
        ("batch_scratch_bytes", ctypes.c_uint64),
        ("scratch_alignment", ctypes.c_uint64),
        ("instruction_count", ctypes.c_uint64),
        ("weight_count", ctypes.c_uint64),
        ("bias_count", ctypes.c_uint64),
        ("parameter_count", ctypes.c_uint64),
        ("feature_count", ctypes.c_uint64),
        ("tile_rows", ctypes.c_uint64),
        ("cpu", ctypes.c_char_p),
        ("digest", ctypes.c_char_p),
        ("version", ctypes.c_char_p),
    )


POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
RUN = [POINTER, SIZE, POINTER, SIZE, POINTER, SIZE]
SIGNATURES = {
    "api_version": (ctypes.c_uint32, []),
    "is_compatible": (ctypes.c_int32, [ctypes.c_uint32]),
    "status_string": (ctypes.c_char_p, [ctypes.c_int32]),
    "create": (
        ctypes.c_int32,
        [ctypes.c_char_p, SIZE, ctypes.POINTER(Options), ctypes.POINTER(POINTER)],
    ),
    "info": (ctypes.c_int32, [POINTER, ctypes.POINTER(Info)]),
    "feature_name": (ctypes.c_char_p, [POINTER, ctypes.c_uint64]),
    "run": (ctypes.c_int32, [POINTER, *RUN]),
    "run_batch": (ctypes.c_int32, [POINTER, ctypes.c_uint64, *RUN]),
    "destroy": (ctypes.c_int32, [POINTER]),
}
"""Result and arguments of each function, by its name without the prefix."""


class Library:
    """The functions of a library, as attributes by their names without the prefix.

    Raises
    ------
    InputError
        NotALibrary: the file cannot be loaded, or instjit did not make it. IncompatibleLibrary:
        it has another version of the interface.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = Path(os.fsdecode(path)).absolute()
        try:
            held = ctypes.CDLL(str(file))
            self.name = _name(held)
            functions = {each: getattr(held, f"{self.name}_{each}") for each in SIGNATURES}
        except (OSError, ValueError, AttributeError) as error:
            sentence = f"{path}: not a library that instjit made: {error}"
            fields = {"path": str(path)}
            raise InputError(Problem("NotALibrary", sentence, fields=fields)) from None
        for each, (result, arguments) in SIGNATURES.items():
            functions[each].restype = result
            functions[each].argtypes = arguments
        self.functions: dict[str, Any] = functions
        self.run_prepared: Any = held[f"{self.name}_run"]
        """``run`` for arguments that are converted already: a quarter of the time."""
        if not functions["is_compatible"](API_VERSION):
            found = functions["api_version"]()
            sentence = f"{path}: version {found} of the interface, expected {API_VERSION}"
            raise InputError(Problem("IncompatibleLibrary", sentence))

    def check(self, status: int) -> None:
        """Raise the error of a status other than 0."""
        if status == 0:
            return
        sentence = self.functions["status_string"](status).decode()
        kind = KINDS.get(status, "UnknownStatus")
        error = FormatError if status in OF_THE_FILE else InputError
        if status == 9:
            raise MemoryError(sentence)
        raise error(Problem(kind, f"{self.name}: {sentence}", fields={"status": status}))


def _name(held: ctypes.CDLL) -> str:
    start = ctypes.c_char.in_dll(held, "instjit_library_name")
    return ctypes.string_at(ctypes.addressof(start)).decode("ascii")
