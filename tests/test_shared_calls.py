"""Batches and wide rows that threads share straight from Python: the bits, and who works alone."""

from __future__ import annotations

import ctypes
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from llvmlite import ir
from nets import dense, rows_for
from plain_run import form_of, same_bits
from random_models import random_model

import instjit as ij
from instjit import launch, reference, threads
from instjit.kernels import build, compiling, gemm_choices, objects, pool, sharing
from instjit.kernels.fields import FORM
from instjit.kernels.pycall import POINTER, Fields
from instjit.kernels.simd import I64
from instjit.kernels.target import LEVELS, detect

F = np.float32
MODEL = dense(6, 100, 7)
X = rows_for(MODEL, 200)
WANTED = reference.run(MODEL, X)
LANES = detect().lanes


@pytest.fixture(autouse=True)
def three_threads(monkeypatch) -> None:
    """Everything is worth sharing, among three threads."""
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    monkeypatch.setattr(threads, "available", lambda: 3)


@pytest.fixture
def wide(monkeypatch) -> None:
    """Every product is wide."""
    monkeypatch.setattr(gemm_choices, "WIDE_FLOATS", 1)
    monkeypatch.setattr(gemm_choices, "WIDE_ROW_FLOATS", 1)


@pytest.fixture
def kernel() -> ij.Kernel:
    return ij.compile(MODEL)


@pytest.fixture
def wide_kernel(wide) -> ij.Kernel:
    made = ij.compile(MODEL)
    assert made._direct.wide
    return made


def take(held: pool.Pool) -> None:
    assert pool._function("take", 1)(held.address)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_rows_on_any_number_of_threads_gives_the_same_bits(count, monkeypatch):
    monkeypatch.setattr(threads, "available", lambda: count)
    kernel = ij.compile(MODEL)
    for rows in [*range(1, 4 * LANES + 3), 200]:
        out = np.full((rows + 2, 7), np.nan, F)
        assert kernel._direct.batch(X[:rows], out[1:-1], count) is not None
        assert same_bits(out[1:-1], WANTED[:rows])
        assert np.isnan(out[[0, -1]]).all()


CASES = {
    # rows, threads, few, lanes: units, tiles among them
    "one row": ((1, 1, 16, 32), (1, 0)),
    "few rows": ((15, 1, 16, 32), (15, 0)),
    "rows that a tile does sooner": ((17, 1, 16, 32), (1, 1)),
    "few rows on two threads": ((16, 2, 16, 32), (16, 0)),
    "a tile, by rows as quick": ((31, 2, 16, 32), (31, 0)),
    "a tile": ((32, 2, 16, 32), (1, 1)),
    "a tile among many threads": ((32, 4, 16, 32), (32, 0)),
    "a tile and few rows": ((48, 2, 16, 32), (17, 1)),
    "a tile and more rows": ((49, 2, 16, 32), (2, 2)),
    "two tiles": ((64, 2, 16, 32), (2, 2)),
    "a row for each of two threads": ((66, 2, 16, 32), (4, 2)),
    "rows that fill two threads": ((95, 2, 16, 32), (33, 2)),
    "rows that wait for one thread": ((95, 1, 16, 32), (3, 3)),
    "no code for rows": ((95, 2, 0, 32), (3, 3)),
    "one row and no code for it": ((1, 2, 0, 32), (1, 1)),
    "lanes of one": ((9, 2, 1, 1), (9, 9)),
}


@pytest.mark.parametrize("case", CASES)
def test_units_are_tiles_and_then_rows(case) -> None:
    (rows, count, few, lanes), wanted = CASES[case]
    names = ("few", "lanes", "rows", "threads")
    held = np.array([few, lanes, rows, count, 0, 0], np.int64)

    def write(module: ir.Module, name: str) -> None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), name)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        form = Fields(builder, function.args[0], (*names, "units", "tiled"))
        for field, value in zip(
            ("units", "tiled"), sharing._units(builder, form, form.rows, form.threads), strict=True
        ):
            builder.store(value, builder.bitcast(form.at(field), I64.as_pointer()))
        builder.ret_void()

    code = objects.loaded(compiling.module("instjit_test_units", {"units": write}))
    address = code.addresses["units"]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(held.ctypes.data)
    assert tuple(held[4:]) == wanted


