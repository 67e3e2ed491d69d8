"""Rows in Arrow record batches: columns by name, chunks of a good size, results as batches.

pyarrow is imported on use alone: the extra ``arrow`` brings it.
"""

from __future__ import annotations

from typing import Any

from instjit.errors import InputError, Problem


def pyarrow() -> Any:
    """The module; InputError (MissingPackage) where it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        sentence = "rows in Arrow and Parquet take pyarrow: pip install 'instjit[arrow]'"
        raise InputError(Problem("MissingPackage", sentence)) from error
    return pyarrow
