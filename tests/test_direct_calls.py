"""Calls that go from Python straight to machine code: what they take, and what they leave alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from nets import dense, rows_for
from plain_run import same_bits

import instjit as ij
from instjit import launch, reference
from instjit.kernels import driver, pyobjects
from instjit.kernels.direct import Direct

F = np.float32
MODEL = dense(5, 7, 3)
X = rows_for(MODEL, 200)
WANTED = reference.run(MODEL, X)


@pytest.fixture(scope="module")
def kernel() -> ij.Kernel:
    return ij.compile(MODEL)


@pytest.fixture(scope="module")
def direct(kernel) -> Direct:
    return kernel._prepare_direct()


class Other(np.ndarray):
    """A subclass, which may mean something else by its elements."""


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


TAKEN = {
    "a row": (X[0], None),
    "a row of another array": (X[7], np.empty(3, F)),
    "a read-only row": (read_only(X[0]), None),
    "rows": (X[:9], None),
    "rows and out": (X[:9], np.empty((9, 3), F)),
    "read-only rows": (read_only(X[:9]), None),
    "rows after each other": (X[:9], np.empty((18, 3), F)[9:]),
}

LEFT = {
    "float64": (X[0].astype(float), None),
    "float64 rows": (X[:2].astype(float), None),
    "other byte order": (X[0].astype(">f4"), None),
    "strided": (np.zeros(10, F)[::2], None),
    "strided rows": (np.zeros((4, 10), F)[:, ::2], None),
    "Fortran order": (np.zeros((5, 4), F).T[:, :5], None),
    "too short": (X[0, :4], None),
    "too narrow": (X[:2, :4].copy(), None),
    "no rows": (X[:0], None),
    "three dimensions": (X[:4].reshape(2, 2, 5), None),
    "zero dimensions": (np.zeros((), F), None),
    "a list": (X[0].tolist(), None),
    "None": (None, None),
    "a number": (3.5, None),
    "a subclass": (X[0].view(Other), None),
    "out of a subclass": (X[0], np.empty(3, F).view(Other)),
    "out too long": (X[0], np.empty(4, F)),
    "out with too few rows": (X[:3], np.empty((2, 3), F)),
    "out too wide": (X[:3], np.empty((3, 4), F)),
    "out of float64": (X[:3], np.empty((3, 3))),
    "out that is read-only": (X[0], read_only(np.empty(3, F))),
    "strided out": (X[:3], np.empty((3, 6), F)[:, ::2]),
    "out of one dimension": (X[:3], np.empty(9, F)),
    "out that is a list": (X[0], [0.0] * 3),
    "unaligned": (np.frombuffer(b"\0" * 21, F, offset=1, count=5), None),
}


@pytest.mark.parametrize("name", TAKEN)
def test_plain_arrays_are_taken_as_they_are(name, direct) -> None:
    given, out = TAKEN[name]
    call = direct.row if given.ndim == 1 else direct.rows
    result = call(given, out)
    assert out is None or result is out
    assert type(result) is np.ndarray
    assert result.flags.owndata or out is not None
    assert same_bits(result, reference.run(MODEL, np.atleast_2d(given)).reshape(result.shape))


@pytest.mark.parametrize("name", LEFT)
def test_anything_else_is_left_to_the_long_road(name, direct) -> None:
    given, out = LEFT[name]
    before = out.tobytes() if isinstance(out, np.ndarray) else out
    rows = getattr(given, "ndim", 1) > 1
    assert (direct.rows if rows else direct.row)(given, out) is None
    assert direct.row(given, out) is None or not rows
    assert before == (out.tobytes() if isinstance(out, np.ndarray) else out)


@pytest.mark.parametrize("shift", [0, 1, 7, -1, -8])
def test_memory_in_common_is_left_to_the_long_road(shift, direct) -> None:
    memory = np.zeros(100, F)
    rows, out = memory[40:50].reshape(2, 5), memory[40 + shift : 46 + shift].reshape(2, 3)
    assert (direct.rows(rows, out) is None) == (-6 < shift < 10)


@pytest.mark.parametrize("count", [*range(1, 70), 95, 96, 97, 113, 200])
def test_any_number_of_rows_gives_the_bits_of_the_reference(count, kernel) -> None:
    """Tiles, single rows, and tiles with single rows after them."""
    out = np.full((count + 2, 3), np.nan, F)
    kernel.predict(X[:count], out=out[1:-1])
    assert same_bits(out[1:-1], WANTED[:count])
    assert np.isnan(out[[0, -1]]).all()


def test_no_reference_is_lost_or_kept(kernel) -> None:
    out, row = np.empty((9, 3), F), np.empty(3, F)
    given = X[:9].copy()
    held = (given, out, row, None)
    before = [sys.getrefcount(each) for each in held]
    for _ in range(1000):
        kernel.predict(given, out=out)
        kernel.row(given[0], out=row)
        kernel.predict(given)
        kernel._direct.rows([], out)
    after = [sys.getrefcount(each) for each in held]
    assert all(abs(a - b) < 100 for a, b in zip(after, before, strict=True))


def test_a_call_keeps_working_after_its_kernel_is_gone() -> None:
    row = ij.compile(dense(5, 7, 4)).row
    assert row(X[0]).shape == (4,)


def test_other_layouts_of_objects_take_the_long_road_to_the_same_bits(monkeypatch) -> None:
    monkeypatch.setattr(pyobjects, "readable", lambda: False)
    kernel = ij.compile(MODEL)
    assert kernel._direct.rows(X[:2], None) is None
    assert same_bits(kernel.predict(X), WANTED)
    assert same_bits(kernel.row(X[3]), WANTED[3])


@pytest.mark.parametrize("change", ["DATA", "DIMENSIONS", "SHAPE", "DESCR", "FLAGS", "TYPE"])
def test_a_field_elsewhere_is_noticed(change, monkeypatch) -> None:
    """Each field is looked for where another one is."""
    elsewhere = pyobjects.STRIDES if change != "DESCR" else pyobjects.BASE
    monkeypatch.setattr(pyobjects, change, elsewhere)
    assert not pyobjects.readable.__wrapped__()


def test_a_build_without_the_interpreters_lock_is_not_read(monkeypatch) -> None:
    monkeypatch.setattr(pyobjects.sysconfig, "get_config_var", lambda name: 1)
    assert not pyobjects.readable.__wrapped__()


@pytest.mark.parametrize("threads", [1, 2])
def test_long_work_is_cut_into_sections_between_which_signals_are_seen(
    threads, kernel, monkeypatch
) -> None:
    form = kernel._variant("output")
    seen, runs = [], driver.run

    def run(batch: driver.Batch, first: int, last: int, workers: int, grain: int) -> None:
        seen.append((first, last, workers))
        runs(batch, first, last, workers, grain)

    monkeypatch.setattr(driver, "run", run)
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    monkeypatch.setattr(launch, "SECTION_SECONDS", 2.5 * form.tile_seconds / threads)
    out = np.full_like(WANTED, np.nan)
    launch.run_batch(form, X, out, 0, 3, threads)
    assert same_bits(out, WANTED)
    total = -(-len(X) // form.lanes)
    assert [span[:2] for span in seen] == [(k, min(k + 2, total)) for k in range(0, total, 2)]
    assert all(workers <= threads for *_, workers in seen)


def test_an_interrupt_between_sections_ends_the_call(kernel, monkeypatch) -> None:
    def run(*arguments: object) -> None:
        raise KeyboardInterrupt

    before = threads_of_numba()
    monkeypatch.setattr(driver, "run", run)
    with pytest.raises(KeyboardInterrupt):
        kernel.predict(np.tile(X, (5000, 1)))
    assert threads_of_numba() == before


def threads_of_numba() -> int:
    import numba

    return numba.get_num_threads()
