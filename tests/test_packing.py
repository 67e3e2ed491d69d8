"""Packed constants: blocks of products, tables, places and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from plain_run import form_of, run_tiles
from random_models import random_model

import instjit as ij
from instjit.kernels import plain
from instjit.kernels.located import Total
from instjit.kernels.packing import (
    DENSE_SPAN,
    LINE_FLOATS,
    SMALL_SPAN,
    PackedTable,
    aligned_floats,
    block_floats,
    narrow,
    pack_gemm,
    pack_table,
    padded,
    panels,
)
from instjit.kernels.specs import GemmSpec
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES
from instjit.program import chains

SHAPES = [
    *((1, 1), (1, 15), (1, 16), (1, 300), (3, 17), (4, 16), (5, 16), (5, 70), (12, 7), (13, 64)),
    *((24, 5), (25, 5), (47, 3), (48, 64), (49, 64), (96, 9), (97, 9), (200, 3), (300, 250)),
]


def a_product(outputs: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng((outputs, depth))
    weights = rng.normal(size=(outputs, depth)).astype(np.float32)
    return weights, rng.normal(size=outputs).astype(np.float32)


def gemm_block(weights: np.ndarray, bias: np.ndarray, panel: int) -> np.ndarray:
    block = np.zeros(block_floats(*weights.shape), np.float32)
    pack_gemm(block, weights, bias, panel)
    return block


@pytest.mark.parametrize("panel", sorted({level.panel for level in LEVELS.values()} | {4, 8}))
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_a_block_holds_every_weight_where_the_kernels_read_it(outputs, depth, panel) -> None:
    weights, bias = a_product(outputs, depth)
    block = gemm_block(weights, bias, panel)
    assert len(block) == block_floats(outputs, depth)
    if narrow(outputs, depth):
        assert (block[:outputs] == bias).all()
        assert (block[padded(outputs) :].reshape(outputs, depth) == weights).all()
        return
    for part in panels(outputs, depth, panel):
        for o in range(part.outputs):
            assert block[part.at + o] == bias[part.first + o]
            column = block[part.at + part.width + o :: part.width][:depth]
            assert (column == weights[part.first + o]).all()
        unused = block[part.at : part.at + part.width * (depth + 1)].reshape(-1, part.width)
        assert not unused[:, part.outputs :].any()


@pytest.mark.parametrize("panel", [24, 48, 96])
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_the_plain_text_unpacks_the_same_product(outputs, depth, panel) -> None:
    weights, bias = a_product(outputs, depth)
    k = np.concatenate([np.full(16, np.nan, np.float32), gemm_block(weights, bias, panel)])
    spec = GemmSpec(outputs, depth, chains(outputs, depth), 0, depth, 16, Total())
    unpacked, offsets = plain._unpacked(spec, panel, k)
    assert (unpacked == weights).all()
    assert (offsets == bias).all()


@pytest.mark.parametrize("panel", [24, 48, 96])
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_panels_follow_each_other_without_gaps(outputs, depth, panel) -> None:
    at = first = 0
    for part in panels(outputs, depth, panel):
        assert (part.at, part.first) == (at, first)
        assert 0 < part.outputs <= part.width <= panel
        assert part.width % 4 == 0
        at += part.width * (depth + 1)
        first += part.outputs
    assert first == outputs
    if not narrow(outputs, depth):
        assert at == block_floats(outputs, depth)


def test_only_products_with_eight_chains_are_narrow() -> None:
    assert narrow(4, 16)
    assert not narrow(5, 16)
    assert not narrow(4, 15)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_constants_start_at_a_cache_line_and_may_be_read_past_their_end(count) -> None:
    for _ in range(20):
        array = aligned_floats(count)
        assert array.ctypes.data % 64 == 0
        assert len(array) >= count + LINE_FLOATS
        assert not array.any()


def a_table(keys) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array(sorted(keys), dtype=np.int32)
    return keys, np.arange(2 * len(keys), dtype=np.float32).reshape(-1, 2)


def looked_up(table: PackedTable, key: int) -> np.ndarray | None:
    """The row of a key by the rules of the directory, None where it is absent."""
    number = 0
    if len(table.dense):
        place = key - table.first
        number = int(table.dense[place]) if 0 <= place < len(table.dense) else 0
    elif key in table.keys:
        number = table.keys.tolist().index(key) + 1
    return table.values[number - 1] if number else None


TABLES = {
    "empty": ([], False),
    "one key": ([7], True),
    "least key": ([-(2**31)], True),
    "dense": (range(-5, 40), True),
    "gaps": ([0, 1, 100, SMALL_SPAN - 1], True),
    "just too wide for two": ([0, SMALL_SPAN], False),
    "wide for as many": ([*range(255), DENSE_SPAN - 1], True),
    "too few for as wide": ([*range(254), DENSE_SPAN - 1], False),
    "just too wide": ([*range(300), DENSE_SPAN], False),
    "wide but full": (range(0, 4 * 2000, 4), True),
    "wide and empty": (range(0, 80 * 2000, 80), False),
    "the ends of int32": ([-(2**31), 2**31 - 1], False),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_each_key_its_row_and_others_none(name) -> None:
    keys, dense = TABLES[name]
    keys, values = a_table(keys)
    table = pack_table(keys, values)
    assert bool(len(table.dense)) == dense
    for key, row in zip(keys.tolist(), values, strict=True):
        assert (looked_up(table, key) == row).all()
    for key in {-(2**31), 2**31 - 1, -6, 3, 50} - set(keys.tolist()):
        assert looked_up(table, key) is None


@pytest.mark.parametrize("seed", range(50))
def test_constants_are_read_only_and_aligned(seed) -> None:
    form = form_of(random_model(seed)[0], "avx512", "output", PASSES)
    assert form.k_address % 64 == 0
    for array in (form.k, form.n):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_lookups_in_one_map_share_its_packed_values() -> None:
    entries = {key: [key, key + 0.5] for key in range(1000)}
    count = 8
    model = ij.Model(
        [count, 2 * count],
        [ij.MapTransform(0, 1, i, 2 * i, 0, 2, (-float(i), 0.0)) for i in range(count)],
        maps=[entries],
        feature_size=count,
    )
    form = form_of(model, "avx512", "output", PASSES)
    assert len(form.k) < 2 * 1000 + 2 * count + 64
    rows = np.arange(count, dtype=np.float32)[None, :] * 300
    wanted = [[v, v + 0.5] if v < 1000 else [-float(i), 0.0] for i, v in enumerate(rows[0])]
    assert run_tiles(form, rows).reshape(count, 2).tolist() == wanted
