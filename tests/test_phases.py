"""Tiles that go through wide products together: the bits, which batches do, and who works alone."""

from __future__ import annotations

import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from nets import dense, rows_for
from plain_run import form_of, same_bits
from random_models import random_model

import instjit as ij
from instjit import launch, reference, threads
from instjit.kernels import build, driver, gemm_choices, phases, pool, target
from instjit.kernels.target import LEVELS
from instjit.variant import Compiled

F = np.float32
MODEL = dense(33, 130, 97, 50)
X = rows_for(MODEL, 300)
WANTED = reference.run(MODEL, X)


@pytest.fixture(autouse=True)
def three_threads(monkeypatch) -> None:
    """Every product is wide, no cache holds it, and everything is worth sharing among three."""
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    monkeypatch.setattr(launch, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(threads, "available", lambda: 3)
    monkeypatch.setattr(gemm_choices, "WIDE_FLOATS", 1)
    monkeypatch.setattr(gemm_choices, "WIDE_ROW_FLOATS", 1)
    together(monkeypatch, 100)
    monkeypatch.setattr(Compiled, "heavy", True)


def together(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Whatever has phases takes so many tiles through them."""
    monkeypatch.setattr(
        Compiled, "together", property(lambda form: most if form.source.phases else 0)
    )


@pytest.fixture
def groups(monkeypatch) -> list[tuple[int, bool]]:
    """Tiles of each group, and whether it went through the phases."""
    found: list[tuple[int, bool]] = []
    run = driver.run_phases

    def counted(batch: driver.Batch, tiles: int, *others: object) -> bool:
        found.append((tiles, run(batch, tiles, *others)))
        return found[-1][1]

    monkeypatch.setattr(driver, "run_phases", counted)
    return found


def run_text(form: Compiled, rows: np.ndarray, pairs: int) -> np.ndarray:
    """The phases in plain Python, the units of each from behind."""
    names = build.plain_functions(form.source, rows=False)
    out = np.full((len(rows), form.program.width_out), np.nan, F)
    tiles = -(-len(rows) // form.lanes)
    scratch = names["aligned"](np.full(form.scratch * tiles + 16, np.nan, F))
    for phase, spans in enumerate(form.source.phases):
        whole = min(pairs, spans // 2)
        units = whole + (spans - 2 * whole) * tiles if spans else tiles
        for unit in reversed(range(units)):
            names["phases"](rows, out, phase, whole, unit, unit + 1, form.k, form.n, scratch)
    return out


@pytest.mark.parametrize("level", ["avx512", "avx2", "neon", "generic"])
@pytest.mark.parametrize("rows", [1, 5, 9, 33, 70])
def test_the_text_gives_the_bits_of_the_reference(level, rows) -> None:
    form = form_of(MODEL, level, "output", ())
    for pairs in (0, 1, 100):
        assert same_bits(run_text(form, X[:rows], pairs), WANTED[:rows])


@pytest.mark.parametrize("seed", range(0, 240, 12))
def test_the_text_of_random_models_gives_the_bits_of_the_reference(seed) -> None:
    found = 0
    for each in range(seed, seed + 12):
        model, rows = random_model(each)
        form = form_of(model, list(LEVELS)[each % len(LEVELS)], "output", ())
        found += bool(form.source.phases)
        if form.source.phases:
            assert same_bits(run_text(form, rows, 1), reference.run(model, rows)), each
    assert found


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.sweep) for first in range(4, 100, 4))]
)
def test_random_models_give_the_bits_of_the_reference(first, groups) -> None:
    for seed in range(first, first + 4):
        model, rows = random_model(seed)
        rows, kernel = np.concatenate([rows] * 3), ij.compile(model)
        groups.clear()
        assert same_bits(kernel.predict(rows), reference.run(model, rows)), seed
        assert bool(groups) == bool(kernel.source.phases), seed


@pytest.mark.parametrize("level", ["avx512", "avx2", "generic"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_rows_and_threads_gives_the_same_bits(
    level, count, groups, monkeypatch
) -> None:
    monkeypatch.setattr(threads, "available", lambda: count)
    try:
        kernel = ij.compile(MODEL, level=level)
    except ij.CompileError as error:
        pytest.skip(str(error))
    for rows in [17, 24, *range(30, 39), 48, 63, 64, 65, 96, 97, 161, 300]:
        out = np.full((rows + 2, 50), np.nan, F)
        kernel.predict(X[:rows], out=out[1:-1])
        assert same_bits(out[1:-1], WANTED[:rows]), rows
        assert np.isnan(out[[0, -1]]).all()
    assert (count > 1) == bool(groups)
    assert all(done for _, done in groups)


@pytest.mark.parametrize("outputs", [1, 23, 24, 47, 48, 49, 95, 96, 97, 144, 145, 241, 480, 500])
def test_spans_make_every_output_once(outputs, groups) -> None:
    model = dense(40, outputs, outputs, activation="TANH", last=None)
    rows = rows_for(model, 77)
    assert same_bits(ij.compile(model).predict(rows), reference.run(model, rows))
    assert groups


def test_steps_between_wide_products_are_for_tiles() -> None:
    program = SimpleNamespace(steps=range(7))
    cases = {
        (): [(0, 1, 2, 3, 4, 5, 6)],
        (0,): [(), 0, (1, 2, 3, 4, 5, 6)],
        (6,): [(0, 1, 2, 3, 4, 5), 6, ()],
        (1, 2, 5): [(0,), 1, 2, (3, 4), 5, (6,)],
    }
    for wide, wanted in cases.items():
        found = phases.phases(program, frozenset(wide))
        assert [each.steps if each.wide is None else each.wide for each in found] == wanted


def test_a_span_is_whole_blocks_and_where_it_can_be_whole_lines() -> None:
    assert {name: level.span for name, level in LEVELS.items()} == {
        "avx512": 48, "avx2": 48, "neon": 24, "generic": 24,
    }  # fmt: skip
    for level in LEVELS.values():
        assert level.span % level.outputs == 0
        assert level.panel % level.span == 0


GROUPS = {
    # tiles, threads, most together, most a section, heavy: tiles of a group
    "one thread": ((3, 1, 9, 9, False), 0),
    "one thread, heavy": ((3, 1, 9, 9, True), 0),
    "in a cache": ((3, 2, 0, 9, False), 0),
    "one tile": ((1, 2, 9, 9, False), 1),
    "a tile for each": ((2, 2, 9, 9, False), 0),
    "heavy, a tile for each": ((2, 2, 9, 9, True), 2),
    "even": ((4, 2, 9, 9, False), 0),
    "odd": ((5, 2, 9, 9, False), 5),
    "one is left": ((7, 3, 9, 9, False), 7),
    "too many": ((11, 2, 9, 9, False), 0),
    "too long": ((5, 2, 9, 4, False), 0),
    "heavy and even": ((4, 2, 9, 9, True), 4),
    "heavy and many": ((10, 2, 9, 9, True), 5),
    "heavy and long": ((10, 2, 9, 4, True), 4),
    "heavy, one tile a section": ((10, 2, 9, 1, True), 1),
}


@pytest.mark.parametrize("case", GROUPS)
def test_tiles_go_together_where_it_pays(case) -> None:
    (total, several, together, section, heavy), wanted = GROUPS[case]
    form = SimpleNamespace(together=together, heavy=heavy)
    assert launch.group_tiles(form, total, several, section) == wanted


RESTS = {
    # rows, threads, together: rows in tiles
    "fewer than a tile": ((5, 2, 9), 5),
    "whole tiles": ((64, 2, 9), 64),
    "few more": ((69, 2, 9), 64),
    "more": ((70, 2, 9), 70),
    "one thread": ((65, 1, 9), 65),
    "in a cache": ((65, 2, 0), 65),
}


@pytest.mark.parametrize("case", RESTS)
def test_the_last_few_rows_go_one_by_one(case) -> None:
    (count, several, together), wanted = RESTS[case]
    form = SimpleNamespace(lanes=32, together=together)
    assert launch._rows_of_tiles(form, count, several) == wanted


SIZES = {
    # bytes of the second and of the third cache: tiles together, heavy
    "the core's cache holds it": ((1 << 20, 1 << 24), (0, False)),
    "the shared one does": ((1 << 12, 1 << 24), (6, False)),
    "they take more than a third": ((1 << 12, 1 << 20), (4, True)),
    "scratch takes a quarter at most": ((1 << 12, 1 << 19), (2, True)),
    "one tile at least": ((1 << 10, 1 << 12), (1, True)),
}


@pytest.mark.parametrize("case", SIZES)
def test_what_goes_together_depends_on_the_caches(case, monkeypatch) -> None:
    sizes, wanted = SIZES[case]
    monkeypatch.undo()
    monkeypatch.setattr(gemm_choices, "WIDE_FLOATS", 1)
    monkeypatch.setattr(gemm_choices, "WIDE_ROW_FLOATS", 1)
    form = form_of(dense(300, 300), "avx2", "output", ())
    monkeypatch.setattr(target, "cache_bytes", lambda number=2: sizes[number - 2])
    assert (form.together, form.heavy) == wanted


def test_no_level_of_rows_and_no_other_variant_has_phases() -> None:
    softmax = ij.Model([9000], [ij.Activate(0, "SOFTMAX")], feature_size=9000)
    assert form_of(softmax, "avx2", "output", ()).source.phases == ()
    assert form_of(MODEL, "avx2", "slots", ()).source.phases == ()
    assert form_of(MODEL, "avx2", "buffer", ()).source.phases == ()


def test_the_shared_roads_of_python_leave_tiles_of_several_threads_to_phases(
    groups, monkeypatch
) -> None:
    monkeypatch.setattr(launch, "LONG_SECONDS", 1.0)
    kernel = ij.compile(MODEL)
    kernel.predict(X[:9])
    assert kernel._direct.batch(X[:100], None, 3) is None
    assert same_bits(kernel._direct.batch(X[:9], None, 3), WANTED[:9])
    assert same_bits(kernel._direct.batch(X[:100], None, 1), WANTED[:100])
    assert groups == []
    assert same_bits(kernel.predict(X[:100]), WANTED[:100])
    assert len(groups) == 1


def test_who_finds_the_pool_taken_works_alone(own_pool, groups) -> None:
    kernel = ij.compile(MODEL)
    assert pool._function("take", 1)(own_pool.address)
    assert same_bits(kernel.predict(X), WANTED)
    assert {done for _, done in groups} == {False}
    pool._function("give", 1)(own_pool.address)
    assert same_bits(kernel.predict(X), WANTED)
    assert groups[-1][1]


def test_a_worker_that_never_comes_holds_nobody_up(own_pool, groups, monkeypatch) -> None:
    monkeypatch.setattr(pool.Pool, "_start", lambda self: None)
    assert same_bits(ij.compile(MODEL).predict(X), WANTED)
    assert {done for _, done in groups} == {True}


@pytest.mark.parametrize("rows", [20, 33, 64, 70, 100, 300])
@pytest.mark.parametrize("most", [100, 1])
def test_an_output_over_the_input_gets_the_same_bits(rows, most, groups, monkeypatch) -> None:
    together(monkeypatch, most)
    model = dense(40, 130, 40)
    given = rows_for(model, rows)
    wanted, held = reference.run(model, given), given.copy()
    kernel = ij.compile(model)
    assert kernel.predict(held, out=held) is held
    assert same_bits(held, wanted)
    flat = np.concatenate([given.ravel(), np.zeros(40, F)])
    into = flat[40:].reshape(rows, 40)
    kernel.predict(flat[:-40].reshape(rows, 40), out=into)
    assert same_bits(into, wanted)
    assert groups


def test_python_threads_go_side_by_side(groups) -> None:
    kernel = ij.compile(MODEL)
    with ThreadPoolExecutor(6) as several:
        cases = [*itertools.islice(itertools.cycle((20, 33, 64, 100, 300)), 100)]
        calls = several.map(lambda rows: same_bits(kernel.predict(X[:rows]), WANTED[:rows]), cases)
        assert all(calls)
    assert {done for _, done in groups} >= {True}


def test_hundreds_of_batches_one_after_the_other(groups) -> None:
    kernel = ij.compile(MODEL)
    for turn in range(500):
        rows = 17 + turn % 150
        assert same_bits(kernel.predict(X[:rows]), WANTED[:rows]), rows
    assert len(groups) >= 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_shares_with_threads_of_its_own(groups) -> None:
    kernel = ij.compile(MODEL)
    kernel.predict(X)
    groups.clear()
    child = os.fork()
    if child == 0:
        good = same_bits(kernel.predict(X), WANTED) and [done for _, done in groups] == [True]
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert same_bits(kernel.predict(X), WANTED)


def test_ctrl_c_is_heard_between_groups_and_leaves_the_pool_free(
    own_pool, groups, monkeypatch
) -> None:
    kernel = ij.compile(MODEL)
    together(monkeypatch, 2)
    run, before = driver.run_phases, signal.getsignal(signal.SIGINT)

    def interrupted(*given: object) -> bool:
        if len(groups) == 2:
            signal.raise_signal(signal.SIGINT)
        return run(*given)

    monkeypatch.setattr(driver, "run_phases", interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            kernel.predict(X)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(groups) == 2
    assert own_pool._get("busy") == 0
    groups.clear()
    monkeypatch.setattr(driver, "run_phases", run)
    assert same_bits(kernel.predict(X), WANTED)


def test_memory_that_is_not_there_takes_no_pool_away(own_pool, monkeypatch) -> None:
    kernel = ij.compile(MODEL)

    def refuse(size: int) -> None:
        raise MemoryError

    monkeypatch.setattr(pool, "aligned_bytes", refuse)
    with pytest.raises(MemoryError):
        kernel.predict(X)
    assert own_pool._get("busy") == 0
    monkeypatch.undo()
    assert same_bits(kernel.predict(X), WANTED)


def test_compile_makes_the_phases_where_they_are_used(monkeypatch) -> None:
    asked = []
    code = build._code
    monkeypatch.setattr(
        build, "_code", lambda source, name: asked.append(name) or code(source, name)
    )
    ij.compile(MODEL)
    assert "phases" in asked
    asked.clear()
    together(monkeypatch, 0)
    ij.compile(MODEL)
    assert "phases" not in asked
