"""Models on tables: columns by name."""

from __future__ import annotations

import numpy as np
import pytest

import instjit as ij
from instjit.table import select

SUM = ij.Model([2, 1], [ij.ReduceSum(0, 1)], features=["a", "b"])
TWO = ij.Model([2, 2], [ij.Copy(0, 1)], features=["b", "a"])
ARRAY = ij.Model([4, 1], [ij.ReduceSum(0, 1)], features=["x", "v[3]"])


class Kernel:
    """Stands for a compiled kernel: names and predict are all that a table needs."""

    features = ("a", "b")

    def predict(self, rows):
        return rows @ np.array([[10], [1]], np.float32)


def test_a_dict_of_columns_gets_a_further_column() -> None:
    table = {"b": np.array([1, 2]), "other": ["x", "y"], "a": [10.5, 20]}
    wider = ij.generate_features(SUM, table, "sum")
    assert wider["sum"].tolist() == [11.5, 22]
    assert wider["sum"].dtype == np.float32
    assert list(wider) == ["b", "other", "a", "sum"]
    assert list(table) == ["b", "other", "a"]


def test_a_structured_array_gets_further_fields() -> None:
    table = np.array([(1, 2.5, b"x"), (3, 4.5, b"y")], [("a", "i8"), ("b", "f8"), ("n", "S1")])
    wider = ij.generate_features(TWO, table, ["first", "a"])
    assert wider.dtype.names == ("b", "n", "first", "a")
    assert wider["first"].tolist() == [2.5, 4.5]
    assert wider["n"].tolist() == [b"x", b"y"]


def test_a_pandas_frame_gets_further_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"b": [1, 2], "a": [10.5, 20], "n": ["x", "y"]}, index=[7, 9])
    wider = ij.generate_features(TWO, frame, ["p", "q"])
    assert wider["q"].to_dict() == {7: 10.5, 9: 20}
    assert list(frame.columns) == ["b", "a", "n"]


def test_a_polars_frame_gets_further_columns() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"b": [1, 2], "a": [10.5, 20], "n": ["x", "y"]})
    wider = ij.generate_features(TWO, frame, ["p", "a"])
    assert wider.columns == ["b", "a", "n", "p"]
    assert wider["a"].to_list() == [10.5, 20]


def test_columns_may_be_named_by_the_caller() -> None:
    table = {"one": [1.0], "two": [2.0]}
    assert ij.generate_features(SUM, table, ["s"], ["two", "one"])["s"].tolist() == [3]
    nameless = ij.Model([2, 1], [ij.ReduceSum(0, 1)], feature_size=2)
    assert ij.generate_features(nameless, table, ["s"], ["two", "one"])["s"].tolist() == [3]
    with pytest.raises(ij.InputError, match="no feature names"):
        ij.generate_features(nameless, table, ["s"])


def test_a_kernel_is_used_where_one_is_given() -> None:
    assert ij.generate_features(Kernel(), {"b": [1], "a": [2]}, "y")["y"].tolist() == [21]


@pytest.mark.parametrize(
    "table",
    [
        {"x": [1, 2], "v[0]": [1, 1], "v[1]": [2, 2], "v[2]": [3, 4]},
        {"x": [1, 2], "v": np.array([[1, 2, 3], [1, 2, 4]])},
        {"x": [1, 2], "v[3]": [[1, 2, 3], [1, 2, 4]]},
        np.array([(1, (1, 2, 3)), (2, (1, 2, 4))], [("x", "f4"), ("v", "f4", 3)]),
    ],
    ids=["columns", "wide-column", "full-name", "subarray"],
)
def test_an_array_feature_is_one_wide_column_or_several(table) -> None:
    assert ij.generate_features(ARRAY, table, "s")["s"].tolist() == [7, 9]


def test_a_pandas_column_of_lists_is_an_array_feature() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2], "v": [[1, 2, 3], [1, 2, 4]]})
    assert ij.generate_features(ARRAY, frame, "s")["s"].tolist() == [7, 9]


def test_all_missing_columns_are_named_in_one_error() -> None:
    with pytest.raises(ij.InputError, match="the table has no column 'x', 'v\\[3\\]'") as caught:
        ij.generate_features(ARRAY, {"v[0]": [1], "v[2]": [1], "a": [3]}, "s")
    assert caught.value.fields["columns"] == ("x", "v[3]")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"x": [1], "v": [[1, 2]]}, "column 'v[3]' holds 2 numbers in every row, expected 3"),
        ({"x": ["one"], "v": [[1, 2, 3]]}, "column 'x' must hold 1 number in every row"),
    ],
)
def test_a_column_of_the_wrong_shape_is_named(table, message) -> None:
    with pytest.raises(ij.InputError) as caught:
        select(table, ["x", "v[3]"])
    assert str(caught.value).startswith(message)


def test_the_names_must_be_as_many_as_the_outputs() -> None:
    with pytest.raises(ij.InputError, match="gives 2 outputs, out_names has 1 names"):
        ij.generate_features(TWO, {"a": [1], "b": [2]}, "p")


def test_an_empty_table_stays_empty() -> None:
    assert ij.generate_features(ARRAY, {"x": [], "v": []}, "s")["s"].tolist() == []
