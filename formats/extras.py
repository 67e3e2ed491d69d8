"""What a file holds beside the model, for formats that have a place for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blob:
    """Named bytes of a container.

    Attributes
    ----------
    name
        As in the file; it need not be UTF-8.
    dtype
        0 float32, 1 float64, 2 raw bytes.
    dims
        At least one; nothing compares them with the length.
    payload
        The bytes.
    """

    name: bytes
    dtype: int
    dims: tuple[int, ...]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Extras:
    """Name, records and blobs that travel with a model from file to file of the same format.

    Attributes
    ----------
    name
        Name of the model, or None.
    benchmark
        The benchmark record as it stands in the file, or None.
    records
        Other header records, (type, value), in their order.
    blobs
        Blobs that are not part of the model.
    digests
        Whether the file holds digests of its payloads.
    unread
        Phrases for what else stands in the file: no writer puts it into another.
    """

    name: str | None = None
    benchmark: bytes | None = None
    records: tuple[tuple[int, bytes], ...] = ()
    blobs: tuple[Blob, ...] = ()
    digests: bool = False
    unread: tuple[str, ...] = ()


NONE = Extras()
"""Of a file that holds a model and nothing else."""
