"""Arrays and streams of others, told apart without a GPU."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

import instjit as ij
from instjit.gpu.arrays import on_device, stream_key


def dlpack(kind: int) -> SimpleNamespace:
    return SimpleNamespace(__dlpack_device__=lambda: (kind, 0))


@pytest.mark.parametrize(
    ("array", "there"),
    [
        (np.zeros(3), False),
        (None, False),
        ([1.0], False),
        (SimpleNamespace(__cuda_array_interface__={}), True),
        *((dlpack(kind), kind in (2, 13)) for kind in (1, 2, 3, 4, 7, 8, 10, 11, 13, 14)),
    ],
)
def test_device_memory_is_that_of_cuda_alone(array, there) -> None:
    """Page-locked host memory is kind 3 of DLPack, and goes the way of host arrays."""
    assert on_device(array) == there


def test_a_tensor_that_cannot_be_read_is_refused_with_its_own_reason() -> None:
    class Tensor:
        @property
        def __cuda_array_interface__(self) -> None:
            raise RuntimeError("use var.detach()")

    with pytest.raises(ij.InputError, match=r"Tensor cannot be read: use var\.detach\(\)"):
        on_device(Tensor())


@pytest.mark.parametrize("stream", [0, 2, SimpleNamespace(handle=SimpleNamespace(value=2))])
def test_a_default_stream_of_another_thread_is_another_stream(stream) -> None:
    keys = [stream_key(stream)]
    thread = threading.Thread(target=lambda: keys.append(stream_key(stream)))
    thread.start()
    thread.join()
    assert keys[0] != keys[1]
    assert stream_key(stream) == keys[0]


@pytest.mark.parametrize(
    "stream",
    [0x7F00, SimpleNamespace(handle=0x7F00), SimpleNamespace(handle=SimpleNamespace(value=0x7F00))],
)
def test_a_stream_is_known_by_its_address(stream) -> None:
    assert stream_key(stream) == 0x7F00
