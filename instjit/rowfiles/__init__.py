"""Rows of numbers in files and streams, a chunk of bounded size at a time.

::

    with open_rows("rows.csv", features=("age", "income")) as rows:
        with create_rows("out.npy", ("y",)) as out:
            for chunk in rows.chunks():
                out.write(kernel.predict(chunk))
"""

from __future__ import annotations

from instjit.rowfiles.opening import open_rows
from instjit.rowfiles.writing import create_rows

__all__ = ["create_rows", "open_rows"]
