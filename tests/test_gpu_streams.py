"""Streams of others, and the order of work on several."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import fake_numba_cuda as fake
import numpy as np
import pytest
from foreign_arrays import cupy_stream, protocol_stream, torch_stream
from nets import dense

import instjit as ij
from instjit.gpu.streams import ordered, stream_key, stream_of


@pytest.fixture
def machine(monkeypatch):
    with fake.installed(monkeypatch, dense(4, 6, 3)) as machine:
        yield machine


@pytest.mark.parametrize(
    ("stream", "handle"),
    [
        (0x7F00, 0x7F00),
        (np.int64(0x7F00), 0x7F00),
        (1, 1),
        (2, 2),
        (torch_stream(0x7F00), 0x7F00),
        (torch_stream(0), 1),
        (cupy_stream(0x7F00), 0x7F00),
        (cupy_stream(0x7F00, device=-1), 0x7F00),
        (cupy_stream(0, device=-1), 1),
        (cupy_stream(2, device=-1), 2),
        (protocol_stream(0x7F00), 0x7F00),
        (protocol_stream(0), 1),
        (SimpleNamespace(__cuda_stream__=(0, 0x7F00)), 0x7F00),
        (SimpleNamespace(__cuda_stream__=lambda: (0, 0x7F00), cuda_stream=0x1), 0x7F00),
    ],
)
def test_a_stream_of_anybody_becomes_one_of_numba(machine, stream, handle) -> None:
    """Another package's default stream is CUDA's shared one, 1, whatever Numba's own default is."""
    found = stream_of(stream, 0)
    assert type(found.handle) is int
    assert found.handle == handle


@pytest.mark.parametrize("stream", [None, 0])
def test_no_stream_is_numbas_default(machine, stream) -> None:
    assert stream_of(stream, 0) == 0


def test_a_stream_of_numba_stays_itself(machine) -> None:
    stream = fake._stream()
    assert stream_of(stream, 0) is stream


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ("0", "got str"),
        (True, "got bool"),
        (1.0, "got float"),
        (SimpleNamespace(ptr="7"), "got SimpleNamespace"),
        (-1, "negative: -1"),
        (torch_stream(0x7F00, device=1), "one of device 1, the current device is 0"),
        (cupy_stream(0x7F00, device=1), "one of device 1, the current device is 0"),
    ],
)
def test_what_is_no_stream_of_this_device_is_refused(machine, stream, said) -> None:
    with pytest.raises(ij.InputError, match=said) as raised:
        stream_of(stream, 0)
    assert raised.value.kind == "InputType"


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


def test_work_comes_after_what_other_streams_have_and_before_what_they_get(machine) -> None:
    done: list[str] = []
    machine.put(0x7F00, "work", lambda: done.append("theirs"))
    with ordered(fake.Stream(0x8F00), [fake.Stream(0x7F00), fake.Stream(0x8F00), 0]):
        machine.put(0x8F00, "work", lambda: done.append("ours"))
    machine.put(0x7F00, "work", lambda: done.append("theirs, later"))
    fake.Stream(0x7F00).synchronize()
    assert done == ["theirs", "ours", "theirs, later"]


@pytest.mark.parametrize("others", [(), (0, 0), (fake.Stream(0x8F00), 0)])
def test_work_on_one_stream_needs_no_events(machine, others) -> None:
    with ordered(fake.Stream(0x8F00), others):
        pass
    assert machine.log == []
