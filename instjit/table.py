"""Models on tables: columns in by feature name, columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.counted import count, shown
from instjit.errors import InputError, Problem
from instjit.features import column_names, feature_width, listed_names
from instjit.model import Model
from instjit.reference import run

Table = TypeVar("Table")


class Predictor(Protocol):
    """What has feature names and maps rows to outputs: a kernel."""

    @property
    def features(self) -> Sequence[str] | None:
        """Names of the input columns."""

    def predict(self, rows: Any) -> Any:
        """Outputs of the rows, (rows, outputs)."""


def generate_features(
    model: Model | Predictor,
    table: Table,
    out_names: str | Sequence[str],
    in_names: Sequence[str] | None = None,
) -> Table:
    """A copy of a table with the model's outputs as further columns.

    Parameters
    ----------
    model
        A kernel, or a model, which then runs through the reference.
    table
        A pandas or polars DataFrame, a dict of columns, or a structured array.
    out_names
        Names for the output columns; a column of that name is replaced.
    in_names
        Columns to take, instead of the model's features. A name ``x[k]`` stands for the columns
        ``x[0]`` .. ``x[k-1]`` or for one column ``x`` with k numbers in every row. Other columns do
        not matter.

    Returns
    -------
    A table of the same kind; the outputs are float32.

    Raises
    ------
    InputError
        ``MissingColumns`` with all that are missing; ``MissingFeatures`` when there are no names at
        all; ``InputOutputCountMismatch`` when there are more or fewer outputs than names;
        ``InputShape`` and ``InputType`` for what is no table of numbers.
    """
    names = model.features if in_names is None else listed_names(in_names, "in_names")
    if not names:
        message = "the model has no feature names: say which columns to take with in_names"
        raise InputError(Problem("MissingFeatures", message))
    rows = select(table, names)
    outputs = run(model, rows) if isinstance(model, Model) else np.asarray(model.predict(rows))
    return cast(Table, _with_columns(table, _named(outputs, outputs_named(out_names))))


def outputs_named(out_names: Any) -> tuple[Any, ...]:
    """Names of output columns, of one or in a list; InputError (InputType) for anything else."""
    return (out_names,) if isinstance(out_names, str) else listed_names(out_names, "output names")


def _named(outputs: FloatArray, names: Sequence[Any]) -> dict[Any, FloatArray]:
    if outputs.shape[1] != len(names):
        message = f"the model gives {outputs.shape[1]} outputs, out_names has {len(names)} names"
        fields = {"outputs": outputs.shape[1], "names": len(names)}
        raise InputError(Problem("InputOutputCountMismatch", message, fields=fields))
    return {name: outputs[:, k].copy() for k, name in enumerate(names)}


def select(table: Any, names: Sequence[str]) -> FloatArray:
    """Columns of a table by name, in the order of the names: (rows, width) float32.

    Raises
    ------
    InputError
        ``MissingColumns`` that names every missing one, ``InputShape`` for a column that is not
        numbers or has more or fewer rows than the first, ``InputType`` for what is no table.
    """
    present = set(names_in(table))
    missing = [name for name in names if _sources(name, present) is None]
    if missing:
        message = f"the table has no column {', '.join(map(repr, missing))}"
        raise InputError(Problem("MissingColumns", message, fields={"columns": tuple(missing)}))
    sources = [_sources(name, present) or () for name in names]
    _check_heights(table, [column for columns in sources for column in columns])
    parts = [_numbers(table, *each) for each in zip(names, sources, strict=True)]
    return np.concatenate(parts, axis=1)


def names_in(table: Any) -> list[Any]:
    """Names of a table's columns; InputError (InputType) for what is no table."""
    if isinstance(table, Mapping):
        return list(table)
    if isinstance(table, np.ndarray) and table.dtype.names and table.ndim == 1:
        return list(table.dtype.names)
    if hasattr(table, "columns"):
        return list(table.columns)
    shape = f" of shape {table.shape}" if isinstance(table, np.ndarray) else ""
    wanted = "a DataFrame, a dict of columns or a structured array of one dimension"
    message = f"expected {wanted}, got {type(table).__name__}{shape}"
    raise InputError(Problem("InputType", message))


def _check_heights(table: Any, columns: Sequence[Any]) -> None:
    height, first = None, None
    for name in columns:
        column = table[name]
        try:
            rows = len(column)
        except TypeError as error:
            message = f"column {name!r} must hold a number in every row, got {shown(column)}"
            raise InputError(Problem("InputShape", message, fields={"column": name})) from error
        if height is None:
            height, first = rows, name
        if rows != height:
            message = f"column {name!r} has {count(rows, 'row')}, column {first!r} has {height:,}"
            raise InputError(Problem("InputShape", message, fields={"column": name}))


def _sources(name: Any, present: set[Any]) -> tuple[Any, ...] | None:
    """Columns that hold a feature: itself, or the parts or the whole of an array feature."""
    if not isinstance(name, str):  # as DataFrames may call a column
        return (name,) if name in present else None
    stem = name[: name.index("[")] if feature_width(name) and "[" in name else name
    for candidate in ((name,), column_names(name), (stem,)):
        if candidate and present.issuperset(candidate):
            return candidate
    return None


def _numbers(table: Any, name: Any, sources: Sequence[Any]) -> FloatArray:
    width = (feature_width(name) if isinstance(name, str) else None) or 1
    if len(table[sources[0]]) == 0:
        return np.zeros((0, width), np.float32)
    try:
        parts = [_two_dimensional(np.asarray(table[source])) for source in sources]
        array = np.concatenate(parts, axis=1).astype(np.float32)
    except (TypeError, ValueError) as error:
        message = (
            f"column {name!r} must hold {width} number{'s' * (width != 1)} in every row: {error}"
        )
        raise InputError(Problem("InputShape", message, fields={"column": name})) from error
    if array.shape[1] != width:
        message = f"column {name!r} holds {array.shape[1]} numbers in every row, expected {width}"
        raise InputError(Problem("InputShape", message, fields={"column": name}))
    return array


def _two_dimensional(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if column.dtype == object and np.ndim(column[0]):
        column = np.stack([np.asarray(row) for row in column])  # a column of lists
    return column.reshape(len(column), -1)


def _with_columns(table: Any, columns: Mapping[str, FloatArray]) -> Any:
    if isinstance(table, Mapping):
        return {**table, **columns}
    if isinstance(table, np.ndarray):
        return _with_fields(table, columns)
    if hasattr(table, "with_columns"):  # polars, where a frame is never changed
        return table.with_columns(type(table)(columns).get_columns())
    return table.assign(**columns)


def _with_fields(
    table: np.ndarray[Any, Any], columns: Mapping[str, FloatArray]
) -> np.ndarray[Any, Any]:
    kept = [name for name in table.dtype.names or () if name not in columns]
    dtype = [(name, table.dtype[name]) for name in kept]
    dtype += [(name, np.dtype(np.float32)) for name in columns]
    wider = np.empty(table.shape, dtype=dtype)
    for name in kept:
        wider[name] = table[name]
    for name, values in columns.items():
        wider[name] = values
    return wider