@pytest.mark.parametrize("seed", range(0, 240, 8))
def test_the_text_of_wide_rows_gives_the_bits_of_the_reference(seed, wide) -> None:
    found = 0
    for each in range(seed, seed + 8):
        model, rows = random_model(each)
        form = form_of(model, list(LEVELS)[each % len(LEVELS)], "output", ())
        found += form.source.wide
        if form.source.wide:
            out = np.full(form.program.width_out, np.nan, F)
            wide_row = build.plain_functions(form.source, rows=True)["wide_row"]
            assert wide_row(rows[0], out, form.k, form.n, 0)
            assert same_bits(out, reference.run(model, rows[:1])[0]), each
    assert found


@pytest.mark.parametrize("first", range(0, 36, 4))
def test_wide_rows_of_random_models_give_the_bits_of_the_reference(first, wide) -> None:
    for seed in range(first, first + 4):
        model, rows = random_model(seed)
        kernel, wanted = ij.compile(model), reference.run(model, rows)
        for number in (0, len(rows) - 1):
            assert same_bits(kernel.row(rows[number]), wanted[number]), seed
        for count in (1, 2, 3):
            assert same_bits(kernel.predict(rows[:count]), wanted[:count]), seed


@pytest.mark.parametrize("outputs", [95, 96, 97, 192, 200, 300])
@pytest.mark.parametrize("activation", ["RELU", "TANH"])
def test_panels_of_a_wide_row_make_every_output_once(outputs, activation, wide) -> None:
    model = dense(33, outputs, outputs, activation=activation, last=None)
    kernel, rows = ij.compile(model), rows_for(model, 20)
    wanted = reference.run(model, rows)
    out = np.full((20, outputs + 2), np.nan, F)
    for given, result in zip(rows, out, strict=True):
        kernel.row(given, out=result[1:-1])
    assert same_bits(out[:, 1:-1], wanted)
    assert np.isnan(out[:, [0, -1]]).all()


@pytest.mark.parametrize("shape", ["row", "rows"])
def test_python_threads_share_wide_rows_and_batches_side_by_side(shape, wide_kernel) -> None:
    def call(number: int) -> bool:
        at = number % 150
        if shape == "row":
            return same_bits(wide_kernel.row(X[at]), WANTED[at])
        return same_bits(wide_kernel.predict(X[at : at + 41]), WANTED[at : at + 41])

    with ThreadPoolExecutor(8) as several:
        assert all(several.map(call, range(2000)))


def test_workers_that_never_come_hold_no_row_up(own_pool, wide_kernel, monkeypatch) -> None:
    monkeypatch.setattr(pool.Pool, "_start", lambda self: None)
    assert same_bits(wide_kernel.row(X[3]), WANTED[3])
    assert same_bits(wide_kernel.predict(X), WANTED)
    assert own_pool.count == 2


def test_while_the_pool_is_taken_calls_are_their_callers_alone(own_pool, wide_kernel) -> None:
    wide_kernel.predict(X)
    take(own_pool)
    direct = wide_kernel._direct
    assert same_bits(wide_kernel.row(X[3]), WANTED[3])
    assert same_bits(direct.batch(X[:3], None, 3), WANTED[:3])
    assert direct.batch(X, None, 3) is None  # tiles need the pool's scratch
    assert same_bits(wide_kernel.predict(X), WANTED)
    pool._function("give", 1)(own_pool.address)
    assert same_bits(direct.batch(X, None, 3), WANTED)


def test_scratch_in_use_is_not_made_anew(own_pool, kernel) -> None:
    take(own_pool)
    assert kernel._direct.batch(X, None, 3) is None
    assert same_bits(kernel.predict(X), WANTED)
    assert own_pool._get("scratch_bytes") == 0


