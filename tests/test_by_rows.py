"""Programs that run row by row: which ones, what needs no scratch, the same bits in any memory."""

from __future__ import annotations

import re

import numpy as np
import pytest
from nets import dense, softmax, tables
from plain_run import form_of, run_in_place, run_row, run_tiles, same_bits

import instjit as ij
from instjit import launch, reference
from instjit.kernels.borrowed import borrowed
from instjit.kernels.by_rows import quicker_by_rows
from instjit.kernels.target import LEVELS, fitted
from instjit.lower import lower
from instjit.passes import PASSES, apply


def elementwise(width: int) -> ij.Model:
    """``relu(x * a + b)``."""
    rng = np.random.default_rng(width)
    return ij.Model(
        [width],
        [ij.MulElementwise(0, 0), ij.AddElementwise(0, 1), ij.Activate(0, "RELU")],
        parameters=rng.normal(size=(2, width)),
        feature_size=width,
    )


def reversed_sum(width: int) -> ij.Model:
    """Elements gathered one by one."""
    backwards = tuple(range(width - 1, -1, -1))
    return ij.Model(
        [width, width, width],
        [ij.CopyMasked(0, 1, backwards), ij.AddElementwiseBuffers((0, 1), 2)],
        feature_size=width,
    )


def two_softmaxes(width: int) -> ij.Model:
    """Two inputs, one output, written in two parts."""
    return ij.Model(
        [width, width, 2 * width],
        [ij.Activate(0, "SOFTMAX"), ij.Activate(1, "SOFTMAX"), ij.Copy(0, 2), ij.Copy(1, 2, width)],
        feature_size=2 * width,
    )


def whole_and_sum(width: int) -> ij.Model:
    """The input again, and its sum behind it."""
    return ij.Model(
        [width, 1, width + 1],
        [ij.ReduceSum(0, 1), ij.Copy(0, 2), ij.Copy(1, 2, width)],
        feature_size=width,
    )


def summed(width: int) -> ij.Model:
    return ij.Model([width, 1], [ij.ReduceSum(0, 1)], feature_size=width)


def copied(width: int) -> ij.Model:
    return ij.Model([width, width], [ij.Copy(0, 1)], feature_size=width)


def untouched(width: int) -> ij.Model:
    return ij.Model([width], [], feature_size=width)


@pytest.mark.parametrize(
    ("model", "widths"),
    [
        (softmax(8), set()),
        (softmax(16), {4}),
        (softmax(32), {4, 8}),
        (softmax(48), {4, 8, 16}),
        (softmax(2048), {4, 8, 16}),
        (elementwise(1), set()),
        (elementwise(2), {4}),
        (elementwise(16), {4, 8, 16}),
        (elementwise(1000), {4, 8, 16}),
        (summed(1000), {4, 8, 16}),
        (copied(5), {4, 8, 16}),
        (untouched(5), {4, 8, 16}),
        (reversed_sum(1000), set()),
        (dense(1000, 2), set()),
        (tables(), set()),
    ],
)
def test_wide_programs_of_maps_and_reduces_are_quicker_by_rows(model, widths) -> None:
    program = apply(lower(model))
    assert {width for width in (4, 8, 16) if quicker_by_rows(program, width)} == widths


def test_the_choice_is_in_the_text() -> None:
    shown = [form_of(softmax(n), "avx512", "output", PASSES).source.text for n in (16, 256)]
    assert [int(re.search(r"(\d+) rows a tile", text)[1]) for text in shown] == [32, 1]


def test_programs_that_are_quicker_by_rows_have_no_tiles_however_narrow() -> None:
    assert fitted(LEVELS["avx512"], 100, 0.0, rows=True).lanes == 1
    assert fitted(LEVELS["avx512"], 100, 0.0).lanes == 32


# -- what needs no scratch -------------------------------------------------------------------------


