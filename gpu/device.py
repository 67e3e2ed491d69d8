"""A kernel on one device: its constants there, launches, and rows that come from the host."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np

from instjit.errors import CompileError, Problem
from instjit.gpu import build, driver, staging
from instjit.gpu.emit import GpuSource
from instjit.gpu.scratch import Scratch
from instjit.gpu.tile import SHARED_BYTES
from instjit.kernels.packing import Floats, Integers

THREADS = 128
"""Threads of a block in the thread form."""

BLOCKS_EACH = 16
"""Blocks for each multiprocessor at most; what is more waits its turn in the block's own loop."""

SCRATCH_BLOCKS_EACH = 2
"""The same where each block takes global memory."""

SIMULATED_THREADS = 4
"""The simulator runs a Python thread for each CUDA thread."""

_simulation = threading.Lock()

_filters = threading.Lock()
"""``warnings.catch_warnings`` changes what all threads see, so one thread at a time is in it."""


def require() -> None:
    """Raise a CompileError (NoCuda) where there is no CUDA, no driver or no device."""
    try:
        from numba import cuda
    except ImportError as error:  # numba without its CUDA target
        sentence = f"no CUDA: {build.INSTALL} ({error})"
        raise CompileError(Problem("NoCuda", sentence)) from error
    if build.simulated():
        return
    if not cuda.is_available():
        said = " ".join(str(cuda.cuda_error() or "numba.cuda finds no device").split())
        raise CompileError(Problem("NoCuda", f"no CUDA device to run on: {said}"))
    build.require_compiler()


def current() -> int:
    """Number of the current device."""
    from numba import cuda

    return 0 if build.simulated() else int(cuda.get_current_device().id)


def shared_bytes() -> int:
    """Shared memory that a block may ask the current device for."""
    from numba import cuda

    if build.simulated():
        return SHARED_BYTES
    return int(cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


class OnDevice:
    """What a kernel keeps on a device, made for the one that is current.

    Attributes
    ----------
    k, n
        The packed constants, flat device arrays.
    """

    def __init__(self, source: GpuSource, k: Floats, n: Integers, widths: tuple[int, int]) -> None:
        from numba import cuda

        self.source = source
        self.widths = widths
        self.k = cuda.to_device(np.ascontiguousarray(k))
        self.n = cuda.to_device(np.ascontiguousarray(n))
        # such a copy may still be under way, and other packages' streams do not wait for it
        cuda.synchronize()
        self.kernel = build.kernel_function(source)
        self._processors = 1
        if not build.simulated():
            self._processors = int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
            self._compile()
        each = SCRATCH_BLOCKS_EACH if source.scratch_floats else BLOCKS_EACH
        self._most_blocks = 2 if build.simulated() else self._processors * each
        self._scratch: Scratch | None = None
        if source.scratch_floats:
            self._scratch = Scratch(source.scratch_floats, self._most_blocks)
        self._none = cuda.device_array(1, np.float32)
        self._number = current()

    def launch(self, x: Any, y: Any, stream: Any) -> None:
        """Run on device arrays (rows, columns); returns before the kernel is done."""
        rows = x.shape[0]
        if rows == 0 or self.widths[1] == 0:
            return
        tile = self.source.tile
        if tile is None:
            threads = SIMULATED_THREADS if build.simulated() else THREADS
            blocks = min(self._most_blocks, -(-rows // threads))
            run = self._configured(blocks, threads, stream, self.source.shared_bytes)
            run(*self._flat(x, y), rows, self.k, self.n)
            return
        blocks = min(self._most_blocks, -(-rows // tile.rows))
        shape = (tile.lanes, tile.groups)
        run = self._configured(blocks, shape, stream, self.source.shared_bytes)
        arguments = (*self._flat(x, y), rows, self.k, self.n)
        if self._scratch is None:
            run(*arguments, self._none)
            return
        with self._scratch.taken(stream, blocks) as scratch:
            run(*arguments, scratch)

    def _configured(self, *launch: Any) -> Any:
        """The kernel for a grid; Numba warns of a small one, which few rows are meant to be."""
        from numba.core.errors import NumbaPerformanceWarning

        with _filters, warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaPerformanceWarning)
            run = self.kernel[launch]
        return _in_turn(run) if build.simulated() else run

    def from_host(self, rows: Floats, out: Floats) -> None:
        """Run on host arrays, piece by piece; copies of one piece overlap the work on another."""
        with staging.borrowed(self._number) as slots:
            slots.run(self, rows, out)

    def _flat(self, x: Any, y: Any) -> tuple[Any, Any]:
        """As one dimension; an empty row is a place that nobody reads."""
        flat_x, flat_y = (a.reshape(a.size) if a.size else self._none for a in (x, y))
        return flat_x, flat_y

    def _compile(self) -> None:
        """Compile now, and ask for the shared memory that the kernel takes."""
        from numba import float32, int32, int64
        from numba.core.errors import NumbaError

        arguments = [float32[::1], float32[::1], int64, float32[::1], int32[::1]]
        if self.source.tile is not None:
            arguments.append(float32[::1])
        try:
            compiled = self.kernel.compile(tuple(arguments))
        except NumbaError as error:
            sentence = f"Numba cannot compile the kernel of {self.source.digest[:16]}: {error}"
            raise CompileError(Problem("CompilationFailed", sentence)) from error
        if self.source.shared_bytes:
            driver.allow_shared(compiled, self.source.shared_bytes)


def _in_turn(run: Any) -> Any:
    """The simulator refuses a kernel while another one runs."""

    def launched(*arguments: Any) -> None:
        with _simulation:
            run(*arguments)

    return launched
