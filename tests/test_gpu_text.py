"""The text for the GPU, run thread by thread in plain Python: the bits of the reference."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

import numpy as np
import pytest
from gpu_emulate import run_plain
from gpu_run import FORMS, SMALL, emitted, run_form
from gpu_words import golden_models
from nets import NETS, dense, gated, rows_for, softmax, tables
from plain_run import same_bits
from random_models import random_model

import instjit as ij
from instjit import reference
from instjit.arithmetic import NumpyArithmetic, fma
from instjit.functions import FUNCTIONS
from instjit.gpu import plain
from instjit.gpu.placement import split
from instjit.gpu.text import called, function_text
from instjit.gpu.tile import SUMS, Tile, shared_out
from instjit.lower import lower
from instjit.passes import PASSES
from instjit.program import chains

ROWS = 5
GOLDEN = golden_models()
PRIMITIVES = set(plain.namespace()) | {"cuda", "range"}


def awkward(count: int, seed: int) -> np.ndarray:
    """Any bits, ordinary numbers, and the special ones."""
    rng = np.random.default_rng(seed)
    special = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1, -1, 88, 0.5], np.float32
    )
    any_bits = rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    ordinary = rng.normal(0, 3, count).astype(np.float32)
    return rng.permutation(np.concatenate([special, any_bits, ordinary]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_text_has_the_bits_of_its_sequence(name) -> None:
    function, names = FUNCTIONS[name], plain.namespace().copy()
    exec(function_text(name), names)
    operands = [awkward(500, seed) for seed in range(function.arity)]
    got = [names[called(name)](*values) for values in zip(*operands, strict=True)]
    assert {value.dtype for value in got} == {np.dtype(np.float32)}
    assert same_bits(np.array(got), function.sequence(NumpyArithmetic(), *operands))


def test_the_plain_fma_rounds_once() -> None:
    a, b, c = (awkward(20_000, seed) for seed in range(3))
    ties = np.float32(1 + 2.0**-12), np.float32(2.0**-40)  # a * a is a tie that c decides
    a[:2], b[:2], c[0], c[1] = ties[0], ties[0], ties[1], -ties[1]
    got = np.array([plain.fma(*values) for values in zip(a, b, c, strict=True)])
    assert same_bits(got, fma(a, b, c))
    assert got[0] != got[1]


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda memory: plain.load2(memory, 3), 3),
        (lambda memory: plain.load4(memory, 2), 2),
        (lambda memory: plain.store2(memory, 1, 0, 0), 1),
        (lambda memory: plain.store4(memory, 6, 0, 0, 0, 0), 6),
        (lambda memory: plain.copy4(memory, 5, memory, 0), 5),
        (lambda memory: plain.copy4(memory, 4, memory, 2), 2),
    ],
)
def test_a_vector_at_an_odd_place_is_an_error_as_on_a_gpu(call, place) -> None:
    with pytest.raises(ValueError, match=f"cannot start at place {place}$"):
        call(np.zeros(16, np.float32))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_models_have_the_bits_of_the_reference(first, form) -> None:
    for seed in range(first, first + 25):
        model, rows = random_model(seed)
        passes = () if seed % 4 == 0 else PASSES
        got = run_form(model, rows[:ROWS], passes=passes, **FORMS[form])
        assert same_bits(got, reference.run(model, rows[:ROWS])), seed


@pytest.mark.parametrize("form", FORMS)
def test_golden_models_have_the_bits_of_the_reference(form) -> None:
    for name, model, rows in GOLDEN:
        got = run_form(model, rows[:ROWS], **FORMS[form])
        assert same_bits(got, reference.run(model, rows[:ROWS])), name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("net", NETS)
def test_every_form_of_a_step_has_the_bits_of_the_reference(net, form) -> None:
    model = NETS[net]()
    rows = rows_for(model, 2 if form == "thread" else SMALL.rows + 1)
    assert same_bits(run_form(model, rows, **FORMS[form]), reference.run(model, rows))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 40])
def test_any_number_of_rows(rows) -> None:
    model = dense(3, 5, 2)
    x = rows_for(model, rows)
    for options in FORMS.values():
        assert same_bits(run_form(model, x, **options), reference.run(model, x))


@pytest.mark.parametrize("form", ["thread", "block"])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("softmax", softmax(33)),
        ("gated", gated()),
        ("tables", tables()),
        ("layers", dense(6, 9, 3)),
    ],
)
def test_golden_text(name, model, form, golden) -> None:
    golden(f"source/{name}-cuda-{form}.py.txt", emitted(model, form)[0].text)


@pytest.mark.parametrize(
    ("widths", "form", "scratch"),
    [
        ((8, 32, 4), "thread", False),
        ((250, 300, 200), "block", False),
        ((10, 3000, 10), "block", True),
    ],
)
def test_the_size_of_a_rows_scratch_decides_the_form(widths, form, scratch) -> None:
    source = emitted(dense(*widths))[0]
    assert source.form == form
    assert bool(source.scratch_floats) == scratch
    assert source.shared_bytes > 0


@pytest.mark.parametrize(
    ("model", "held"),
    [(dense(8, 32, 4), True), (tables(), False), (dense(8, 4096, 4), False)],
)
def test_a_thread_forms_constants_are_held_where_they_are_few_and_their_number_known(
    model, held
) -> None:
    source, k, _ = emitted(model, "thread")
    assert source.shared_bytes == (4 * 432 if held else 0)
    assert len(k) >= source.shared_bytes // 4


@pytest.mark.parametrize("kilobytes", [99, 163, 227])
@pytest.mark.parametrize(
    "widths", [(71, 20), (140, 64), (40, 300, 32, 2), (250, 300, 200), (10, 3000, 10)]
)
def test_a_tile_fits_shared_memory_or_leaves_regions_to_global_memory(widths, kilobytes) -> None:
    source = emitted(dense(*widths), "block", shared_bytes=kilobytes * 1024)[0]
    of_all_blocks = source.tile.blocks * (source.shared_bytes + 1024)
    assert of_all_blocks <= (kilobytes + 1) * 1024  # a block costs 1 KB besides
    assert (source.scratch_floats > 0) == (widths == (10, 3000, 10))
    assert not source.scratch_floats or source.tile.rows == 32


def test_more_shared_memory_gives_taller_tiles() -> None:
    rows = [emitted(dense(250, 300, 200), shared_bytes=kb * 1024)[0].tile.rows for kb in (99, 227)]
    assert rows == [32, 64]


def test_what_is_read_most_stays_in_shared_memory() -> None:
    """Of 10, 3000 and 2500 slots in turn the ones that a wide product reads."""
    program = lower(dense(10, 3000, 2500, 1)).laid_out()
    found = []
    for most in (9, 5000, 6000):
        sizes = {program.regions[region] for region in split(program, most).shared}
        found.append(sizes & {10, 3000, 2500})
    assert found == [set(), {10, 3000}, {10, 3000, 2500}]


def test_the_bits_are_the_same_wherever_regions_lie() -> None:
    model = NETS["gated"]()
    rows = rows_for(model, 9)
    wanted = reference.run(model, rows)
    held = set()
    for shared_bytes in range(0, 12_000, 1500):
        source = emitted(model, "block", SMALL, shared_bytes)[0]
        held.add(source.scratch_floats)
        got = run_form(model, rows, form="block", tile=SMALL, shared_bytes=shared_bytes)
        assert same_bits(got, wanted), shared_bytes
    assert len(held) > 3


SHAPES = [
    (1, 300),
    (2, 16),
    (3, 16),
    (3, 40),
    (5, 64),
    (32, 300),
    (33, 7),
    (200, 300),
    (300, 250),
    (1000, 10),
]


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("rows_each", [1, 2, 4])
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_a_product_is_shared_out_whole(outputs, depth, rows_each, blocks) -> None:
    tile = Tile(rows_each=rows_each, blocks=blocks)
    share = shared_out(tile, outputs, depth)
    assert share.lanes * share.groups == tile.threads
    assert share.lanes * share.rows_each == tile.rows
    assert share.panels * share.panel >= outputs
    assert share.panels == 1 or share.panel % 4 == 0
    sums = share.rows_each * share.outputs_each * chains(outputs, depth)
    assert sums <= SUMS[blocks]
    loads = share.weight_loads()
    assert [q + e for q, width in loads for e in range(width)] == list(range(share.outputs_each))
    assert all(share.stride % width == q % width == 0 for q, width in loads)


def test_a_wide_product_wastes_little() -> None:
    for outputs in (200, 300):
        share = shared_out(Tile(rows_each=2), outputs, 250)
        assert share.panels * share.panel <= 1.05 * outputs
        assert share.rows_each * share.outputs_each >= 48


def test_the_text_depends_on_structure_alone() -> None:
    first, second = dense(8, 32, 4), dense(8, 32, 4)
    other = ij.Model(
        [8, 32, 4],
        list(first.instructions),
        [weights * 2 for weights in first.weights],
        first.bias,
        feature_size=8,
    )
    texts = {str(emitted(model)[0]) for model in (first, second, other)}
    assert len(texts) == 1
    digests = {emitted(model)[0].digest for model in (first, dense(8, 32, 5), dense(8, 33, 4))}
    assert len(digests) == 3


@pytest.mark.parametrize("form", FORMS)
def test_the_text_calls_primitives_and_its_own_functions_alone(form) -> None:
    for seed in range(30):
        text = emitted(random_model(seed)[0], **FORMS[form])[0].text
        tree = ast.parse(text)
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        roots = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert roots <= PRIMITIVES | own
        assert not re.search(r"[^/*]/[^/]|\*\*| @ ", "\n".join(text.splitlines()[1:]))


@pytest.mark.parametrize(
    ("tile", "widths"),
    [
        (Tile(lanes=4, groups=4, rows_each=1, outputs_each=1, depth=8), (70, 20, 3)),
        (Tile(lanes=2, groups=8, rows_each=4, outputs_each=8, depth=16), (70, 20, 3)),
        (Tile(lanes=8, groups=2, rows_each=2, outputs_each=16, depth=8), (9, 70, 70)),
    ],
)
def test_any_tile_gives_the_same_bits(tile, widths) -> None:
    model = dense(*widths)
    rows = rows_for(model, 10)
    got = run_form(model, rows, form="block", tile=tile)
    assert same_bits(got, reference.run(model, rows))


def test_a_barrier_that_a_thread_misses_is_noticed() -> None:
    source, k, n = emitted(dense(3, 4, 2), "block", SMALL)
    uneven = "        if lane < 1:\n            cuda.syncthreads()\n        step1("
    text = source.text.replace("        step1(", uneven)
    x, y = np.zeros((2, 3), np.float32), np.zeros((2, 2), np.float32)
    with pytest.raises(RuntimeError, match="miss a barrier"):
        run_plain(replace(source, text=text), x, y, k, n)


def test_the_run_thread_by_thread_notices_a_missing_barrier() -> None:
    model = dense(20, 30, 4)
    source, k, n = emitted(model, "block", SMALL)
    x = rows_for(model, 8)
    wanted = reference.run(model, x)
    barriers = [match.start() for match in re.finditer(r"cuda\.syncthreads\(\)", source.text)]
    noticed = []
    for at in barriers:
        text = source.text[:at] + "pass" + source.text[at + len("cuda.syncthreads()") :]
        y = np.zeros((8, 4), np.float32)
        run_plain(replace(source, text=text), x, y, k, n, blocks=1)
        noticed.append(not same_bits(y, wanted))
    assert sum(noticed) > len(barriers) / 2, noticed  # where two barriers meet, one would do
