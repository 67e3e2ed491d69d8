"""What a kernel is to Arrow: its method ``stream``, which brings pyarrow when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Streaming:
    """A kernel that takes record batches."""

    __slots__ = ()

    def stream(
        self,
        source: Any,
        columns: Sequence[str] | None = None,
        *,
        nulls: str = "error",
        rows: int | None = None,
    ) -> Any:
        """Outputs of more rows than memory holds, as Arrow record batches; needs pyarrow.

        Parameters
        ----------
        source
            A pyarrow RecordBatchReader, Table, RecordBatch, Dataset or Scanner; anything with
            ``__arrow_c_stream__`` (polars, pandas, DuckDB); or an iterable of batches.
        columns
            Names to take, in order, instead of the model's features: ``x[3]`` is ``x[0]`` to
            ``x[2]``, or one column ``x`` of lists of 3. A single column of lists of whole rows has
            any name. Of a model without features all columns are taken, by position.
        nulls
            "error", or "nan": what a null is.
        rows
            Rows of a result batch, the last excepted; by default such that a chunk is 4 MiB.

        Returns
        -------
        A RecordBatchReader of float32 columns ``y``, or ``y0``, ``y1`` ..., rows in their order. A
        chunk is computed when it is read; what it was made of is let go.

        Raises
        ------
        InputError
            MissingPackage. InputType: ``source``. While reading, with the column and the number of
            the batch: MissingColumns, AmbiguousColumn, WrongColumnType, NullValue,
            ValidationInputSizeMismatch, InputShape.
        """
        from instjit.arrow.stream import Predictor, stream

        kernel: Predictor = self  # type: ignore[assignment]
        return stream(kernel, source, columns, nulls, rows)
