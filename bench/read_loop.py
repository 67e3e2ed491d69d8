"""What a row cannot be faster than: its kernel's constants read once, from wherever they lie."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np

from bench.jobs import Float32
from bench.models import model
from bench.nets import Net
from bench.peers import Bound, Setting


class ReadLoop:
    """A sum over an array as large as the packed constants, a call a row."""

    chunked: ClassVar[bool] = False

    def __init__(self, net: Net, setting: Setting) -> None:
        import numba

        import instjit

        self.version = numba.__version__
        constants = instjit.compile(model(net))._variant("output").k  # as packed
        self._constants = np.ones_like(constants)
        self._read = reader()

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return [Setting(1)]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        read, constants, rows = self._read, self._constants, range(len(x))

        def run() -> None:
            for _ in rows:
                read(constants)

        return Bound(run)


@cache
def reader() -> Any:
    """A compiled sum that may add in any order, so that nothing but the loads takes time."""
    import numba

    def total(array: Any) -> Any:
        result = np.float32(0)
        for place in range(array.size):  # an iterator would keep it from being vectors
            result += array[place]
        return result

    return numba.njit("float32(float32[::1])", fastmath=True)(total)
