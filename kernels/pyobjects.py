"""Where CPython and NumPy keep what machine code reads of their objects, and functions made of it.

Sources: ``PyArrayObject_fields`` in NumPy's ``ndarraytypes.h``, whose layout NumPy keeps within an
ABI (Numba's own code relies on it), and ``PyObject`` of CPython. ``readable`` compares all of it
with live objects, so a layout that differs costs speed and never a wrong read.
"""

from __future__ import annotations

import ctypes
import sysconfig
from functools import cache
from typing import Any

import numpy as np

HEADER = object.__basicsize__
WORD = ctypes.sizeof(ctypes.c_void_p)

TYPE = HEADER - WORD
DATA, DIMENSIONS, SHAPE, STRIDES, BASE, DESCR, FLAGS = (HEADER + WORD * i for i in range(7))
"""Offsets in an array object; ``DIMENSIONS`` and ``FLAGS`` are C ints, the others pointers."""

CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
"""Bits of ``FLAGS``; an array with CONTIGUOUS is C-contiguous."""

FLOAT32 = 11
"""NumPy's type number (``NPY_FLOAT``)."""

NEW_ARRAY = 93
"""Place of ``PyArray_New`` in NumPy's table of functions."""

METH_FASTCALL = 0x80


class _Method(ctypes.Structure):
    """CPython's ``PyMethodDef``."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def address(name: str) -> int:
    """Address of what machine code knows by a name.

    "None" and "NotImplemented"; "ndarray", the type of arrays; "float32", the one object that
    describes it; "new_array",
    ``PyArray_New(type, nd, dims, number, strides, data, size, flags, object)``; or a function of
    the C library or of CPython's C API.
    """
    if name in OBJECTS:
        return id(OBJECTS[name])
    if name == "new_array":
        return _new_array()
    return int(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0)


UNREADY = NotImplemented
"""What machine code answers for "not yet" (``sharing``)."""

OBJECTS = {
    "None": None,
    "NotImplemented": UNREADY,
    "ndarray": np.ndarray,
    "float32": np.dtype(np.float32),
}


@cache
def readable() -> bool:
    """Whether objects of this interpreter are laid out as this module says."""
    if WORD != 8 or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    try:
        return bool(_new_array()) and all(_as_described(probe) for probe in _probes())
    except (AttributeError, ImportError, ValueError):
        return False


def method(name: str, address: int, held: Any) -> Any:
    """A Python callable of machine code ``f(held, arguments, count)``, positional arguments only.

    ``held``, any object, stays alive with the callable.
    """
    found = _described(name, address)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(found), held, None)


@cache
def _described(name: str, address: int) -> _Method:
    """Kept for ever: CPython keeps a pointer to it."""
    return _Method(name.encode(), address, METH_FASTCALL, None)


@cache
def _new_array() -> int:
    table = _numpy_table()
    return int((ctypes.c_void_p * (NEW_ARRAY + 1)).from_address(table)[NEW_ARRAY] or 0)


def _numpy_table() -> int:
    core = getattr(np, "_core", None) or np.core
    capsule = core._multiarray_umath._ARRAY_API
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype = ctypes.c_void_p
    get.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, None))


def _probes() -> list[Any]:
    whole = np.zeros((3, 5), np.float32)
    locked = np.zeros(4, np.float32)
    locked.flags.writeable = False
    return [whole, whole[:, 1:], locked, np.zeros((2, 2, 2), np.float32)]


def _as_described(array: Any) -> bool:
    at = id(array)
    flags = (
        CONTIGUOUS * array.flags.c_contiguous
        | ALIGNED * array.flags.aligned
        | WRITEABLE * array.flags.writeable
    )
    shape = _word(at + SHAPE)
    return (
        _word(at + TYPE) == address("ndarray")
        and _word(at + DATA) == array.ctypes.data
        and ctypes.c_int.from_address(at + DIMENSIONS).value == array.ndim
        and tuple(_word(shape + WORD * i) for i in range(array.ndim)) == array.shape
        and _word(at + DESCR) == address("float32")
        and ctypes.c_int.from_address(at + FLAGS).value & (CONTIGUOUS | ALIGNED | WRITEABLE)
        == flags
    )


def _word(address: int) -> int:
    return int(ctypes.c_int64.from_address(address).value)