def test_one_thread_starts_none(own_pool, wide, monkeypatch) -> None:
    monkeypatch.setattr(threads, "available", lambda: 1)
    kernel = ij.compile(MODEL)
    assert same_bits(kernel.row(X[0]), WANTED[0])
    assert same_bits(kernel.predict(X), WANTED)
    assert same_bits(ij.compile(MODEL, threads=1).row(X[0]), WANTED[0])
    assert own_pool.count == 0


LEFT = {
    "a list": [[0.0] * 6] * 9,
    "float64": X[:9].astype(float),
    "too narrow": X[:9, :5].copy(),
    "strided": X[:18:2],
    "no rows": X[:0],
    "None": None,
}


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_shared_as_it_is_starts_no_thread(name, own_pool, wide_kernel) -> None:
    given = LEFT[name]
    direct = wide_kernel._direct
    assert direct.batch(given, None, 3) is None
    assert direct.wide_row(given, None, 3) is None
    assert own_pool.count == 0


def test_longer_batches_are_left_to_sections(own_pool, kernel, monkeypatch) -> None:
    form = kernel._variant("output")
    monkeypatch.setattr(launch, "LONG_SECONDS", 100.5 * form.row_seconds)
    direct = form.direct(launch.reach(form))
    assert direct.batch(X[:101], None, 3) is None
    assert own_pool.count == 0
    assert same_bits(direct.batch(X[:100], None, 3), WANTED[:100])


