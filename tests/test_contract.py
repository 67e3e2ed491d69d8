"""The numerics contract: a row's bits are the same wherever and however it is run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from nets import NETS, dense, rows_for
from plain_run import same_bits

import instjit as ij
from instjit import launch, reference
from instjit.kernel import Kernel
from instjit.kernels.direct import Reach
from instjit.kernels.target import detect
from instjit.passes import PASSES

SIZES = (0, 1, 2, 31, 32, 33, 64, 65, 1000)
ROWS = 1000


@pytest.fixture(scope="module", params=NETS)
def kernel(request) -> Kernel:
    return Kernel(NETS[request.param](), detect(), None, PASSES)


@pytest.fixture(scope="module")
def rows(kernel) -> np.ndarray:
    rows = rows_for(kernel.model, ROWS)
    rows.setflags(write=False)
    return rows


@pytest.fixture(scope="module")
def wanted(kernel, rows) -> np.ndarray:
    return np.ascontiguousarray(reference.run(kernel.model, rows))


@pytest.fixture
def always_parallel(monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)


def guarded(shape: tuple[int, int], call: Callable[[np.ndarray], object]) -> np.ndarray:
    """What ``call`` writes to an array of that shape; nothing beside it may change."""
    band = 64
    memory = np.full(2 * band + shape[0] * shape[1], np.nan, np.float32).view(np.uint32)
    memory[:] = 0x7FC0BEEF
    call(memory[band : len(memory) - band].view(np.float32).reshape(shape))
    assert (memory[:band] == 0x7FC0BEEF).all()
    assert (memory[len(memory) - band :] == 0x7FC0BEEF).all()
    return memory[band : len(memory) - band].view(np.float32).reshape(shape)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_batch_size_and_number_of_threads(
    count, threads, kernel, rows, wanted, always_parallel
) -> None:
    for first in {0, 1, ROWS - count} - {ROWS}:
        part = rows[first : first + count].copy()
        result = guarded(
            (len(part), kernel.output_size),
            lambda out, part=part: kernel.predict(part, out, threads),
        )
        assert same_bits(result, wanted[first : first + count])
        assert same_bits(part, rows[first : first + count])


@pytest.mark.parametrize("count", [1, 2, 16, 17, 31, 32, 33, 48, 49, 64, 65])
def test_rows_straight_to_machine_code(count, kernel, rows, wanted) -> None:
    form = kernel._variant("output")
    call = form.direct(Reach(tiles=100, near_tiles=100)).rows
    result = guarded((count, kernel.output_size), lambda out: call(rows[:count], out))
    assert same_bits(result, wanted[:count])


@pytest.mark.parametrize("chunk", [1, 7, 32, 100, 333])
def test_any_chunking(chunk, kernel, rows, wanted) -> None:
    parts = [kernel.predict(rows[first : first + chunk]) for first in range(0, ROWS, chunk)]
    assert same_bits(np.concatenate(parts), wanted)


def test_any_place_in_the_batch(kernel, rows, wanted) -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    assert same_bits(kernel.predict(rows[order]), wanted[order])
    assert same_bits(kernel.predict(rows[::-1]), wanted[::-1])
    same = np.repeat(rows[17:18], 100, axis=0)
    assert same_bits(kernel.predict(same), np.repeat(wanted[17:18], 100, axis=0))


def test_a_row_alone(kernel, rows, wanted) -> None:
    for number in range(0, ROWS, 3):
        result = guarded(
            (1, kernel.output_size),
            lambda out, number=number: kernel.row(rows[number], out=out[0]),
        )
        assert same_bits(result[0], wanted[number])


def test_without_passes(kernel, rows, wanted) -> None:
    plain = Kernel(kernel.model, detect(), None, ())
    assert same_bits(plain.predict(rows), wanted)
    assert same_bits(plain.row(rows[0]), wanted[0])


def test_slots_and_flat_buffers(kernel, rows, wanted, always_parallel) -> None:
    whole = reference.run_buffers(kernel.model, rows)
    width = kernel.required_memory
    for count in (1, 33, ROWS):
        for threads in (1, 2):
            result = guarded(
                (count, width),
                lambda out, n=count, t=threads: kernel.predict(rows[:n], out, t, (0, width)),
            )
            assert same_bits(result, whole[:count])
    start, stop = width // 3, width // 3 + min(20, width - width // 3)
    part = guarded((ROWS, stop - start), lambda out: kernel.predict(rows, out, slots=(start, stop)))
    assert same_bits(part, whole[:, start:stop])
    for count in (1, 33, ROWS):

        def in_place(flat: np.ndarray, count: int = count) -> None:
            flat[:] = 0
            flat[:, : kernel.input_size] = rows[:count]
            kernel.run_buffer(flat)

        assert same_bits(guarded((count, width), in_place), whole[:count])


def test_a_hundred_thousand_rows() -> None:
    model = dense(10, 20, 3)
    kernel = ij.compile(model)
    rows = rows_for(model, 100_001)
    wanted = reference.run(model, rows)
    for threads in (None, 1, 2):
        result = guarded((100_001, 3), lambda out, t=threads: kernel.predict(rows, out, t))
        assert same_bits(result, wanted)
    assert same_bits(kernel.row(rows[-1]), wanted[-1])


SEARCHED = {-(2**31): [1], -3: [2], 0: [3], 2: [4], 2**24: [5], 2**31 - 1: [6]}
"""Too far apart to be indexed directly."""

FOUND = [
    (-(2.0**31), 1),
    (-3e9, 1),
    (-np.inf, 1),
    (-(2.0**31) + 128, 9),
    (-3.5, 9),
    (-3.4, 2),
    (-2.5, 2),
    (-2.4, 9),
    (-0.5, 9),
    (-0.4, 3),
    (-0.0, 3),
    (np.nan, 3),
    (0.5, 9),
    (1.5, 4),
    (2.4, 4),
    (2.5, 9),
    (2.0**24 - 1, 9),
    (2.0**24, 5),
    (2.0**24 + 2, 9),
    (2.0**31 - 128, 9),
    (2.0**31, 6),
    (np.inf, 6),
]
"""Ids with their values, 9 where there is no entry."""


@pytest.mark.parametrize(
    "table", [SEARCHED, {key: SEARCHED[key] for key in (-3, 0, 2)}], ids=["searched", "indexed"]
)
def test_an_id_finds_the_entry_it_is_rounded_to(table) -> None:
    lookup = ij.MapTransform(0, 1, 0, 0, 0, 1, (9,))
    kernel = ij.compile(ij.Model([1, 1], [lookup], maps=[table], feature_size=1))
    values = {row[0] for row in table.values()}
    wanted = [value if value in values else 9 for _, value in FOUND]
    ids = np.array([[identity] for identity, _ in FOUND], np.float32)
    assert kernel.predict(ids)[:, 0].tolist() == wanted
    assert [kernel.row(row)[0] for row in ids] == wanted
    assert reference.run(kernel.model, ids)[:, 0].tolist() == wanted


@pytest.mark.parametrize("offset", range(1, 16, 4))
def test_rows_at_any_address(offset, kernel, rows, wanted) -> None:
    memory = np.empty(40 * kernel.input_size + 16, np.float32)
    held = memory[offset : offset + 40 * kernel.input_size].reshape(40, -1)
    held[:] = rows[:40]
    out = np.empty(40 * kernel.output_size + 16, np.float32)
    out = out[offset : offset + 40 * kernel.output_size].reshape(40, -1)
    assert same_bits(kernel.predict(held, out), wanted[:40])
    assert same_bits(kernel.row(held[3], out[3]), wanted[3])
