"""What people do with processes and threads, each a story in a process of its own.

``python tests/process_cells.py NAME`` tells one; it ends with 0 when every result had the bits of
the reference. ``FAST`` and ``LONG`` are the names.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any

import numpy as np
from nets import dense, rows_for

import instjit as ij
from instjit import launch, reference, threads

Story = Callable[[], None]
FAST: dict[str, Story] = {}
LONG: dict[str, Story] = {}
WORKERS = 3
"""Threads of a batch, on a machine of any size."""

MODEL = dense(8, 16, 3)
X = rows_for(MODEL, 700)
WANTED = reference.run(MODEL, X)
SIZES = (1, 2, 33, 64, 257, 700)


def told(stories: dict[str, Story], *given: Any) -> Callable[[Callable[..., None]], Any]:
    """Enter a story, with what it is given in its name."""

    def enter(story: Callable[..., None]) -> Callable[..., None]:
        name = "-".join([story.__name__, *map(str, given)])
        stories[name] = wraps(story)(partial(story, *given))
        return story

    return enter


def check(kernel: ij.Kernel, rows: int = len(X), **options: Any) -> None:
    """A batch has the bits of the reference."""
    found = kernel.predict(X[:rows], **options)
    if found.tobytes() != WANTED[:rows].tobytes():
        raise AssertionError(f"{rows} rows differ in process {os.getpid()}")


def check_all(kernel: ij.Kernel, times: int = 3) -> None:
    for _ in range(times):
        for rows in SIZES:
            check(kernel, rows)


def shared() -> None:
    """Every batch of this process is shared, however small."""
    threads.available = lambda: WORKERS
    launch.PARALLEL_SECONDS = 0.0


def own_workers() -> int:
    return sum(each.name.startswith("instjit") for each in threading.enumerate())


def running() -> ij.Kernel:
    """A kernel that has run on several threads."""
    shared()
    kernel = ij.compile(MODEL)
    check_all(kernel)
    if own_workers() != WORKERS - 1:
        raise AssertionError("the batches were not shared")
    return kernel


def forked(work: Story) -> int:
    """The process id of a child that does its work and ends without more ado."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def forked_program(work: Story) -> int:
    """The same, but the child ends as any program does, which takes 0.3 s."""
    child = os.fork()
    if child:
        return child
    work()
    raise SystemExit(0)


def joined(*children: int) -> None:
    """Every child ended with 0."""
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise AssertionError(f"children ended with {codes}")


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Work in so many threads at once; the first failure is raised."""
    with ThreadPoolExecutor(count) as several:
        list(several.map(work, range(count)))


@told(FAST)
def fork_after_a_predict_of_the_main_thread() -> None:
    kernel = running()
    joined(forked_program(lambda: check_all(kernel)))
    check_all(kernel)


@told(FAST)
def fork_in_another_thread_than_the_one_that_predicted() -> None:
    kernel = running()

    def work(_: int) -> None:
        def predict() -> None:  # where of the threads there is only this one
            check_all(kernel)
            check(ij.compile(MODEL), 70)

        joined(forked(predict))

    in_threads(1, lambda _: check_all(kernel))
    in_threads(1, work)
    check_all(kernel)


@told(FAST)
def children_of_a_server_predict_at_once_and_fork_again() -> None:
    kernel = running()
    ready, go = os.pipe(), os.pipe()

    def work() -> None:
        os.write(ready[1], b".")
        os.read(go[0], 1)
        check_all(kernel, 20)
        joined(forked(lambda: check_all(kernel)), forked(lambda: check_all(ij.compile(MODEL))))
        check_all(kernel)

    children = [forked(work) for _ in range(4)]
    while children and len(os.read(ready[0], 1)) < 1:
        pass
    os.write(go[1], b"....")
    check_all(kernel, 20)
    joined(*children)


def _many_forks(times: int) -> None:
    kernel = running()
    stop = threading.Event()

    def work(_: int) -> None:
        while not stop.is_set():
            check(kernel)

    def fork(_: int) -> None:
        try:
            for _ in range(times):
                joined(forked(lambda: check_all(kernel, 1)))
        finally:
            stop.set()

    with ThreadPoolExecutor(3) as several:
        others = [several.submit(work, k) for k in range(3)]
        fork(0)
        for other in others:
            other.result()


told(FAST, 20)(_many_forks)
told(LONG, 200)(_many_forks)


def _forks_beside_compilations(times: int) -> None:
    kernel = running()
    stop = threading.Event()

    def compile_others(_: int) -> None:
        for width in range(20, 1000):
            if stop.is_set():
                break
            ij.compile(dense(9, width, 4)).warm()

    def compile_one(width: int) -> None:
        model = dense(11, width, 4)
        rows = rows_for(model, 300)
        if ij.compile(model).predict(rows).tobytes() != reference.run(model, rows).tobytes():
            raise AssertionError("rows of the child's own kernel differ")

    with ThreadPoolExecutor(1) as other:
        work = other.submit(compile_others, 0)
        try:
            for width in range(times):
                time.sleep(0.1)
                joined(forked(lambda: check_all(kernel)))
                joined(forked(partial(compile_one, 300 + width)))
        finally:
            stop.set()
        work.result()


told(FAST, 1)(_forks_beside_compilations)
told(LONG, 20)(_forks_beside_compilations)


def predicted(kernel: ij.Kernel, rows: int) -> bytes:
    """Work of a child of ``multiprocessing``."""
    shared()
    return kernel.predict(X[:rows]).tobytes()


@told(FAST, "spawn")
@told(FAST, "forkserver")
@told(FAST, "fork")
def a_pool_of_processes(method: str) -> None:
    kernel = running()
    with multiprocessing.get_context(method).Pool(2) as several:
        found = several.starmap(predicted, [(kernel, rows) for rows in SIZES * 3])
        several.close()
        several.join()
    if found != [WANTED[:rows].tobytes() for rows in SIZES * 3]:
        raise AssertionError("the children's rows differ")
    check_all(kernel)


def _threads_that_call(threads: int, calls: int) -> None:
    kernel = running()

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(calls):
            check(kernel, int(random.integers(0, len(X) + 1)), threads=int(random.integers(1, 5)))
            if random.random() < 0.1 and kernel.row(X[3]).tobytes() != WANTED[3].tobytes():
                raise AssertionError("a row differs")

    in_threads(threads, work)


told(FAST, 8, 200)(_threads_that_call)
told(LONG, 8, 1000)(_threads_that_call)
told(LONG, 32, 1000)(_threads_that_call)


@told(FAST)
def threads_that_share_a_first_call() -> None:
    shared()
    kernel = ij.compile(MODEL)
    start = threading.Barrier(8)

    def work(_: int) -> None:
        start.wait()
        check_all(kernel)

    in_threads(8, work)


def users_loop(kernel: ij.Kernel) -> Callable[[], None]:
    """The user's own parallel loop around ``kernel.inline``, checked."""
    from numba import njit, prange

    inline = kernel.inline

    @njit(parallel=True)
    def loop(rows: Any, out: Any) -> None:
        for k in prange(len(rows)):
            inline(rows[k], out[k])

    def run() -> None:
        out = np.full_like(WANTED, np.nan)
        loop(X, out)
        if out.tobytes() != WANTED.tobytes():
            raise AssertionError("rows of the user's loop differ")

    return run