def borrowed_columns(model: ij.Model) -> tuple[set[int], set[int]]:
    """First columns of the borrowed regions, of input and of output."""
    program = apply(lower(model))
    found = borrowed(program)
    taken = {c.first for c in program.loads if c.view.region in found}
    given = {c.first for c in program.stores if c.view.region in found}
    return taken, given


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (softmax(64), ({0}, {0})),
        (elementwise(64), ({0}, set())),  # one step would read a row while it writes it
        (two_softmaxes(64), ({0, 64}, {0})),
        (summed(64), ({0}, set())),  # a sum is not written by a Map
        (whole_and_sum(64), ({0}, set())),
        (copied(64), ({0}, set())),
        (untouched(64), (set(), set())),  # the region of input is that of output
        (dense(4, 3), (set(), set())),
        (tables(), (set(), set())),
    ],
)
def test_columns_are_borrowed_where_no_row_is_read_after_it_is_written(model, columns) -> None:
    assert borrowed_columns(model) == columns


MODELS = {
    f"{make.__name__} over {width}": (make, width)
    for make in (softmax, elementwise, two_softmaxes, whole_and_sum, summed, copied)
    for width in (48, 67, 300)
}


def rows_for(model: ij.Model, count: int) -> np.ndarray:
    rows = np.random.default_rng(count).normal(0, 3, (count, model.input_size)).astype(np.float32)
    rows[1, 5] = np.nan
    rows[2, 0] = -np.inf
    return rows


@pytest.mark.parametrize("passes", [(), PASSES], ids=["no pass", "all passes"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MODELS)
def test_the_text_gives_the_bits_of_the_reference(name, level, passes) -> None:
    make, width = MODELS[name]
    model = make(width)
    form, rows = form_of(model, level, "output", passes), rows_for(model, 5)
    wanted = reference.run(model, rows)
    assert same_bits(run_tiles(form, rows), wanted)
    assert same_bits(run_row(form, rows[3]), wanted[3])
    if model.input_size == model.output_size:
        assert same_bits(run_in_place(form, rows), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_kernels_give_the_bits_of_the_reference_in_any_memory(name, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    make, width = MODELS[name]
    model = make(width)
    kernel, rows = ij.compile(model), rows_for(model, 101)
    wanted = reference.run(model, rows)
    for threads in (1, 2):
        assert same_bits(kernel.predict(rows, threads=threads), wanted)
    buffers = reference.run_buffers(model, rows)
    assert same_bits(kernel.predict(rows, slots=(1, width)), buffers[:, 1:width])
    memory = np.empty(rows.size + wanted.size + 8, np.float32)
    for shift in (0, 1, 8):
        x = memory[shift : shift + rows.size].reshape(rows.shape)
        x[:] = rows
        out = memory[: wanted.size].reshape(wanted.shape)
        assert same_bits(kernel.predict(x, out=out), wanted), shift


@pytest.mark.parametrize("shift", [-8, -1, 0, 1, 3, 16])
@pytest.mark.parametrize("name", MODELS)
def test_a_row_may_overlap_its_output(name, shift) -> None:
    make, width = MODELS[name]
    model = make(width)
    kernel, x = ij.compile(model), rows_for(model, 4)[3]
    memory = np.empty(3 * model.required_memory + 64, np.float32)
    held = memory[16 : 16 + x.size]
    held[:] = x
    out = memory[16 + shift : 16 + shift + model.output_size]
    assert same_bits(kernel.row(held, out=out), reference.run(model, x[None])[0])


def test_inlined_rows_give_the_bits_of_the_reference() -> None:
    model = softmax(100)
    x, out = rows_for(model, 4)[3], np.empty(100, np.float32)
    ij.compile(model).inline(x, out)
    assert same_bits(out, reference.run(model, x[None])[0])


def test_a_wide_product_whose_epilogue_reads_the_callers_row_is_no_wide_one() -> None:
    """A model that runs row by row, adds an input that it borrows to 656,100 weights' sums."""
    depth, columns = 810, 9000
    model = ij.Model(
        [depth, depth, columns, depth, depth, depth + columns],
        [
            *[ij.Activate(2, "TANH")] * 12,
            ij.Dot(0, 3, 0, None),
            ij.AddElementwiseBuffers((3, 1), 4),
            ij.Copy(4, 5, 0),
            ij.Copy(2, 5, depth),
        ],
        weights=[np.eye(depth, dtype=np.float32)],
        bias=[np.ones(depth, np.float32)],
        feature_size=2 * depth + columns,
    )
    kernel, rows = ij.compile(model), rows_for(model, 3)
    assert kernel.source.level.lanes == 1
    wanted = reference.run(model, rows)
    assert same_bits(kernel.predict(rows), wanted)
    assert same_bits(kernel.row(rows[1]), wanted[1])
