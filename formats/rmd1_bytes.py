"""The bytes of RMD1: header, layer records, weights, biases.

The header is 20 bytes: the magic, version u16, element type u8, one byte that is never read, and
the numbers of layers, weights and biases, u32 each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instjit.collecting import refuse
from instjit.counted import shown
from instjit.errors import FormatError, InputError, Problem
from instjit.formats.dense import (
    DTYPES,
    RECORD_BYTES,
    U32_MAX,
    Dense,
    activation_problems,
    check_layer_count,
    range_problems,
    read_layers,
    record,
)
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.reader import F64, Reader

MAGIC = b"RMD1"
VERSION = 1
HEADER_BYTES = 20


@dataclass(frozen=True, slots=True)
class Header:
    """What the first 20 bytes say."""

    dtype: np.dtype[Any]
    layers: int
    weights: int
    biases: int

    @property
    def file_bytes(self) -> int:
        """Size of the whole file, trailing bytes left out."""
        numbers = self.dtype.itemsize * (self.weights + self.biases)
        return HEADER_BYTES + RECORD_BYTES * self.layers + numbers


def reader_of(content: bytes) -> Reader:
    """A cursor at the first byte; what is no ``bytes`` but a buffer of them is copied."""
    try:
        return Reader(content if isinstance(content, bytes) else bytes(memoryview(content)), "RMD1")
    except TypeError as error:
        message = f"RMD1: expected bytes, got {shown(content)}"
        raise InputError(Problem("BadBytes", message)) from error


def read_start(reader: Reader) -> None:
    """Go past magic and version.

    Raises
    ------
    FormatError
        Truncated (the whole header has to be there), BadMagic, BadVersion, in this order.
    """
    if reader.left < HEADER_BYTES:
        message = f"RMD1: the header takes {HEADER_BYTES} bytes, file has {reader.left}"
        fields = {"wanted": HEADER_BYTES, "bytes": reader.left}
        raise FormatError(Problem("Truncated", message, fields=fields))
    magic = reader.take(len(MAGIC), "the magic")
    if magic != MAGIC:
        message = f"RMD1: expected to begin with {MAGIC!r}, got {magic!r}"
        raise FormatError(Problem("BadMagic", message))
    version = reader.u16("the version")
    if version != VERSION:
        raise FormatError(Problem("BadVersion", f"RMD1: expected version {VERSION}, got {version}"))


def read_header(reader: Reader) -> Header:
    """The header of a file.

    Raises
    ------
    FormatError
        As ``read_start``; BadHeader: an unknown dtype, no layers.
    """
    read_start(reader)
    number = reader.u8("the dtype")
    reader.u8("a byte that no version reads")
    if number not in DTYPES:
        message = f"RMD1: there is no dtype {number}, expected 0 (float32) or 1 (float64)"
        raise FormatError(Problem("BadHeader", message, fields={"dtype": number}))
    layers, weights, biases = (
        reader.u32(f"the number of {what}") for what in ("layers", "weights", "biases")
    )
    if not layers:
        raise FormatError(Problem("BadHeader", "RMD1: header says 0 layers, expected at least 1"))
    return Header(DTYPES[number], layers, weights, biases)


def unpack(content: bytes, limits: Limits = DEFAULT) -> Dense:
    """The network of a file, as it stands there: records, offsets and dtype are kept.

    Numbers are views of ``content``; bytes behind the last bias, and reserved ones, are not read.
    Whether layers fit each other is not asked (``validate_plan``).

    Parameters
    ----------
    content
        The whole file.
    limits
        Bounds on what it may ask for.

    Raises
    ------
    FormatError
        Truncated, BadMagic, BadVersion, BadHeader, InvalidActivation, InvalidLayer, LimitExceeded.
    """
    reader = reader_of(content)
    header = read_header(reader)
    content = reader.content
    if len(content) < header.file_bytes:
        message = f"RMD1: header says {header.file_bytes:,} bytes, file has {len(content):,}"
        fields = {"wanted": header.file_bytes, "bytes": len(content)}
        raise FormatError(Problem("Truncated", message, fields=fields))
    check_layer_count(header.layers, limits)
    layers = read_layers(reader, header.layers)
    refuse(range_problems(layers, header.weights, header.biases))
    return Dense(
        layers,
        reader.floats(header.weights, header.dtype, "the weights"),
        reader.floats(header.biases, header.dtype, "the biases"),
    )


def pack_dense(dense: Dense) -> bytes:
    """The canonical bytes of a network: records and payloads as they are, reserved bytes 0.

    Raises
    ------
    FormatError
        BadHeader: no layers, or more of something than 32 bits count. InvalidLayer,
        InvalidActivation.
    """
    counts = {
        "layers": len(dense.layers),
        "weights": dense.weights.count,
        "biases": dense.biases.count,
    }
    if not dense.layers:
        raise FormatError(Problem("BadHeader", "RMD1: a network without layers cannot be written"))
    for what, number in counts.items():
        if number > U32_MAX:
            message = f"RMD1: a file holds at most {U32_MAX:,} {what}, the network has {number:,}"
            raise FormatError(Problem("BadHeader", message, fields={"name": what, "max": U32_MAX}))
    refuse(
        range_problems(dense.layers, dense.weights.count, dense.biases.count),
        activation_problems(dense.layers),
    )
    head = MAGIC + VERSION.to_bytes(2, "little") + bytes((dense.weights.dtype == F64, 0))
    parts = [head, *(number.to_bytes(4, "little") for number in counts.values())]
    parts += map(record, dense.layers)
    return b"".join([*parts, dense.weights.array.data, dense.biases.array.data])