@told(FAST, "omp", "before")
@told(FAST, "workqueue", "after")
@told(LONG, "omp", "after")
@told(LONG, "workqueue", "before")
def a_loop_of_the_user_and_a_predict(layer: str, order: str) -> None:
    """The child may not start the user's loop on OpenMP, that is Numba's rule; ours may predict."""
    import numba

    numba.config.THREADING_LAYER = layer
    shared()
    kernel = ij.compile(MODEL)
    loop = users_loop(kernel)
    steps = [loop, lambda: check_all(kernel)]
    for step in steps if order == "before" else steps[::-1]:
        step()
    if numba.threading_layer() != layer:
        raise AssertionError(f"the loop ran on {numba.threading_layer()}")
    joined(*(forked(lambda: check_all(kernel)) for _ in range(2)))
    loop()
    check_all(kernel)


@told(FAST)
def children_of_a_child_run_loops_of_their_own_on_workqueue() -> None:
    import numba

    numba.config.THREADING_LAYER = "workqueue"
    kernel = running()
    loop = users_loop(kernel)
    loop()

    def work() -> None:
        loop()
        check_all(kernel)

    joined(forked(work))


@told(FAST)
def predicts_beside_loops_of_the_user_on_openmp() -> None:
    import numba

    numba.config.THREADING_LAYER = "omp"
    kernel = running()
    loop = users_loop(kernel)

    def work(number: int) -> None:
        for _ in range(30):
            loop() if number % 2 else check_all(kernel)

    in_threads(4, work)


class _Lazy:
    """An input whose numbers another predict makes, while the first one converts them."""

    def __init__(self, kernel: ij.Kernel) -> None:
        self._kernel = kernel

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        check(self._kernel)
        in_threads(2, lambda _: check(self._kernel))
        return X


@told(FAST)
def predicts_within_predicts() -> None:
    kernel = running()

    def halves(_: int) -> None:
        with ThreadPoolExecutor(2) as inner:
            parts = list(inner.map(kernel.predict, [X[:350], X[350:]]))
        if np.concatenate(parts).tobytes() != WANTED.tobytes():
            raise AssertionError("halves differ")

    in_threads(4, halves)
    if kernel.predict(_Lazy(kernel)).tobytes() != WANTED.tobytes():
        raise AssertionError("the outer batch differs")


@told(FAST)
def predicts_in_a_signals_handler() -> None:
    kernel = running()
    heard = []

    def handler(*_: object) -> None:
        check(kernel)
        heard.append(True)

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    while len(heard) < 200:
        check_all(kernel, 1)
    signal.setitimer(signal.ITIMER_REAL, 0)


@told(FAST)
def predicts_of_an_event_loop() -> None:
    kernel = running()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        calls = (loop.run_in_executor(None, check, kernel, rows) for rows in SIZES * 20)
        await asyncio.gather(*calls)
        await asyncio.gather(*(asyncio.to_thread(check_all, kernel, 1) for _ in range(8)))

    asyncio.run(serve())


