"""What a small hostile file may cost: memory, time, and the length of an error."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import numpy as np
import orjson
import pytest

import instjit as ij
from instjit import reference
from instjit.collecting import MOST_COUNTED, MOST_PROBLEMS, Collected
from instjit.graph import unread
from instjit.validate import problems


def dense(*sizes: int, rows: int) -> ij.Model:
    """A chain of products with so many validation rows, which it fulfils."""
    weights = [np.full((b, a), 0.5) for a, b in pairwise(sizes)]
    chain = [ij.Dot(k, k + 1, weights=k) for k in range(len(weights))]
    data = np.zeros((rows, sizes[0])), np.zeros((rows, sizes[-1]))
    return ij.Model(sizes, chain, weights, feature_size=sizes[0], validation_data=data)


def chain_of_parts(count: int) -> ij.Model:
    """Partial writes of one buffer, each followed by a read of it: count * count / 2 edges."""
    steps = [ij.Copy(0, 1), ij.Copy(1, 2)] * count
    return ij.Model([1, 2, 2], steps, feature_size=1)


def test_a_run_keeps_the_output_only() -> None:
    wide = ij.Model([1, 999_998, 1], [ij.Copy(0, 2)], feature_size=1)
    tracemalloc.start()
    try:
        result = reference.run(wide, np.ones((60, 1)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.shape == (60, 1)
    assert peak < 32e6, "60 rows of a million slots are 240 MB"


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_all_buffers_and_the_output_agree_over_blocks(rows, monkeypatch) -> None:
    monkeypatch.setattr(reference, "BLOCK", 12)
    model = dense(3, 2, rows=1)
    x = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    flat = reference.run_buffers(model, x)
    assert flat.shape == (rows, 5)
    assert (flat[:, :3] == x).all()
    assert (flat[:, 3:] == reference.run(model, x)).all()
    assert (flat[:, 3:] == reference.run64(model, x)).all()


def test_validation_rows_that_take_too_long_are_refused_before_they_run() -> None:
    text = orjson.dumps(
        {
            "feature_size": 1,
            "buffer_sizes": [1, 999_998, 1],
            "instructions": [{"type": "COPY", "input": 0, "output": 2, "internal_index": 0}],
            "weights": [],
            "bias": [],
            "validation_data": {"inputs": [[1]] * 20_000, "expected_outputs": [[1]] * 20_000},
        }
    )
    assert len(text) < 200_000
    start = time.perf_counter()
    with pytest.raises(ij.ModelError, match=r"pass check=False, or limits=Limits\(") as caught:
        ij.load(text)
    assert time.perf_counter() - start < 5
    assert caught.value.kind == "LimitExceeded"
    assert caught.value.fields["actual"] > 20_000 * 1_000_000
    assert ij.load(text, check=False).required_memory == 1_000_000


def test_the_limit_of_validation_rows_can_be_moved() -> None:
    model = dense(4, 2, rows=2)
    needed = reference.work(model, 2)
    assert ij.validate(model, limits=ij.Limits(validation_operations=needed)) == ()
    (problem,) = ij.validate(model, limits=ij.Limits(validation_operations=needed - 1))
    assert (problem.kind, problem.fields["actual"]) == ("LimitExceeded", needed)


def test_a_usual_net_has_room_for_a_hundred_rows() -> None:
    assert ij.validate(dense(250, 300, 200, rows=100)) == ()


@pytest.mark.parametrize(
    ("model", "rows", "least"),
    [
        (dense(250, 300, 200, rows=1), 100, 135_000 * 100),
        (ij.Model([1, 9_999, 1], [ij.Copy(0, 2)], feature_size=1), 50, 10_001 * 50),
        (ij.Model([1, 2], [ij.Copy(0, 1)] * 500, feature_size=1), 1, 500 * 1_000),
        (ij.Model([1, 900], [ij.Copy(0, 1)] * 500, feature_size=1), 9, 500 * 900 * 9),
    ],
)
def test_work_counts_what_takes_time(model, rows, least) -> None:
    assert least <= reference.work(model, rows) < 3 * least


def test_validation_is_linear_where_the_graph_is_not() -> None:
    model = chain_of_parts(30_000)
    start = time.perf_counter()
    assert problems(model) == ()
    assert time.perf_counter() - start < 10
    with pytest.raises(ij.ModelError, match="edges") as caught:
        ij.graph(model)
    assert caught.value.kind == "LimitExceeded"


def test_the_graph_and_validation_see_the_same_unread_results() -> None:
    model = chain_of_parts(3)
    replaced = ij.AddElementwiseBuffers((0,), 1)
    steps = (*model.instructions, ij.Copy(0, 1), ij.Copy(0, 1), replaced, replaced)
    model = ij.Model([1, 1, 2], steps, feature_size=1)
    lost = [(each.instruction, each.by) for each in ij.graph(model).unread]
    assert lost == [(6, 8), (7, 8), (8, 9)]
    assert tuple(unread(model)) == ij.graph(model).unread


@pytest.mark.parametrize("step", [ij.Copy(0, 7), ij.Copy(-1, 0)])
def test_a_graph_of_buffers_that_are_not_there_is_refused(step) -> None:
    with pytest.raises(ij.ModelError, match="is not a buffer, the model has 2"):
        ij.graph(ij.Model([1, 1], [step], feature_size=1))


def test_a_wide_table_is_measured_once_for_all_instructions() -> None:
    table = ij.LookupTable(zip(range(100_000), np.zeros((100_000, 1)), strict=True))
    steps = [ij.MapTransform(0, 0, 0, 0, 0, 1, (0.0,))] * 5_000
    start = time.perf_counter()
    assert problems(ij.Model([1], steps, maps=[table], feature_size=1)) == ()
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(("count", "kept"), [(MOST_PROBLEMS, 1000), (MOST_PROBLEMS + 1, 1001)])
def test_problems_are_kept_up_to_a_number(count, kept) -> None:
    found = problems(ij.Model([1], [ij.Copy(0, 9)] * count, feature_size=1))
    assert len(found) == kept
    assert (found[-1].kind == "TooManyProblems") == (kept > MOST_PROBLEMS)


def test_the_last_problem_says_how_many_more_there_are() -> None:
    document = {"buffer_sizes": [None] * 1500, "instructions": [], "weights": [], "bias": []}
    with pytest.raises(ij.FormatError) as caught:
        ij.load(document)
    assert len(caught.value.problems) == MOST_PROBLEMS + 1
    assert caught.value.problems[-1].message == "there are 500 more problems"


def test_nothing_looks_for_problems_without_end() -> None:
    endless = iter(lambda: ij.Problem("X", "x"), None)
    found = Collected(endless).problems()
    assert found[-1].message == f"there are at least {MOST_COUNTED - MOST_PROBLEMS} more problems"


def test_a_model_loaded_under_raised_limits_compiles() -> None:
    wide = {"feature_size": 1, "buffer_sizes": [1, 1_000_001, 1], "weights": [], "bias": []}
    wide["instructions"] = [
        {"type": "COPY", "input": 0, "output": 1, "internal_index": 7},
        {"type": "REDUCE_SUM", "input": 1, "output": 2},
    ]
    model = ij.load(wide, limits=ij.Limits(slots=2_000_000))
    assert ij.compile(model).predict([[2.5], [1.0]]).tolist() == [[2.5], [1.0]]
