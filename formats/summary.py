r"""The network summary of an RNN\0 container: seven figures in a header record.

The long form is 30 bytes in run lengths, the compact form 16 bytes in which counts stop at 65,535.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from instjit.errors import FormatError, Problem
from instjit.formats.reader import Reader

LAYER_META, WEIGHTS, BIASES, NEURON_POSITIONS = 1, 2, 4, 8
"""Flags: which blobs there are."""

_VERSION = _CODEC = 1
_LONG_MAGIC = b"S5D0\x01"
_LONG_BYTES = 30
_COMPACT_MAGIC = b"VIZ\0"
_COMPACT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Summary:
    """What a writer says of the network.

    Attributes
    ----------
    dtype
        0 float32, 1 float64.
    layer_count, total_neurons
        Layers; their outputs together and the inputs.
    weights_len, biases_len
        Numbers in both payloads.
    blob_count
        Blobs of the container.
    flags
        Which blobs there are; None in the compact form.
    """

    dtype: int
    layer_count: int
    total_neurons: int
    weights_len: int
    biases_len: int
    blob_count: int
    flags: int | None = None


def decode(value: bytes) -> Summary:
    """Read either form.

    Raises
    ------
    FormatError
        BadHeader: the value is neither.
    """
    if len(value) == _COMPACT_BYTES and value.startswith(_COMPACT_MAGIC):
        return _compact(Reader(value, "network summary", "BadHeader", len(_COMPACT_MAGIC)))
    reader = Reader(value, "network summary", "BadHeader")
    version, codec = reader.u8("the version"), reader.u8("the codec")
    if (version, codec) != (_VERSION, _CODEC):
        raise _error(f"version {version} codec {codec}, expected version 1 codec 1")
    expanded = _expanded(reader)
    if len(expanded) != _LONG_BYTES or not expanded.startswith(_LONG_MAGIC):
        message = f"{len(expanded)} bytes that begin with {expanded[:5]!r}"
        raise _error(f"expands to {message}, expected {_LONG_BYTES} and {_LONG_MAGIC!r}")
    figures = Reader(expanded, "network summary", "BadHeader", len(_LONG_MAGIC))
    return Summary(figures.u8("dtype"), *(figures.u32("a count") for _ in range(6)))


def encode(summary: Summary) -> bytes:
    """Write the long form; every figure fits into 32 bits."""
    figures = (
        summary.layer_count,
        summary.total_neurons,
        summary.weights_len,
        summary.biases_len,
        summary.blob_count,
        summary.flags or 0,
    )
    words = b"".join(figure.to_bytes(4, "little") for figure in figures)
    value = bytearray((_VERSION, _CODEC))
    for byte, run in groupby(_LONG_MAGIC + bytes((summary.dtype,)) + words):
        value += bytes((len(list(run)), byte))
    return bytes(value)


def _compact(reader: Reader) -> Summary:
    dtype, layers, neurons = reader.u8("dtype"), reader.u16("layers"), reader.u32("neurons")
    weights, biases = reader.u16("weights"), reader.u16("biases")
    return Summary(dtype, layers, neurons, weights, biases, reader.u8("blobs"))


def _expanded(reader: Reader) -> bytes:
    """The run lengths written out; at most 255 bytes more than there should be."""
    expanded = bytearray()
    while reader.left and len(expanded) <= _LONG_BYTES:
        run, byte = reader.u8("a run"), reader.u8("a value")
        if not run:
            raise _error("a run of 0 bytes")
        expanded += bytes((byte,)) * run
    return bytes(expanded)


def _error(message: str) -> FormatError:
    return FormatError(Problem("BadHeader", f"network summary: {message}"))
