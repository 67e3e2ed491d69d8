"""The generated text without Numba: the bits of the reference on 2,000 random models."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from plain_run import buffers_after, form_of, run_in_place, run_row, run_tiles, same_bits
from random_models import random_model

import instjit as ij
from instjit import reference
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES, drop_dead, forward_copies, fuse, reuse_regions
from instjit.variant import Compiled

EACH_PASS = (drop_dead, forward_copies, fuse, reuse_regions)
PASS_SETS = (
    (),
    PASSES,
    *((single,) for single in EACH_PASS),
    *combinations(EACH_PASS, 2),
    tuple(reversed(PASSES)),
)
CHUNK = 100
CHUNKS = range(0, 2000, CHUNK)


def choices(seed: int) -> tuple[str, tuple]:
    """Level and passes of a seed: neighbours differ in both, all pairs occur."""
    return list(LEVELS)[seed % len(LEVELS)], PASS_SETS[seed // len(LEVELS) % len(PASS_SETS)]


@pytest.mark.parametrize("first", CHUNKS)
def test_tiles_and_rows_give_the_bits_of_the_reference(first) -> None:
    for seed in range(first, first + CHUNK):
        model, rows = random_model(seed)
        form = form_of(model, choices(seed)[0], "output", choices(seed)[1])
        wanted = reference.run(model, rows)
        assert same_bits(run_tiles(form, rows), wanted), seed
        for number in {0, len(rows) // 2, len(rows) - 1}:
            assert same_bits(run_row(form, rows[number]), wanted[number]), (seed, number)


@pytest.mark.parametrize("first", CHUNKS)
def test_slots_and_flat_buffers_give_the_bits_of_the_reference(first) -> None:
    for seed in range(first, first + CHUNK, 2):
        model, rows = random_model(seed)
        rng = np.random.default_rng(seed)
        level, passes = choices(seed // 2)
        start, stop = sorted(rng.choice(model.required_memory + 1, 2, replace=False))
        slots = run_tiles(form_of(model, level, "slots", passes), rows, int(start), int(stop))
        assert same_bits(slots, reference.run_buffers(model, rows)[:, start:stop]), seed

        flat = rng.normal(size=(len(rows), model.required_memory)).astype(np.float32)
        flat[:, : model.input_size] = rows
        after = run_in_place(form_of(model, level, "buffer", passes), flat)
        assert same_bits(after, buffers_after(model, flat)), seed


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("variant", ["output", "slots", "buffer"])
@pytest.mark.parametrize("seed", [1, 5, 8])
def test_a_model_too_wide_for_the_cache_runs_row_by_row(seed, variant, level, monkeypatch) -> None:
    monkeypatch.setattr("instjit.kernels.target.cache_bytes", lambda: 0)
    model, rows = random_model(seed)
    form = Compiled(model, ij.Cost(), LEVELS[level], variant, PASSES)
    assert form.lanes == 1
    flat = np.zeros((len(rows), model.required_memory), np.float32)
    flat[:, : model.input_size] = rows
    taken = flat if variant == "buffer" else rows
    wanted = reference.run_buffers(model, rows)
    wanted = wanted[:, model.output_start :] if variant == "output" else wanted
    assert same_bits(run_tiles(form, np.ascontiguousarray(taken)), wanted)
