"""A kernel over Arrow: record batches in, record batches of outputs out, one chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrow import pyarrow
from instjit.arrow.batches import batches_of
from instjit.arrow.chunks import Wanted, chunks, good_height
from instjit.counted import shown, whole
from instjit.errors import InputError, Problem
from instjit.features import listed_names, output_names

NULLS = ("error", "nan")

MOST_BYTES = 2**40
"""Of a chunk: more are no number of rows that anybody means."""


class Predictor(Protocol):
    """A kernel."""

    input_size: int
    output_size: int

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the input columns."""

    def predict(self, X: Any, /) -> Any:
        """Outputs of the rows."""


def stream(
    kernel: Predictor, source: Any, columns: Sequence[str] | None, nulls: str, rows: int | None
) -> Any:
    """The outputs of a source's rows; arguments and errors as ``Streaming.stream``."""
    if nulls not in NULLS:
        sentence = f'nulls must be "error" or "nan", got {shown(nulls)}'
        raise InputError(Problem("UnknownForm", sentence, fields={"nulls": nulls}))
    names = kernel.features if columns is None else _listed(columns)
    wanted = Wanted(names, kernel.input_size, nulls == "nan")
    height = _height(rows, kernel)
    batches = batches_of(source, names)
    schema = output_schema(output_names(kernel.output_size))

    def results() -> Iterator[Any]:
        for chunk in chunks(batches, wanted, height):
            yield record_batch(kernel.predict(chunk), schema)

    return pyarrow().RecordBatchReader.from_batches(schema, results())


def output_schema(names: Sequence[str]) -> Any:
    """float32 columns of those names."""
    pa = pyarrow()
    return pa.schema([pa.field(name, pa.float32(), nullable=False) for name in names])


def record_batch(outputs: FloatArray, schema: Any) -> Any:
    """Rows of outputs as columns; those of a single one are not copied."""
    pa = pyarrow()
    columns = np.ascontiguousarray(outputs.T)
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)


def _listed(columns: Any) -> tuple[str, ...]:
    names = listed_names(columns, "columns")
    if not all(isinstance(name, str) for name in names):
        sentence = f"columns must be a list of names, got {shown(columns)}"
        raise InputError(Problem("InputType", sentence))
    if len(set(names)) < len(names):
        sentence = f"columns must be different names, got {shown(columns)}"
        raise InputError(Problem("InputType", sentence))
    return names


def _height(rows: Any, kernel: Predictor) -> int:
    if rows is None:
        return good_height(kernel.input_size, kernel.output_size)
    most = MOST_BYTES // (4 * max(1, kernel.input_size, kernel.output_size))
    try:
        height = whole(rows)
    except TypeError:
        height = 0
    if not 1 <= height <= most:
        wanted = f"a whole number of at least 1 and at most {most:,}"
        sentence = f"rows of a chunk: expected {wanted}, got {shown(rows)}"
        raise InputError(Problem("InvalidRowCount", sentence, fields={"rows": shown(rows)}))
    return height
