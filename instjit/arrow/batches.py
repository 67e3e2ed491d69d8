"""Whatever holds Arrow rows -> its record batches, in order, a few in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from instjit.arrow import pyarrow
from instjit.arrow.columns import names_to_read
from instjit.errors import InputError, Problem

READ_AHEAD = 2
"""Batches and files that a data set reads ahead; Arrow's own 16 hold 170 MB of 20 columns."""

DATASET_ROWS = 2**15
"""Rows of a batch of a data set."""

BUFFER_BYTES = 2**20
"""Read of a Parquet column at a time, so that a row group of any size takes no more of it."""


def batches_of(source: Any, wanted: Sequence[str] = ()) -> Iterator[Any]:
    """The record batches of a source.

    Parameters
    ----------
    source
        A RecordBatch, Table, RecordBatchReader, Dataset or Scanner of pyarrow, an object with
        ``__arrow_c_stream__`` or ``__arrow_c_array__`` (polars, pandas, DuckDB, nanoarrow), or an
        iterable of such.
    wanted
        Features, whose columns alone are read of a Dataset that has them all.

    Raises
    ------
    InputError
        InputType: it is none of these.
    """
    pa = pyarrow()
    if isinstance(source, pa.RecordBatch):
        return iter((source,))
    if isinstance(source, pa.RecordBatchReader):
        return iter(source)
    if hasattr(source, "scanner") and hasattr(source, "to_batches"):
        return _scanned(source, wanted)
    if hasattr(source, "to_batches"):  # a Table or a Scanner
        return iter(source.to_batches())
    if hasattr(source, "__arrow_c_stream__"):
        return iter(pa.RecordBatchReader.from_stream(source))
    if hasattr(source, "__arrow_c_array__"):
        return iter((pa.record_batch(source),))
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping):
        return _each(source, wanted)
    raise _no_batches("a reader, a table or an iterable of record batches", source)


def _scanned(dataset: Any, wanted: Sequence[str]) -> Iterator[Any]:
    scanner = dataset.scanner(
        columns=list(names_to_read(dataset.schema.names, wanted)) or None,
        batch_size=DATASET_ROWS,
        batch_readahead=READ_AHEAD,
        fragment_readahead=READ_AHEAD,
        fragment_scan_options=_in_pieces(dataset),
    )
    return iter(scanner.to_batches())


def _in_pieces(dataset: Any) -> Any:
    """That of a Parquet file no row group is read whole; None for other files."""
    from pyarrow import dataset as formats

    if not isinstance(getattr(dataset, "format", None), formats.ParquetFileFormat):
        return None
    return formats.ParquetFragmentScanOptions(
        use_buffered_stream=True, buffer_size=BUFFER_BYTES, pre_buffer=False
    )


def _each(several: Iterable[Any], wanted: Sequence[str]) -> Iterator[Any]:
    for number, one in enumerate(several):
        if not any(hasattr(one, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")):
            raise _no_batches(f"item {number} to be a record batch", one)
        yield from batches_of(one, wanted)


def _no_batches(wanted: str, got: Any) -> InputError:
    return InputError(Problem("InputType", f"expected {wanted}, got {type(got).__name__}"))
