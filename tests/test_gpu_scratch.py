"""Scratch in global memory: never of two launches at a time, and not more than a few pieces."""

from __future__ import annotations

import threading
import warnings

import fake_numba_cuda as fake
import numpy as np
import pytest
from foreign_arrays import TorchTensor, on_fake_device
from nets import dense, rows_for
from plain_run import same_bits

from instjit import reference
from instjit.gpu import scratch
from instjit.gpu.kernel import CudaKernel

MODEL = dense(4, 6, 3)
X = rows_for(MODEL, 23).astype(np.float32)
STREAMS = [0x7000 + 16 * number for number in range(7)]


@pytest.fixture(params=[None, 1, 2, 3], ids=["late", "random 1", "random 2", "random 3"])
def machine(request, monkeypatch):
    with fake.installed(monkeypatch, MODEL, seed=request.param) as machine:
        yield machine


@pytest.fixture
def kernel(machine) -> CudaKernel:
    kernel = CudaKernel(MODEL, form="block", shared_bytes=0)
    kernel.warm()
    machine.log.clear()
    return kernel


def test_the_constants_are_there_before_any_stream_is_used(machine) -> None:
    """Streams of other packages do not wait for the default stream, where they are copied."""
    kernel = CudaKernel(MODEL)
    found = launched(kernel, X, STREAMS[0])
    fake.Stream(STREAMS[0]).synchronize()
    assert same_bits(found, reference.run(MODEL, X))


def batches(count: int) -> list[np.ndarray]:
    return [np.roll(X, number, axis=0) for number in range(count)]


def launched(kernel: CudaKernel, rows: np.ndarray, stream: int) -> np.ndarray:
    """The memory of the result, which is there when the work is done."""
    held: np.ndarray = kernel.predict(TorchTensor(on_fake_device(rows)), stream=stream).held
    return held


@pytest.mark.parametrize("streams", [STREAMS[:1], STREAMS[:3], STREAMS, [*STREAMS[:1], 1, 2]])
def test_launches_on_many_streams_do_not_share_scratch(machine, kernel, streams) -> None:
    inputs = batches(20)
    found = [launched(kernel, x, streams[n % len(streams)]) for n, x in enumerate(inputs)]
    for stream in reversed(streams):
        fake.Stream(stream).synchronize()
    for x, y in zip(inputs, found, strict=True):
        assert same_bits(y, reference.run(MODEL, x))


def test_scratch_is_bounded(machine, kernel) -> None:
    each = kernel.source.scratch_floats
    before = machine.floats(fake.DEVICE)
    for x, stream in zip(batches(7), STREAMS, strict=True):
        launched(kernel, x, stream)
    results_and_rows = 7 * (X.size + 23 * 3)
    assert machine.floats(fake.DEVICE) - before == scratch.KEPT * each + results_and_rows


@pytest.mark.parametrize(
    ("asked", "held"), [([1], [1]), ([3, 1, 2], [3, 3, 3]), ([1, 2, 3, 6, 7], [1, 2, 4, 8, 8])]
)
def test_a_piece_grows_with_the_blocks_that_are_launched(machine, asked, held) -> None:
    memory, found = scratch.Scratch(10, 8), []
    for blocks in asked:
        with memory.taken(STREAMS[0], blocks) as piece:
            found.append(piece.size // 10)
    assert found == held
    waits = [name for name, _ in machine.log].count("synchronize")
    assert waits == len(set(held)) - 1


def test_a_piece_is_given_up_after_the_launch_in_it(machine, kernel) -> None:
    """It was of one block, which is too little for the rows of the second call."""
    many = np.tile(X, (3, 1))
    found = [launched(kernel, x, STREAMS[0]) for x in (X[:2], many)]
    assert same_bits(found[0], reference.run(MODEL, X[:2]))
    (piece, _), *_ = kernel._here()._scratch._pieces.values()
    assert piece.size == 3 * kernel.source.scratch_floats
    fake.Stream(STREAMS[0]).synchronize()
    assert same_bits(found[1], reference.run(MODEL, many))


def test_a_stream_keeps_its_scratch_while_it_is_used(machine, kernel) -> None:
    """The one unused for longest goes to another stream, which waits on the device."""
    for stream in (*STREAMS[:4], STREAMS[0], STREAMS[4]):
        launched(kernel, X, stream)
    kept = kernel._here()._scratch._pieces
    assert list(kept) == [*STREAMS[2:4], STREAMS[0], STREAMS[4]]
    assert "synchronize" not in [name for name, _ in machine.log]


def test_a_handle_may_have_become_another_stream(machine, kernel) -> None:
    """A stream that was destroyed with work under way, and a new one at its address."""
    first, second = batches(2)
    found = [launched(kernel, first, STREAMS[0])]
    machine.queues[0x9999] = machine.queues.pop(STREAMS[0])
    found.append(launched(kernel, second, STREAMS[0]))
    fake.Stream(STREAMS[0]).synchronize()
    fake.Stream(0x9999).synchronize()
    assert same_bits(found[1], reference.run(MODEL, second))
    assert same_bits(found[0], reference.run(MODEL, first))


def test_threads_launch_and_predict_side_by_side(machine, kernel) -> None:
    wrong: list[int] = []

    def call(number: int) -> None:
        for turn, x in enumerate(batches(5)):
            wanted = reference.run(MODEL, x)
            if (turn + number) % 2:
                found = kernel.predict(x)
            else:
                found = launched(kernel, x, STREAMS[number])
                fake.Stream(STREAMS[number]).synchronize()
            if not same_bits(found, wanted):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scratch_is_not_taken_before_the_launch_in_it_is_on_its_stream(machine) -> None:
    memory = scratch.Scratch(1, 1)
    for stream in STREAMS[: scratch.KEPT]:
        with memory.taken(stream, 1):
            pass
    thread = threading.Thread(target=lambda: memory.taken(STREAMS[-1], 1).__enter__())
    with memory.taken(STREAMS[0], 1):
        thread.start()
        thread.join(0.02)
        machine.put(STREAMS[0], "launch", lambda: None)
    thread.join()
    both = ("launch", STREAMS[0]), ("wait", STREAMS[-1])
    assert [entry for entry in machine.log if entry in both] == list(both)


def test_launches_of_two_threads_leave_the_warnings_of_the_process_alone(
    machine, kernel, monkeypatch
) -> None:
    """Numba warns of small grids; two threads in ``catch_warnings`` could end that for good."""
    entered, left = threading.Event(), threading.Event()
    calls: list[int] = []
    configured = fake.Kernel.__getitem__

    def slowly(self: fake.Kernel, configuration: tuple[object, ...]) -> object:
        calls.append(1)
        if len(calls) == 1:
            entered.wait(0.02)
        else:
            entered.set()
            left.wait(0.5)
        return configured(self, configuration)

    def launch() -> None:
        launched(kernel, X, STREAMS[0])
        left.set()

    monkeypatch.setattr(fake.Kernel, "__getitem__", slowly)
    before = list(warnings.filters)
    threads = [threading.Thread(target=launch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
