"""Streams that callers hand over, and the order of work on several of them."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from instjit.errors import InputError, Problem
from instjit.gpu import build

LEGACY = 1
"""Handle of the default stream that all threads share; 0 is what Numba takes for the default."""

PER_THREAD = (0, 2)
"""Handles of default streams, which may be other streams in other threads."""


def stream_of(stream: Any, device: int) -> Any:
    """Numba's view of a stream.

    Parameters
    ----------
    stream
        One of Numba, Torch or CuPy, an object with ``__cuda_stream__``, or an address; 1 and 2 are
        CUDA's default streams, the shared one and the thread's own. None or 0: Numba's default.
    device
        Number of the current device.

    Returns
    -------
    A stream of Numba, or 0 for its default stream.

    Raises
    ------
    InputError
        InputType: it is no stream, or one of another device.
    """
    from numba import cuda

    if stream is None or type(stream).__module__.startswith("numba."):
        return 0 if stream is None else stream
    address = _number(stream)
    if address is None:
        _check_device(stream, device)
        # the default of another package is the shared one, whatever Numba's own is
        address = _address(stream) or LEGACY
    if address < 0:
        raise InputError(Problem("InputType", f"the stream's address is negative: {address}"))
    return cuda.external_stream(address) if address else 0


def handle_of(stream: Any) -> int:
    """The address of a stream of Numba; 0 for the default.

    Raises
    ------
    TypeError
        It has none, as in the simulator.
    """
    handle = getattr(stream, "handle", stream)
    return int(getattr(handle, "value", handle) or 0)


def stream_key(stream: Any) -> Any:
    """What tells streams apart: the address, and for default streams the thread as well."""
    try:
        number = handle_of(stream)
    except TypeError:
        return id(stream)
    return (number, threading.get_ident()) if number in PER_THREAD else number


def new_event() -> Any:
    """An event of Numba that keeps no time, which makes it cheaper."""
    from numba import cuda

    return cuda.event() if build.simulated() else cuda.event(timing=False)


@contextmanager
def ordered(stream: Any, others: Iterable[Any]) -> Iterator[None]:
    """Put the work inside on ``stream`` after what ``others`` have, before what they will get.

    Streams are those of Numba; 0, of an array that names none, has no order to keep.
    """
    key = stream_key(stream)
    apart = {stream_key(other): other for other in others if other}
    apart.pop(key, None)
    for other in apart.values():
        event = new_event()
        event.record(other)
        event.wait(stream)
    yield
    if apart:
        event = new_event()
        event.record(stream)
        for other in apart.values():
            event.wait(other)


def _number(stream: Any) -> int | None:
    """An address that is given as a number."""
    if isinstance(stream, bool):
        return None
    try:
        return operator.index(stream)
    except TypeError:
        return None


def _address(stream: Any) -> int:
    """The address of another package's stream; 0 for its default."""
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        _, address = protocol() if callable(protocol) else protocol  # a method since 2025
        return int(address)
    for name in ("cuda_stream", "ptr"):  # Torch, CuPy
        address = _number(getattr(stream, name, None))
        if address is not None:
            return address
    sentence = (
        "stream must be a stream of Numba, Torch or CuPy, or an address, "
        f"got {type(stream).__name__}"
    )
    raise InputError(Problem("InputType", sentence))


def _check_device(stream: Any, device: int) -> None:
    """Refuse a stream of another device, where it tells; CuPy says -1 when it does not know."""
    for name in ("device_index", "device_id"):  # Torch, CuPy
        number = _number(getattr(stream, name, None))
        if number is not None and number >= 0 and number != device:
            sentence = f"the stream is one of device {number}, the current device is {device}"
            raise InputError(Problem("InputType", sentence))