@told(FAST)
def predicts_of_joblibs_threads() -> None:
    try:
        from joblib import Parallel, delayed
    except ImportError:
        return  # scikit-learn brings it; the threads are those of the story of halves
    kernel = running()
    Parallel(n_jobs=4, prefer="threads")(delayed(check_all)(kernel) for _ in range(20))


def environment() -> list[bytes]:
    """The variables as the C library has them, which is where OpenMP looks."""
    held = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found = []
    while (each := held[len(found)]) is not None:
        found.append(each)
    return sorted(found)


@told(FAST)
def nothing_else_of_the_process_is_changed() -> None:
    """Set before the first import of this file, see ``main``."""
    kernel = running()
    repr(kernel)
    if environment() != BEFORE[0]:
        raise AssertionError("the environment changed")
    if [signal.getsignal(number) for number in SIGNALS] != BEFORE[1]:
        raise AssertionError("handlers of signals changed")
    if np.float32(1e-40) * np.float32(0.5) == 0:
        raise AssertionError("tiny numbers became zero")
    from numba.np.ufunc import parallel

    if parallel._is_initialized:
        raise AssertionError("Numba's threads were started")


SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
BEFORE: list[Any] = []


@told(FAST, "daemon")
@told(FAST, "waited for")
def the_end_amid_predicts_of_threads(kind: str) -> None:
    kernel = running()
    begun = threading.Barrier(4)

    def work() -> None:
        begun.wait()
        for _ in range(10**9 if kind == "daemon" else 2000):
            check(kernel)

    for _ in range(3):
        threading.Thread(target=work, daemon=kind == "daemon").start()
    begun.wait()
    time.sleep(0.05)


def _ends(times: int) -> None:
    """Children that end at once after a shared batch, while their workers still look for more."""
    kernel = running()

    def work() -> None:
        for _ in range(2):
            threading.Thread(
                target=lambda: [check(kernel) for _ in range(10**9)], daemon=True
            ).start()
        check(kernel)
        gc.collect()

    for _ in range(times):
        joined(forked_program(work))


told(FAST, 2)(_ends)
told(LONG, 200)(_ends)


@told(FAST)
def threads_are_those_that_the_process_may_use() -> None:
    """What worked is counted by the system: threads that took processor time."""
    model = dense(1, 512, 512, 1)
    kernel = ij.compile(model)
    rows = np.zeros((40_000, 1), np.float32)
    kernel.predict(rows[:2000])
    every = os.sched_getaffinity(0)
    cases: list[tuple[dict[str, str], set[int], int | None, int]] = [
        ({"INSTJIT_THREADS": "1"}, every, None, 1),
        ({"OMP_NUM_THREADS": "1"}, every, None, 1),
        ({"OMP_NUM_THREADS": "64", "INSTJIT_THREADS": "1"}, every, 8, 1),
        ({"INSTJIT_THREADS": "64"}, {min(every)}, 8, 1),
        ({}, every, 1, 1),
        ({}, {min(every)}, None, 1),
        ({"INSTJIT_THREADS": "2"}, every, None, min(2, len(every))),
        ({"OMP_NUM_THREADS": "64"}, every, 2, min(2, len(every))),
    ]
    for variables, cpus, most, wanted in cases:
        for name in ("INSTJIT_THREADS", "OMP_NUM_THREADS"):
            os.environ.pop(name, None)
        os.environ.update(variables)
        os.sched_setaffinity(0, cpus)
        counts = []
        while wanted not in counts and len(counts) < 5:  # one may have come too late
            counts.append(worked(lambda most=most: kernel.predict(rows, threads=most)))
        os.sched_setaffinity(0, every)
        if max(counts) != wanted:
            raise AssertionError(f"{variables} on {cpus}, threads={most}: {counts} threads")


def worked(work: Story) -> int:
    """Threads of this process that took a tenth of the longest one's time, at least."""

    def times() -> dict[str, int]:
        found = {}
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/schedstat") as file:
                found[task] = int(file.read().split()[0])
        return found

    before = times()
    work()
    took = [after - before.get(task, 0) for task, after in times().items()]
    return sum(each > max(took) / 10 for each in took)


@told(FAST)
def a_long_predict_hears_an_interrupt() -> None:
    kernel = ij.compile(dense(1, 1024, 1024, 1))
    rows = np.zeros((10_000_000, 1), np.float32)  # minutes
    kernel.predict(rows[:2000])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    for delay in (0.1, 0.137):
        timer = threading.Timer(delay, interrupt)
        timer.start()
        try:
            kernel.predict(rows)
        except KeyboardInterrupt:
            print(f"heard after {time.monotonic() - sent[-1]:.3f} s")
        else:
            raise AssertionError("the interrupt was not heard")
        timer.join()
    check_all(running())


def main() -> None:
    """Tell the story that the command line names."""
    warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads
    BEFORE[:] = environment(), [signal.getsignal(number) for number in SIGNALS]
    ({**FAST, **LONG})[sys.argv[1]]()


if __name__ == "__main__":
    main()
