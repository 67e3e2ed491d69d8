"""What the race asks of a runtime, and what runtimes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from bench.jobs import Layer

Run = Callable[[], object]

PLACES = ("device", "host", "pinned")
"""Where rows and outputs lie: on the device, in ordinary host memory, in page-locked memory."""

HOST_PLACES = PLACES[1:]


class NotApplicable(Exception):
    """A peer that cannot take part in a job, by no fault of its own: why."""


class GpuPeer(Protocol):
    """A net in a runtime.

    Attributes
    ----------
    version
        Of the runtime.
    pieces
        Numbers of equal calls that a batch may be shared out over: the fastest is taken.
    places
        Those of PLACES that it can read and write.
    """

    version: str
    pieces: tuple[int, ...]
    places: tuple[str, ...]

    def __init__(self, layers: tuple[Layer, ...], precision: str = "float32") -> None: ...

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        """Return a call that fills ``out`` from ``x``, ``chunk`` rows at a time."""
        ...


def blocks(x: Any, out: Any, chunk: int) -> Iterator[tuple[Any, Any]]:
    """Views of ``chunk`` rows of both, the last one shorter where need be."""
    for start in range(0, len(x), chunk):
        yield x[start : start + chunk], out[start : start + chunk]


def address(array: Any) -> int:
    """Where an array begins, on the device or on the host."""
    if isinstance(array, np.ndarray):
        return int(array.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])
