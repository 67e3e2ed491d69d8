"""Rows from the host on a fake device: pieces, their order, and what is kept."""

from __future__ import annotations

import threading

import fake_numba_cuda as fake
import numpy as np
import pytest
from foreign_arrays import torch_stream
from nets import dense, rows_for
from plain_run import same_bits

from instjit import reference
from instjit.gpu import staging
from instjit.gpu.kernel import CudaKernel

MODEL = dense(4, 6, 4)
X = rows_for(MODEL, 23).astype(np.float32)
WANTED = reference.run(MODEL, X)
HEIGHT = 5
PIECES = 5


@pytest.fixture(params=[None, 1, 2], ids=["late", "random 1", "random 2"])
def machine(request, monkeypatch):
    monkeypatch.setattr(staging, "CHUNK_BYTES", HEIGHT * 4 * 4)
    with fake.installed(monkeypatch, MODEL, seed=request.param) as machine:
        yield machine


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(staging, "CHUNK_BYTES", HEIGHT * 4 * 4)
    with fake.installed(monkeypatch, MODEL) as machine:
        yield machine


def names(machine: fake.Machine) -> list[str]:
    return [name for name, _ in machine.log]


@pytest.mark.parametrize("count", [1, 5, 6, 10, 11, 23])
@pytest.mark.parametrize("stream", [None, torch_stream(0x7F00), 0])
def test_pieces_come_together(machine, count, stream) -> None:
    kernel = CudaKernel(MODEL)
    for _ in range(2):
        assert same_bits(kernel.predict(X[:count], stream=stream), WANTED[:count])
    assert names(machine).count("launch") == 2 * -(-count // HEIGHT)


@pytest.mark.parametrize("stream", [None, torch_stream(0x7F00)])
def test_a_piece_is_copied_while_the_one_before_is_computed(late, stream) -> None:
    """Piece i + 1 is on its way before anybody waits for piece i, on another stream."""
    CudaKernel(MODEL).predict(X, stream=stream)
    log = [entry for entry in late.log if entry[0] in ("to device", "launch", "synchronize")]
    log = log[stream is not None :]  # the caller's stream is waited for first
    streams = [handle for name, handle in log if name == "launch"]
    assert len(set(streams)) == 2
    assert streams == [*streams[:2] * 2, streams[0]]
    for piece in range(PIECES - 1):
        copied = [at for at, (name, _) in enumerate(log) if name == "to device"][piece + 1]
        waits = [at for at, entry in enumerate(log) if entry == ("synchronize", streams[piece])]
        assert copied < waits[piece // 2]


@pytest.mark.parametrize(
    ("stream", "handle"), [(torch_stream(0x7F00), 0x7F00), (torch_stream(0), 1), (0, 1)]
)
def test_rows_that_a_stream_still_writes_are_waited_for(machine, stream, handle) -> None:
    rows, out = np.zeros((23, 4)), np.zeros_like(WANTED)  # float64 is converted on the host
    kernel = CudaKernel(MODEL)
    kernel.warm()  # which waits for all there is
    machine.put(handle, "to host", lambda: np.copyto(rows, X))
    machine.put(handle, "to host", lambda: np.copyto(out, 7))
    kernel.predict(rows, out, stream=stream)
    machine.finish()
    assert same_bits(out, reference.run(MODEL, rows))


@pytest.mark.parametrize("pinned", ["", "x", "out", "x, out", "x, the same"])
def test_page_locked_arrays_are_copied_from_and_to_themselves(machine, pinned) -> None:
    x, out = X.copy(), np.zeros_like(WANTED)
    if "x" in pinned:
        x = machine.allocated(x, fake.HOST)
    if pinned == "x, the same":
        out = x
    elif "out" in pinned:
        out = machine.allocated(out, fake.HOST)
    before = machine.floats(fake.HOST)
    assert CudaKernel(MODEL).predict(x, out) is out
    assert same_bits(out, WANTED)
    staged = {"": 4, "x": 2, "out": 2}.get(pinned, 0)
    assert machine.floats(fake.HOST) - before == staged * staging._rounded((HEIGHT, 4))


@pytest.mark.parametrize("shift", [0, 1, 24, 60, 91, -1])
def test_the_output_may_share_memory_with_the_rows(machine, shift) -> None:
    memory = np.zeros(3 * X.size, np.float32)
    x, out = (memory[at : at + X.size].reshape(X.shape) for at in (X.size, X.size + shift))
    x[...] = X
    assert same_bits(CudaKernel(MODEL).predict(x, out), WANTED)


def test_kernels_share_what_is_kept(late) -> None:
    small, large = X[:2], X
    for rows in (small, large, small):
        for _ in range(3):
            CudaKernel(MODEL).predict(rows)
    assert late.floats(fake.HOST) == 4 * staging._rounded((HEIGHT, 4))
    assert [len(pool.idle) for pool in staging._pools.values()] == [1]


@pytest.mark.parametrize(
    ("shape", "floats"),
    [((1, 1), 2**14), ((2**12, 4), 2**14), ((2**12, 5), 2**15), ((699_050, 3), 2**21)],
)
def test_what_is_kept_grows_in_few_steps_to_a_piece(shape, floats) -> None:
    assert staging._rounded(shape) == floats
    assert 4 * floats <= staging.CHUNK_BYTES


def test_an_interrupted_batch_leaves_nothing_under_way(machine, monkeypatch) -> None:
    kernel = CudaKernel(MODEL)
    launch, left = kernel._here().launch, [3]

    def failing(*arguments: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        launch(*arguments)

    monkeypatch.setattr(kernel._here(), "launch", failing)
    with pytest.raises(KeyboardInterrupt):
        kernel.predict(X)
    assert machine.pending == []
    monkeypatch.undo()


def test_threads_share_a_kernel_and_two_slots_of_staging(machine) -> None:
    kernel = CudaKernel(MODEL)
    wrong: list[int] = []

    def call(number: int) -> None:
        for count in range(1, 23, 4):
            rows = X[::-1][:count] if number % 2 else X[:count]
            if not same_bits(kernel.predict(rows), reference.run(MODEL, rows)):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(len(pool.idle) <= staging.AT_A_TIME for pool in staging._pools.values())


def test_a_long_batch_does_not_hold_up_another(late, monkeypatch) -> None:
    kernel = CudaKernel(MODEL)
    launch = kernel._here().launch
    results: list[np.ndarray] = []

    def meanwhile(*arguments: object) -> None:
        if not results:
            results.append(np.empty(0))
            thread = threading.Thread(target=lambda: results.append(kernel.predict(X[:2])))
            thread.start()
            thread.join(10)
        launch(*arguments)

    monkeypatch.setattr(kernel._here(), "launch", meanwhile)
    assert same_bits(kernel.predict(X), WANTED)
    assert len(results) == 2
    assert same_bits(results[1], WANTED[:2])
