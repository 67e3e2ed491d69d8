"""A predictor for clusters: the kind of batch that came in goes out, with the bits of predict."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import NET, saved

import instjit as ij

ROWS = np.random.default_rng(5).normal(size=(40, 3)).astype(np.float32)
PLAIN = ij.Model(NET.buffers, NET.instructions, NET.weights, NET.bias, feature_size=3)
WANTED = ij.reference.run(NET, ROWS)
NAMES = ("age", "pair[0]", "pair[1]")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def predictor() -> ij.BatchPredictor:
    return ij.BatchPredictor(NET, threads=1)


def columns(names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    return {name: ROWS[:, k].copy() for k, name in enumerate(names)}


def outputs(table: Any) -> bytes:
    return np.stack([np.asarray(table[name]) for name in ("y0", "y1")], axis=1).tobytes()


TABLES: dict[str, dict[str, Any]] = {
    "columns": columns(),
    "others beside": {"id": np.arange(40), **columns()},
    "an array feature": {"age": ROWS[:, 0], "pair": ROWS[:, 1:]},
    "whole rows": {"data": ROWS},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_dict_gets_the_outputs_as_further_columns(name: str, predictor) -> None:
    done = predictor(TABLES[name])
    assert list(done) == [*TABLES[name], "y0", "y1"]
    assert outputs(done) == WANTED.tobytes()


@pytest.mark.parametrize("table", [columns(("c", "b", "a")), {"data": ROWS}], ids=["three", "one"])
def test_without_features_columns_count_by_position(table: dict[str, Any]) -> None:
    assert outputs(ij.BatchPredictor(PLAIN)(table)) == WANTED.tobytes()


def test_an_array_is_predicted(predictor) -> None:
    assert predictor(ROWS).tobytes() == WANTED.tobytes()
    with pytest.raises(ij.InputError, match="X has 2 columns, the model takes 3"):
        predictor(ROWS[:, :2])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3)])
def test_an_empty_array_tells_what_comes_out(shape: tuple[int, int], predictor) -> None:
    found = predictor(np.empty(shape))
    assert (found.shape, found.dtype) == ((0, 2), np.float32)


def test_a_missing_column_is_named(predictor) -> None:
    with pytest.raises(ij.InputError, match="the table has no column 'pair\\[2\\]'"):
        predictor({"age": ROWS[:, 0], "other": ROWS[:, 1]})


def test_a_structured_array_gets_further_fields(predictor) -> None:
    names = ("id", *NAMES)
    batch = np.zeros(40, [(name, "f4") for name in names])
    for name, column in columns().items():
        batch[name] = column
    done = predictor(batch)
    assert done.dtype.names == (*names, "y0", "y1")
    assert outputs(done) == WANTED.tobytes()


def test_names_of_columns_may_be_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    done = ij.BatchPredictor(PLAIN)(pandas.DataFrame(ROWS))
    assert list(done.columns) == [0, 1, 2, "y0", "y1"]
    assert outputs(done) == WANTED.tobytes()
    given = ij.BatchPredictor(NET, columns=[2, 0, 1])(pandas.DataFrame(ROWS[:, [1, 2, 0]]))
    assert outputs(given) == WANTED.tobytes()


TABLE = "expected a DataFrame, a dict of columns or a structured array of one dimension, got "
NO_TABLES: dict[str, tuple[Any, str, str]] = {
    "lists": (ROWS.tolist(), "InputType", TABLE + "list"),
    "dicts": ([{"age": 1}], "InputType", TABLE + "list"),
    "nothing": (None, "InputType", TABLE + "NoneType"),
    "an iterator": (iter(()), "InputType", TABLE + "tuple_iterator"),
    "a record": (np.zeros((), [("age", "f4")]), "InputType", TABLE + "ndarray of shape ()"),
    "records in a square": (
        np.zeros((2, 2), [("age", "f4")]), "InputType", TABLE + "ndarray of shape (2, 2)"
    ),
    "no columns": ({}, "MissingColumns", "the table has no column 'age', 'pair[2]'"),
    "columns of unequal length": (
        {"age": [1, 2], "pair": [[1, 2]]}, "InputShape",
        "column 'pair' has 1 row, column 'age' has 2",
    ),
    "a column without rows": (
        {"age": [1, 2], "pair": []}, "InputShape", "column 'pair' has 0 rows, column 'age' has 2"
    ),
    "a first column without rows": (
        {"age": [], "pair": [[1, 2]]}, "InputShape", "column 'pair' has 1 row, column 'age' has 0"
    ),
    "parts of unequal length": (
        {"age": [1], "pair[0]": [1], "pair[1]": [2, 3]}, "InputShape",
        "column 'pair[1]' has 2 rows, column 'age' has 1",
    ),
    "a number": (
        {"age": 1, "pair": [[1, 2]]}, "InputShape",
        "column 'age' must hold a number in every row, got 1",
    ),
    "an array of no dimension": (
        {"age": np.array(1), "pair": [[1, 2]]}, "InputShape",
        "column 'age' must hold a number in every row, got array(1)",
    ),
    "lists of unequal length": (
        {"age": [1, 2], "pair": [[1, 2], [3]]}, "InputShape",
        "column 'pair[2]' must hold 2 numbers in every row: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table_is_one_clear_error(name: str, predictor) -> None:
    batch, kind, sentence = NO_TABLES[name]
    with pytest.raises(ij.InputError) as caught:
        predictor(batch)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"outputs": 5}, "InputType", "output names must be a list of names, got 5"),
        ({"outputs": [1, 2]}, "InputType", "names of outputs must be texts, got [1, 2]"),
        ({"outputs": [["a"], ["b"]]}, "InputType", "output names must be a list of names"),
        ({"outputs": "a"}, "InputOutputCountMismatch",
         "expected 2 different names for the outputs, got 'a'"),
        ({"outputs": ["a", "a"]}, "InputOutputCountMismatch",
         "expected 2 different names for the outputs, got ['a', 'a']"),
        ({"columns": 5}, "InputType", "columns must be a list of names, got 5"),
        ({"columns": "abc"}, "InputType", "columns must be a list of names, got 'abc': ['abc']"),
        ({"columns": 10**5000}, "InputType",
         "columns must be a list of names, got an integer of 16610 bits"),
    ],
    ids=["number", "numbers", "lists", "one", "twice", "columns", "a text", "huge"],
)  # fmt: skip
def test_names_that_are_none_are_refused_at_once(options, kind: str, sentence: str) -> None:
    with pytest.raises(ij.InputError) as caught:
        ij.BatchPredictor(NET, **options)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(sentence)


def test_options_beside_a_kernel_are_refused() -> None:
    with pytest.raises(ij.InputError, match="threads: options are for a model"):
        ij.BatchPredictor(ij.compile(NET), threads=2)


def test_other_names_may_be_given() -> None:
    predictor = ij.BatchPredictor(NET, outputs=("a", "b"), columns=("x", "y", "z"))
    done = predictor({**columns(("x", "y", "z")), "a": np.zeros(40)})
    assert list(done) == ["x", "y", "z", "a", "b"]
    assert np.stack([done["a"], done["b"]], axis=1).tobytes() == WANTED.tobytes()


def test_data_frames_come_back_as_such(predictor) -> None:
    pandas = pytest.importorskip("pandas")
    done = predictor(pandas.DataFrame(columns()))
    assert isinstance(done, pandas.DataFrame)
    assert outputs(done) == WANTED.tobytes()


@pytest.mark.parametrize("kind", ["table", "record_batch"])
def test_arrow_comes_back_as_such(kind: str, predictor) -> None:
    pa = pytest.importorskip("pyarrow")
    batch = getattr(pa, kind)({**columns(), "y1": np.zeros(40)})
    done = predictor(batch)
    assert type(done) is type(batch)
    assert done.schema.names == [*NAMES, "y0", "y1"]
    assert outputs(done) == WANTED.tobytes()
    assert predictor(batch.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize("made_of", ["model", "kernel", "path"])
def test_it_travels_as_its_kernel_does(made_of: str, tmp_path) -> None:
    sources = {"model": NET, "kernel": ij.compile(NET), "path": saved(tmp_path)}
    predictor = ij.BatchPredictor(sources[made_of])
    content = pickle.dumps(predictor)
    (tmp_path / "net.json").unlink(missing_ok=True)
    again = pickle.loads(content)
    assert again.kernel is predictor.kernel
    assert again(ROWS).tobytes() == WANTED.tobytes()
    assert len(content) < len(pickle.dumps(predictor.kernel)) + 120


def test_options_are_those_of_compile() -> None:
    assert ij.BatchPredictor(NET, threads=1, level="generic").kernel == ij.compile(
        NET, threads=1, level="generic"
    )
    with pytest.raises(ij.CompileError, match="precision 'half' is not offered"):
        ij.BatchPredictor(NET, precision="half")


def test_a_predictor_on_the_gpu_is_made_without_one() -> None:
    predictor = ij.BatchPredictor(NET, target="cuda")
    assert repr(predictor).startswith("BatchPredictor(CudaKernel(3 -> 2")


@pytest.mark.cluster
@pytest.mark.parametrize(("package", "script"), [("ray", "ray_data"), ("dask", "dask_blocks")])
def test_a_local_cluster_has_the_bits_of_predict_and_compiles_once_a_worker(package, script):
    pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{script}.py")],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, *workers = done.stdout.splitlines()
    assert first == "36,000 rows, the bits of predict"
    assert 1 <= len(workers) <= 2  # the first of Ray's may be done before the second is there
    for line in workers:
        assert int(line.rsplit(" ", 2)[1]) <= 1, line
