"""A kernel on one device: its constants there, launches, and rows that come from the host."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np

from instjit.errors import CompileError, Problem
from instjit.gpu import build
from instjit.gpu.arrays import stream_key
from instjit.gpu.emit import GpuSource
from instjit.kernels.packing import Floats, Integers

THREADS = 128
"""Threads of a block in the thread form."""

BLOCKS_EACH = 16
"""Blocks for each multiprocessor at most; what is more waits its turn in the block's own loop."""

SCRATCH_BLOCKS_EACH = 2
"""The same where each block takes global memory."""

CHUNK_BYTES = 8 << 20
"""Rows from the host travel in pieces of this size, in or out, whichever is larger."""

SIMULATED_THREADS = 4
"""The simulator runs a Python thread for each CUDA thread."""

PLAIN_SHARED = 48 * 1024
"""Dynamic shared memory that a kernel has without asking."""


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
        self.kernel = build.kernel_function(source)
        self._processors = 1
        if not build.simulated():
            self._processors = int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
            self._compile()
        each = SCRATCH_BLOCKS_EACH if source.scratch_floats else BLOCKS_EACH
        self._most_blocks = 2 if build.simulated() else self._processors * each
        # A launch that still runs uses the scratch, so launches on other streams get their own.
        self._scratch: dict[Any, Any] = {}
        self._none = cuda.device_array(1, np.float32)
        self._staging: _Staging | None = None
        self._lock = threading.Lock()

    def launch(self, x: Any, y: Any, stream: Any) -> None:
        """Run on device arrays (rows, columns); returns before the kernel is done."""
        rows = x.shape[0]
        if rows == 0 or self.widths[1] == 0:
            return
        tile = self.source.tile
        if tile is None:
            threads = SIMULATED_THREADS if build.simulated() else THREADS
            blocks = min(self._most_blocks, -(-rows // threads))
            run = self._configured(blocks, threads, stream)
            run(*self._flat(x, y), rows, self.k, self.n)
            return
        blocks = min(self._most_blocks, -(-rows // tile.rows))
        shape = (tile.lanes, tile.groups)
        run = self._configured(blocks, shape, stream, self.source.shared_bytes)
        run(*self._flat(x, y), rows, self.k, self.n, self._scratch_of(stream))

    def _configured(self, *launch: Any) -> Any:
        """The kernel for a grid; Numba warns of a small one, which few rows are meant to be."""
        from numba.core.errors import NumbaPerformanceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaPerformanceWarning)
            return self.kernel[launch]

    def from_host(self, rows: Floats, out: Floats, stream: Any) -> None:
        """Run on host arrays, piece by piece; copies of one piece overlap the work on another."""
        with self._lock:
            if self._staging is None:
                self._staging = _Staging(self.widths)
            self._staging.run(self, rows, out, stream)

    def _flat(self, x: Any, y: Any) -> tuple[Any, Any]:
        """As one dimension; an empty row is a place that nobody reads."""
        flat_x, flat_y = (a.reshape(a.size) if a.size else self._none for a in (x, y))
        return flat_x, flat_y

    def _scratch_of(self, stream: Any) -> Any:
        from numba import cuda

        if not self.source.scratch_floats:
            return self._none
        key = stream_key(stream)
        if key not in self._scratch:
            floats = self.source.scratch_floats * self._most_blocks
            self._scratch[key] = cuda.device_array(floats, np.float32)
        return self._scratch[key]

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
        if self.source.shared_bytes > PLAIN_SHARED:
            _allow_shared(compiled, self.source.shared_bytes)


class _Staging:
    """Two pieces under way at a time: page-locked host arrays, device arrays, a stream each."""

    def __init__(self, widths: tuple[int, int]) -> None:
        from numba import cuda

        self.height = max(1, CHUNK_BYTES // (4 * max(1, *widths)))
        self.streams = [cuda.stream() for _ in range(2)]
        self.pieces: list[tuple[Any, Any, Any, Any]] = []
        self.widths = widths

    def run(self, form: OnDevice, rows: Floats, out: Floats, stream: Any) -> None:
        """All rows; on the caller's stream alone where there is one."""
        self._grow(min(len(rows), self.height))
        height = len(self.pieces[0][0])
        waiting: list[tuple[int, int] | None] = [None, None]
        starts = range(0, len(rows), height)
        streams = [stream or own for own in self.streams]
        try:
            for number, start in enumerate(starts):
                slot = number % 2
                self._finish(slot, waiting, streams[slot], out)
                stop = min(start + height, len(rows))
                self._start(slot, form, rows[start:stop], streams[slot])
                waiting[slot] = (start, stop)
            for slot in ((len(starts) % 2), (len(starts) + 1) % 2):
                self._finish(slot, waiting, streams[slot], out)
        except BaseException:
            for used in streams:  # or copies still under way would land in the next call's pieces
                used.synchronize()
            raise

    def _start(self, slot: int, form: OnDevice, rows: Floats, stream: Any) -> None:
        held_x, held_y, x, y = (array[: len(rows)] for array in self.pieces[slot])
        np.copyto(held_x, rows)
        x.copy_to_device(held_x, stream=stream)
        form.launch(x, y, stream)
        y.copy_to_host(held_y, stream=stream)

    def _finish(
        self, slot: int, waiting: list[tuple[int, int] | None], stream: Any, out: Floats
    ) -> None:
        span = waiting[slot]
        if span is not None:
            stream.synchronize()
            out[span[0] : span[1]] = self.pieces[slot][1][: span[1] - span[0]]
            waiting[slot] = None

    def _grow(self, height: int) -> None:
        from numba import cuda

        if self.pieces and len(self.pieces[0][0]) >= height:
            return
        self.pieces = []
        for _ in range(2):
            shapes = [(height, max(1, width)) for width in self.widths]
            held = [cuda.pinned_array(shape, np.float32) for shape in shapes]
            there = [cuda.device_array(shape, np.float32) for shape in shapes]
            self.pieces.append((*held, *there))


def _allow_shared(compiled: Any, count: int) -> None:
    """Let a kernel have more than 48 KB of dynamic shared memory; numba-cuda has no call for it."""
    from numba import cuda

    if cuda.implementation != "NVIDIA":
        sentence = (
            f"the kernel takes {count} bytes of shared memory, Numba's own CUDA target gives "
            f"{PLAIN_SHARED}: {build.INSTALL}"
        )
        raise CompileError(Problem("Unsupported", sentence, fields={"shared_bytes": count}))
    from numba.cuda.cudadrv import driver

    function = compiled._codelibrary.get_cufunc()
    attributes = driver.binding.CUfunction_attribute
    attribute = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.driver.cuKernelSetAttribute(attribute, count, function.handle, function.device.id)
