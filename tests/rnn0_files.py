r"""RNN\0 containers built by hand, field by field, so that any of them can be wrong."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import instjit as ij

BENCHMARK = (6, b"BMK\x01")


@dataclass(frozen=True)
class Blob:
    """A record of a table. ``None``: what fits the payload."""

    name: bytes
    payload: bytes = b""
    dtype: int = 0
    dims: tuple[int, ...] = (1,)
    offset: int | None = None
    length: int | None = None
    digest: bytes | None = None


def entry(blob: Blob, offset: int, digests: bool = True) -> bytes:
    """One record of a blob table."""
    digest = hashlib.sha256(blob.payload).digest() if blob.digest is None else blob.digest
    return b"".join(
        (
            struct.pack("<H", len(blob.name)),
            blob.name,
            struct.pack(f"<BB{len(blob.dims)}I", blob.dtype, len(blob.dims), *blob.dims),
            struct.pack(
                "<QQ",
                offset if blob.offset is None else blob.offset,
                len(blob.payload) if blob.length is None else blob.length,
            ),
            digest if digests else b"",
        )
    )


def record(kind: int, value: bytes) -> bytes:
    """A header record."""
    return struct.pack("<BI", kind, len(value)) + value


def file(area: bytes, payloads: bytes = b"", *, version: int = 1, flags: int = 0, size=None):
    """Fixed part, header area, the rest."""
    size = 12 + len(area) if size is None else size
    return b"RNN\0" + struct.pack("<HHI", version, flags, size) + area + payloads


def container(
    *blobs: Blob,
    records: Sequence[tuple[int, bytes]] = (BENCHMARK,),
    digests: bool = True,
    tables: int = 1,
    shift: int = 0,
    **fixed,
) -> bytes:
    """A file of these blobs, ``tables`` tables of equal length; payloads follow the header."""
    head = b"".join(record(kind, value) for kind, value in records)
    share = -(-len(blobs) // tables) if blobs else 0

    def area(start: int) -> bytes:
        places = [start + shift]
        for blob in blobs:
            places.append(places[-1] + len(blob.payload))
        each = [entry(blob, place, digests) for blob, place in zip(blobs, places, strict=False)]
        parts = [b"".join(each[k * share : (k + 1) * share]) for k in range(tables)]
        return head + b"".join(record(3, part) for part in parts)

    header = area(12 + len(area(0)))
    return file(header, bytes(shift) + b"".join(blob.payload for blob in blobs), **fixed)


def meta(*layers: tuple[int, ...]) -> bytes:
    """Layer records: inputs, outputs, weight offset, bias offset, activation."""
    return b"".join(struct.pack("<4IB3x", *layer) for layer in layers)


def floats(*values: float, dtype: int = 0) -> bytes:
    """Numbers of a payload."""
    return struct.pack(f"<{len(values)}{'fd'[dtype]}", *values)


LAYERS = ((2, 2, 0, 0, 1), (2, 1, 4, 2, 0))
"""2 -> 2 relu -> 1."""


def network(
    layers: Sequence[tuple[int, ...]] = LAYERS,
    weights: Sequence[float] = (1, -2, 0.5, 3, -1, 0.25),
    biases: Sequence[float] = (0.5, -0.5, 1),
    dtype: int = 0,
) -> tuple[Blob, Blob, Blob]:
    """The three blobs of a network: layer_meta, weights, biases."""
    return (
        Blob(b"layer_meta", meta(*layers), dtype, (len(layers), 5)),
        Blob(b"weights", floats(*weights, dtype=dtype), dtype, (len(weights),)),
        Blob(b"biases", floats(*biases, dtype=dtype), dtype, (len(biases),)),
    )


def changed(number: int, **fields) -> tuple[Blob, Blob, Blob]:
    """The network with other fields in one of its blobs."""
    blobs = list(network())
    blobs[number] = replace(blobs[number], **fields)
    return tuple(blobs)


def without(number: int) -> tuple[Blob, ...]:
    """The network without one of its blobs."""
    return tuple(blob for k, blob in enumerate(network()) if k != number)


def dense(*sizes: int, dtype: str = "float32", seed: int = 0, activation=ij.Activation.TANH):
    """A chain of DOTs."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(sizes))
    return ij.Model(
        sizes,
        [ij.Dot(k, k + 1, k, activation) for k in range(len(pairs))],
        [rng.normal(size=(outputs, inputs)) for inputs, outputs in pairs],
        [rng.normal(size=outputs) for _, outputs in pairs],
        feature_size=sizes[0],
        dtype=dtype,
    )
