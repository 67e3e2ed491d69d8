"""Machine code lives as long as anyone can call it, and no longer."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from nets import dense
from stored_kernels import output

import instjit
from instjit.kernels import kept
from instjit.kernels.recent import Recent

ROWS = np.random.default_rng(0).normal(size=(70, 8)).astype(np.float32)


@pytest.fixture
def forgetful(monkeypatch) -> Recent:
    """Nothing is kept for who may ask again."""
    made: Recent = Recent(0)
    monkeypatch.setattr(kept, "_codes", made)
    return made


def alive(codes: Recent) -> set[str]:
    gc.collect()
    return {form for _, form in codes._alive}


def test_code_goes_with_the_last_kernel_of_its_structure(forgetful) -> None:
    first, second = instjit.compile(dense(8, 5, 2)), instjit.compile(dense(8, 5, 2))
    third = first.with_weights(dense(8, 5, 2))
    form = first._variant("output")
    assert form.tiles is second._variant("output").tiles is third._variant("output").tiles
    del first, form
    assert alive(forgetful) >= {"tiles", "row"}
    assert np.array_equal(third.predict(ROWS), second.predict(ROWS))
    del second, third
    assert not alive(forgetful) & {"tiles", "row"}


def test_kernels_keep_code_that_is_asked_for_no_more(forgetful) -> None:
    kernels = [instjit.compile(dense(8, width, 2)) for width in (3, 4, 5, 6)]
    gc.collect()
    for kernel in kernels:
        wanted = instjit.reference.run(kernel.model, ROWS)
        assert np.array_equal(kernel.predict(ROWS), wanted)
        assert np.array_equal(kernel.row(ROWS[0]), wanted[0])


def test_a_call_keeps_what_it_calls(forgetful) -> None:
    """The callables in machine code alone, without the kernel that they came from."""
    kernel = instjit.compile(dense(8, 7, 2))
    wanted = instjit.reference.run(kernel.model, ROWS)
    row, rows, code = kernel._direct.row, kernel._direct.rows, kernel._variant("output").row
    gone = weakref.ref(code)
    del kernel, code
    gc.collect()
    instjit.compile(dense(8, 6, 3))  # takes the memory that was free
    assert np.array_equal(row(ROWS[0], None), wanted[0])
    assert np.array_equal(rows(ROWS[:3], None), wanted[:3])
    del row, rows
    gc.collect()
    assert gone() is None


def test_the_last_few_are_kept_for_who_asks_again() -> None:
    class Value:
        pass

    made: list[str] = []

    def make(name: str) -> Value:
        made.append(name)
        return Value()

    values: Recent[Value] = Recent(2)
    for name in "abacab":
        values.get(name, lambda name=name: make(name))
    assert "".join(made) == "abcb"
    held = values.get("a", lambda: make("a"))
    for name in "xyz":
        values.get(name, lambda name=name: make(name))
    assert values.get("a", lambda: make("a")) is held


def test_threads_that_ask_at_once_get_one_value() -> None:
    values: Recent[threading.Event] = Recent(2)
    found: list[threading.Event] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(values.get("a", threading.Event))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({id(each) for each in found}) == 1


GROWTH = """
import gc, os
import numpy as np
import instjit
from nets import dense
from instjit.kernels import kept
from instjit.kernels.recent import Recent
kept._codes = Recent(2)
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def use(width):
    instjit.compile(dense(8, width, 2)).row(np.zeros(8, np.float32))
for width in range({first}): use(1 + width % {different})
before = resident()
for width in range({first}, {last}): use(1 + width % {different})
print((resident() - before) / ({last} - {first}))
"""


def test_a_structure_that_is_compiled_and_dropped_leaves_little() -> None:
    """2 MB and more while Numba's engine had it; 0.2 to 0.5 MB are Numba's and LLVM's own."""
    each = float(output("off", GROWTH.format(first=6, last=26, different=1000)))
    assert each < 1_000_000


def test_a_structure_out_of_the_store_leaves_nothing(tmp_path) -> None:
    each = float(output(tmp_path, GROWTH.format(first=50, last=450, different=5)))
    assert each < 15_000