WRONG = {
    "too short": lambda kernel: kernel.row(X[0, :5]),
    "two dimensions": lambda kernel: kernel.row(X[:1]),
    "out of another length": lambda kernel: kernel.row(X[0], out=np.empty(8, F)),
    "out of float64": lambda kernel: kernel.row(X[0], out=np.empty(7)),
    "rows too narrow": lambda kernel: kernel.predict(X[:1, :5]),
    "rows and too few outputs": lambda kernel: kernel.predict(X[:50], out=np.empty((49, 7), F)),
    "one row as a line": lambda kernel: kernel.predict(X[0]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_told_as_by_any_kernel(name, wide_kernel, monkeypatch) -> None:
    monkeypatch.undo()
    said = []
    for kernel in (ij.compile(MODEL), wide_kernel):
        with pytest.raises(ij.InputError) as caught:
            WRONG[name](kernel)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("rows", [1, 2, 40, 200])
def test_an_output_over_the_input_gets_the_same_bits(rows, wide) -> None:
    model = dense(9, 70, 9)
    kernel, given = ij.compile(model), rows_for(model, rows)
    wanted, held = reference.run(model, given), given.copy()
    assert kernel.predict(held, out=held) is held
    assert same_bits(held, wanted)
    line = given[0].copy()
    assert kernel.row(line, out=line) is line
    assert same_bits(line, wanted[0])


def test_rows_that_were_converted_go_straight_too(wide_kernel, monkeypatch) -> None:
    monkeypatch.setattr(launch, "run_batch", None)
    doubles = X.astype(float)
    assert same_bits(wide_kernel.predict(doubles), WANTED)
    assert same_bits(wide_kernel.predict(doubles[:1].tolist()), WANTED[:1])
    assert same_bits(wide_kernel.row(doubles[4].tolist()), WANTED[4])


def test_no_reference_is_lost_or_kept(own_pool, wide_kernel) -> None:
    out, line, given = np.empty((200, 7), F), np.empty(7, F), X[:200].copy()
    wide_kernel.predict(given, out=out)
    held = (given, out, line, None, NotImplemented)
    before = [sys.getrefcount(each) for each in held]
    for turn in range(400):
        if turn == 200:
            take(own_pool)
        wide_kernel._direct.batch(given, out, 3)
        wide_kernel._direct.batch(given, out[:1], 3)
        wide_kernel._direct.batch(given, None, 3)
        wide_kernel.row(given[0], out=line)
    after = [sys.getrefcount(each) for each in held]
    assert all(abs(a - b) < 50 for a, b in zip(after, before, strict=True))


def test_other_precisions_take_rows_from_the_float32_kernel(wide, monkeypatch) -> None:
    model = dense(64, 96, 64)
    rows = rows_for(model, 100)
    try:
        kernel = ij.compile(model, precision="bf16")
    except ij.CompileError as error:
        pytest.skip(str(error))
    kernel.row(rows[0])
    assert kernel._direct_row.wide
    assert same_bits(kernel.row(rows[0]), reference.run(model, rows[:1])[0])
    alone = kernel.predict(rows, threads=1)
    assert all(same_bits(kernel.predict(rows[:count]), alone[:count]) for count in (1, 2, 40, 100))


NOW, LONG_AGO = 2**62, 0
WAYS = {
    # rows, threads of the pool, asleep, taken, ended, granted: on the spot?
    "few rows": ((2, 1, 0, 0, NOW, 3), True),
    "nobody there": ((3, 0, 0, 0, LONG_AGO, 3), True),
    "all asleep": ((3, 2, 2, 0, LONG_AGO, 3), True),
    "one awake": ((3, 2, 1, 0, LONG_AGO, 3), False),
    "one awake and taken": ((3, 2, 1, 1, LONG_AGO, 3), True),
    "again at once, all asleep": ((3, 2, 2, 0, NOW, 3), False),
    "again at once, nobody there yet": ((3, 0, 0, 0, NOW, 0), False),
    "again at once on one thread": ((3, 0, 0, 0, NOW, 1), True),
    "one awake for one thread": ((3, 2, 0, 0, LONG_AGO, 1), True),
    "more rows than one thread is given": ((21, 0, 0, 0, LONG_AGO, 1), False),
}


@pytest.mark.parametrize("case", WAYS)
def test_some_rows_are_shared_only_with_threads_that_are_awake_or_worth_waking(
    case, own_pool, kernel
) -> None:
    (rows, count, asleep, taken, ended, granted), spot = WAYS[case]
    direct = kernel._direct
    values = {"near": 2, "most": 20, "ended": ended, "granted": granted}
    for name, value in values.items():
        direct.rows.__self__[FORM.index(name)] = value
    for name, value in {"count": count, "sleeping": asleep, "busy": taken}.items():
        own_pool._put(name, value)
    done = direct.rows(X[:rows], None)
    assert (done is not None) == spot
    assert done is None or same_bits(done, WANTED[:rows])


def test_the_end_of_a_call_on_the_spot_is_known_to_the_next(own_pool, kernel) -> None:
    memory = kernel._direct.rows.__self__
    for name, value in {"near": 2, "most": 20}.items():
        memory[FORM.index(name)] = value
    ended = FORM.index("ended")
    assert same_bits(kernel._direct.rows(X[:2], None), WANTED[:2])
    assert memory[ended] == 0
    before = time.monotonic_ns()
    assert same_bits(kernel._direct.rows(X[:3], None), WANTED[:3])
    assert before <= memory[ended] <= time.monotonic_ns()


def test_calls_remember_how_many_threads_they_may_use_but_not_what_one_call_asked_for(
    own_pool, kernel, monkeypatch
) -> None:
    granted = FORM.index("granted")
    for count in (3, 1, 2):
        monkeypatch.setattr(threads, "available", lambda count=count: count)
        assert same_bits(kernel.predict(X), WANTED)
        assert kernel._direct.rows.__self__[granted] == count
        for asked in (1, 2, 5):
            assert same_bits(kernel.predict(X, threads=asked), WANTED)
            assert kernel._direct.rows.__self__[granted] == count


@pytest.mark.parametrize("width", [48, 100_000])
@pytest.mark.parametrize("seconds", [0.0, 100e-6])
def test_one_row_that_needs_no_tile_has_the_scratch_it_needs(width, seconds, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", seconds)
    model = ij.Model([width], [ij.Activate(0, "SOFTMAX")], feature_size=width)
    kernel, rows = ij.compile(model), rows_for(model, 3)
    assert kernel.source.level.lanes == 1
    for count in (1, 2, 3):
        assert same_bits(kernel.predict(rows[:count]), reference.run(model, rows[:count]))
