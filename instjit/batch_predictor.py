"""A kernel as clusters call one: a batch of any kind in, the same kind with the outputs out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from instjit.compiler import compile
from instjit.counted import count, shown
from instjit.errors import InputError, Problem
from instjit.features import listed_names, output_names
from instjit.table import generate_features, names_in, outputs_named


class BatchPredictor:
    """A callable for Ray Data's ``map_batches``, Dask's ``map_blocks`` and their like.

    It pickles as its kernel does, to the model and the options, and a process compiles it once.

    Parameters
    ----------
    model
        A kernel, or what ``instjit.compile`` takes. Of a path, the file is read here and now: by
        Ray's workers where they are given the class and the path, else by whoever makes the object.
    outputs
        Names for the output columns; ``y``, or ``y0``, ``y1`` and so on by default.
    columns
        Columns to take instead of the model's features, as for ``instjit.generate_features``.
    options
        Of ``instjit.compile``. Where a cluster has a worker process for each core, ``threads=1``.

    Raises
    ------
    InstjitError
        As ``instjit.compile``. InputType, InputOutputCountMismatch: ``outputs``, ``columns``.
        Unsupported: options beside a kernel, which has its own.
    """

    def __init__(
        self,
        model: Any,
        *,
        outputs: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        is_kernel = hasattr(model, "predict")
        if is_kernel and options:
            sentence = f"{', '.join(options)}: options are for a model, a kernel has its own"
            raise InputError(Problem("Unsupported", sentence))
        self.kernel: Any = model if is_kernel else compile(model, **options)
        self.columns = None if columns is None else listed_names(columns, "columns")
        self._named = None if outputs is None else self._checked(outputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output columns; not in a pickle where they are the usual ones."""
        return output_names(self.kernel.output_size) if self._named is None else self._named

    def __repr__(self) -> str:
        return f"BatchPredictor({self.kernel!r})"

    def __call__(self, batch: Any) -> Any:
        """Outputs of a batch.

        Parameters
        ----------
        batch
            (rows, input_size) numbers: the outputs are (rows, output_size) float32. Or a table: a
            dict of arrays, a pandas or polars DataFrame, an Arrow table or record batch: a table of
            the same kind, with the outputs as further columns. The columns are found by feature
            name; those of a model without features count by position. A single one of another name
            holds whole rows.

        Raises
        ------
        InputError
            As ``Kernel.predict``, ``instjit.generate_features`` and ``Kernel.stream``.
        """
        if isinstance(batch, np.ndarray) and batch.dtype.names is None:
            if batch.ndim == 2 and batch.shape[0] == 0:  # Dask asks what comes out
                return np.empty((0, self.kernel.output_size), np.float32)
            return self.kernel.predict(batch)
        pa = sys.modules.get("pyarrow")
        if pa is not None and isinstance(batch, pa.Table | pa.RecordBatch):
            return self._arrow(batch, pa)
        return generate_features(self.kernel, batch, self.outputs, self._taken(batch))

    def _taken(self, batch: Any) -> Sequence[str]:
        """Names of columns in the order of a row."""
        given: Sequence[str] = self.kernel.features if self.columns is None else self.columns
        names = names_in(batch)
        width = self.kernel.input_size
        if len(names) == 1 and width > 1 and names[0] not in given:
            return [f"{names[0]}[{width}]"]
        return given or names

    def _checked(self, outputs: Any) -> tuple[str, ...]:
        names = outputs_named(outputs)
        if len(names) != self.kernel.output_size or len(set(names)) < len(names):
            wanted = f"{count(self.kernel.output_size, 'different name')} for the outputs"
            sentence = f"expected {wanted}, got {shown(outputs)}"
            raise InputError(Problem("InputOutputCountMismatch", sentence))
        if not all(isinstance(name, str) for name in names):
            sentence = f"names of outputs must be texts, got {shown(outputs)}"
            raise InputError(Problem("InputType", sentence))
        return names

    def _arrow(self, batch: Any, pa: Any) -> Any:
        table = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
        found = self.kernel.stream(table, self.columns).read_all().combine_chunks()
        kept = table.drop_columns([name for name in self.outputs if name in table.column_names])
        for name, column in zip(self.outputs, found.columns, strict=True):
            kept = kept.append_column(name, column)
        if isinstance(batch, pa.RecordBatch):
            return pa.RecordBatch.from_struct_array(kept.to_struct_array().combine_chunks())
        return kept
