"""The threads that share batches: every tile once, nobody waited for in vain, asleep when idle."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nets import dense, rows_for
from plain_run import same_bits

import instjit as ij
from instjit import launch, reference
from instjit.kernels import driver, pool

MODEL = dense(7, 9, 5)
X = rows_for(MODEL, 700)
WANTED = reference.run(MODEL, X)


@pytest.fixture(scope="module")
def kernel() -> ij.Kernel:
    return ij.compile(MODEL)


@pytest.fixture
def own(monkeypatch) -> pool.Pool:
    """A pool of the test alone."""
    made = pool.Pool()
    monkeypatch.setattr(pool, "pool", lambda: made)
    return made


def run(kernel: ij.Kernel, threads: int, grain: int = 1, rows: int = 700) -> bool:
    """Whether a batch on so many threads has the bits of the reference."""
    form = kernel._variant("output")
    out = np.full((rows, 5), np.nan, np.float32)
    code = form.tiles_address, X[:rows], out, False, 0, 5, form.k_address, form.n_address
    total = -(-rows // form.lanes)
    driver.run(driver.Batch(*code, form.scratch), 0, total, threads, grain)
    return same_bits(out, WANTED[:rows])


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 40])
@pytest.mark.parametrize("grain", [1, 3, 100])
def test_every_tile_is_worked_on_by_any_number_of_threads(threads, grain, kernel, own) -> None:
    assert all(run(kernel, threads, grain) for _ in range(20))
    assert own.count == threads - 1


def test_thousands_of_batches_one_after_the_other(kernel, own) -> None:
    assert all(run(kernel, 4, rows=33 + k % 400) for k in range(3000))


def test_batches_that_find_the_workers_asleep(kernel, own) -> None:
    for _ in range(50):
        time.sleep(0.002)
        assert run(kernel, 3)


def test_fewer_threads_than_before_leave_workers_out(kernel, own, monkeypatch) -> None:
    assert run(kernel, 5)
    seats = []
    share = pool._function("run", 2)

    def counted(*addresses: int) -> int:
        seats.append(share(*addresses))
        return 1

    monkeypatch.setattr(pool, "_function", lambda name, count: counted)
    assert all(run(kernel, threads) for threads in (2, 3, 2))
    assert seats == [1, 1, 1]
    assert own.count == 4


def test_a_worker_that_never_comes_holds_nobody_up(kernel, own, monkeypatch) -> None:
    monkeypatch.setattr(pool.Pool, "_start", lambda self: None)
    assert run(kernel, 4)


def test_while_the_pool_is_taken_a_batch_is_its_callers_alone(kernel, own) -> None:
    assert pool._function("take", 1)(own.address)
    assert not pool._function("take", 1)(own.address)
    assert run(kernel, 2)
    assert not own.run(0, 2)
    pool._function("give", 1)(own.address)
    assert pool._function("take", 1)(own.address)


def test_python_threads_predict_side_by_side(kernel, own, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    with ThreadPoolExecutor(8) as several:
        calls = several.map(lambda _: same_bits(kernel.predict(X, threads=2), WANTED), range(400))
        assert all(calls)


def test_an_idle_pool_takes_no_time(kernel, own) -> None:
    assert run(kernel, 4)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_the_pool_starts_once_and_with_the_first_shared_batch(own_pool) -> None:
    with ThreadPoolExecutor(8) as several:
        assert {id(made) for made in several.map(lambda _: pool.pool(), range(50))} == {
            id(own_pool)
        }
    assert own_pool.count == 0


PROGRAM = """
import numpy as np, threading
import instjit
from instjit import launch, threads
threads.available = lambda: 3
launch.PARALLEL_SECONDS = 0.0
model = instjit.Model([2, 2], [instjit.Dot(0, 1, 0)], [[[1, 2], [3, 4]]], feature_size=2)
kernel = instjit.compile(model)
kernel.predict(np.zeros((500, 2), np.float32))
from numba.np.ufunc import parallel
print(threading.active_count(), parallel._is_initialized)
"""


def test_a_process_ends_while_workers_sleep_and_numbas_threads_were_never_started() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["3", "False"]


def test_threads_of_the_pool_have_names(kernel, own) -> None:
    assert run(kernel, 3)
    assert {"instjit-0", "instjit-1"} <= {each.name for each in threading.enumerate()}


def test_a_thread_that_the_system_refuses_is_done_without(own_pool, kernel, monkeypatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert run(kernel, 4)
    assert own_pool.count == 0


def test_a_signal_may_share_a_batch_while_threads_are_being_started(own_pool, kernel, monkeypatch):
    start, done = pool.Pool._start, []

    def interrupted(self: pool.Pool) -> None:
        if not done:
            done.append(True)
            done.append(run(kernel, 3))
        start(self)

    monkeypatch.setattr(pool.Pool, "_start", interrupted)
    assert run(kernel, 3)
    assert done == [True, True]


def test_memory_that_is_not_there_takes_no_pool_away(own_pool, monkeypatch) -> None:
    def refuse(size: int) -> None:
        raise MemoryError

    monkeypatch.setattr(pool, "aligned_bytes", refuse)
    with pytest.raises(MemoryError):
        own_pool.prepare(1, 1000)
    monkeypatch.undo()
    own_pool.prepare(1, 1000)
    assert own_pool._get("scratch_bytes") == 1000
    assert own_pool._get("busy") == 0
