"""CudaKernel: a model compiled for NVIDIA GPUs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from instjit.arrow.streaming import Streaming
from instjit.cost import Cost, cost
from instjit.errors import CompileError, InputError, Problem
from instjit.gpu import arrays, build, device, layout, streams
from instjit.gpu.emit import Form, GpuSource, emit
from instjit.gpu.tensor_form import Precision
from instjit.gpu.tile import SHARED_BYTES, Tile, shared_bytes_of
from instjit.inplace import output
from instjit.inputs import as_rows, checked_passes
from instjit.kernels.packing import Floats, Integers
from instjit.lower import lower
from instjit.model import Model
from instjit.passes import PASSES, Pass, apply
from instjit.portable import Options, Portable, unusual
from instjit.program import Program
from instjit.unlocked import cached_property

FROZEN_BYTES = 60_000
"""Constants of a device function that are part of its code: constant memory holds 64 KB."""

USUAL = {
    "passes": PASSES, "form": None, "tile": None, "shared_bytes": None, "precision": "float32"
}  # fmt: skip
"""Options that a pickle leaves out, in the order of the arguments."""


class CudaKernel(Portable, Streaming):
    """A model compiled for the GPU; ``instjit.compile(model, target="cuda")`` makes one.

    Making one needs neither a driver nor a device: the text and its PTX can be had without. Results
    have the bits of the CPU's kernel unless a precision other than "float32" was asked for; device
    functions always have. Safe to call from several threads at once. Pickled as the model and the
    options, as ``instjit.Kernel`` is; where there is no GPU, calls of a copy say so.

    Attributes
    ----------
    model
        The model it was made of.
    cost
        Work of one row (``instjit.Cost``).
    input_size, output_size
        Columns of a row of input and of output.
    source
        The generated text.
    k, n
        The packed constants, float32 and int32 host arrays.
    """

    kind = "cuda"

    def __init__(
        self,
        model: Model,
        passes: Iterable[Pass] = PASSES,
        form: Form | None = None,
        tile: Tile | None = None,
        shared_bytes: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Keep a valid model.

        Parameters
        ----------
        model
            A model without problems.
        passes
            Program passes.
        form, tile, shared_bytes, precision
            As ``instjit.gpu.emit.emit``. Without ``shared_bytes``, ``source`` is the text for any
            device, and a device or a compute capability has a text for the memory it offers.

        Raises
        ------
        CompileError
            Unsupported: the precision, for this model, form or tile.
        """
        self.model = model
        self.cost: Cost = cost(model)
        self.input_size = model.input_size
        self.output_size = model.output_size
        self.required_memory = model.required_memory
        passes = checked_passes(passes)
        self._options = passes, form, tile, shared_bytes, precision
        self._program: Program = apply(lower(model), passes)
        self._places = layout.layout(self._program, model)
        self.source: GpuSource = self._emitted(form, precision)
        self.k: Floats
        self.n: Integers
        self.k, self.n = layout.bind(self._program, model, self._places)
        self._sources: dict[int, GpuSource] = {}
        self._there: dict[int, device.OnDevice] = {}
        self._lock = threading.Lock()

    @property
    def _asked(self) -> Options:
        return unusual(dict(zip(USUAL, self._options, strict=True)), USUAL)

    def __repr__(self) -> str:
        steps = f"{len(self.model.instructions)} instructions"
        precision = "" if self.source.precision == "float32" else f" {self.source.precision}"
        form = f"cuda {self.source.form}{precision}, 0x{self.source.digest[:8]}"
        return f"CudaKernel({self.input_size} -> {self.output_size}, {steps}, {form})"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the input columns, empty when the model has none."""
        return self.model.features or ()

    def predict(self, X: Any, out: Any = None, stream: Any = None) -> Any:
        """Outputs of a batch.

        Parameters
        ----------
        X
            (rows, input_size) on the host, as ``Kernel.predict`` takes it; or on the current
            device: a float32 C-contiguous array of numba-cuda, CuPy, Torch or anything else with
            ``__cuda_array_interface__`` or DLPack, which is read in place.
        out
            Array of the result's shape to write to, where ``X`` is: float32, C-contiguous. It may
            be ``X`` itself; where it shares memory with ``X`` otherwise, ``X`` is copied first.
        stream
            Stream to run on: one of Numba, CuPy or Torch, or its address; without one, Numba's
            default stream. Results on the device are there when the stream has got so far. Arrays
            that name a stream, as those of CuPy and Numba do, are kept in order with theirs as
            well; those of Torch name none, so pass the one that made them if it is not the
            default. For host arrays the call first waits for what is on the stream.

        Returns
        -------
        (rows, output_size) float32: a NumPy array for host arrays, complete; a device array of
        Numba for device arrays; ``out`` when given.

        Raises
        ------
        CompileError
            NoCuda: no driver or no device.
        InputError
            InputShape, InputType, ValidationInputSizeMismatch: ``X``. OutputMismatch: ``out``.
            InputType: ``stream``.
        """
        if arrays.on_device(X):
            return self._on_device(X, out, stream)
        if stream is not None:  # its work so far may write X or read out
            self._await(stream)
        rows = as_rows(self.model, X)
        result = output(out, (len(rows), self.output_size), where=" on the host, where X is")
        here = self._here()
        if len(rows):
            here.from_host(rows, result)
        return result

    __call__ = predict

    @cached_property
    def device_function(self) -> Any:
        """``f(x_row, out_row)`` for the caller's own ``@cuda.jit`` kernels, one row in one thread.

        Both rows are float32 arrays of one dimension. The constants are frozen in: they lie in the
        GPU's constant memory, which all threads of a warp read at once. A model with more than
        60,000 bytes of them has ``device_function_of_constants`` instead.

        Raises
        ------
        CompileError
            TooManyConstants, NoCuda.
        """
        size = self.k.nbytes + self.n.nbytes
        if size > FROZEN_BYTES:
            sentence = (
                f"the model's constants take {size} bytes, a device function holds {FROZEN_BYTES}: "
                "take device_function_of_constants, and device_constants() for its arguments"
            )
            raise CompileError(Problem("TooManyConstants", sentence, fields={"bytes": size}))
        return build.frozen_function(self._row_source, self.k, self.n)

    @cached_property
    def device_function_of_constants(self) -> Any:
        """``f(x_row, out_row, k, n)``: as ``device_function``, with ``device_constants()``.

        One function serves all models of one structure. ``k`` and ``n`` are C-contiguous arrays of
        one dimension, float32 and int32, or pointers; Numba's TypingError says so of others.
        """
        return build.row_function(self._row_source)

    def device_constants(self) -> tuple[Any, Any]:
        """The constants ``k`` and ``n`` as arrays on the current device."""
        here = self._here()
        return here.k, here.n

    def dump(self, form: str = "ptx", cc: tuple[int, int] = (9, 0), portable: bool = False) -> str:
        """Compiled code: "ptx", for a compute capability. No driver is needed.

        A block takes the shared memory that devices of ``cc`` have. Where that is more than 99 KB,
        not all later devices have it: ``portable`` leaves it at 99 KB, as all from 8.0 on have.

        Raises
        ------
        InputError
            UnknownForm.
        CompileError
            NoCuda: no CUDA compiler. Unsupported: the compute capability.
        """
        from instjit.gpu.ptx import ptx

        if form != "ptx":
            sentence = f'a CUDA kernel dumps "ptx", not {form!r}'
            raise InputError(Problem("UnknownForm", sentence, fields={"form": form}))
        return ptx(self._dumped(cc, portable), cc)

    def source_for(self, shared_bytes: int) -> GpuSource:
        """The text for devices whose blocks may take so many bytes of shared memory."""
        if self._options[3] is not None or self.source.form == "thread":
            return self.source
        if shared_bytes not in self._sources:
            precision = self.source.precision
            self._sources[shared_bytes] = self._emitted("block", precision, shared_bytes)
        return self._sources[shared_bytes]

    def dump_constants(self, cc: tuple[int, int] = (9, 0), portable: bool = False) -> bytes:
        """What a host program needs to launch ``dump("ptx", cc, portable)``: block, ``k``, ``n``.

        ``instjit.gpu.constants_file`` tells what stands where.
        """
        from instjit.gpu.constants_file import constants_file

        source = self._dumped(cc, portable)
        return constants_file(source, (self.input_size, self.output_size), self.k, self.n)

    def with_weights(self, model: Model) -> CudaKernel:
        """The same kernel for a model of the same structure: other numbers, no new compilation.

        Raises
        ------
        InputError
            StructureMismatch, or InputType for anything but a model.
        ModelError
            The model has problems.
        """
        from instjit.retrained import check_model, check_structure

        check_model(model)
        other = CudaKernel(model, *self._options)
        check_structure(self.source.digest, other.source.digest)
        return other

    def warm(self) -> None:
        """Compile for the current device now, and bring the constants there."""
        self._here()

    def _dumped(self, cc: tuple[int, int], portable: bool) -> GpuSource:
        return self.source if portable else self.source_for(shared_bytes_of(cc))

    @cached_property
    def _row_source(self) -> GpuSource:
        return self.source if self.source.form == "thread" else self._emitted("thread", "float32")

    def _emitted(
        self, form: Form | None, precision: Precision, most: int = SHARED_BYTES
    ) -> GpuSource:
        kinds = [instruction.kind for instruction in self.model.instructions]
        _, _, tile, shared_bytes, _ = self._options
        most = most if shared_bytes is None else shared_bytes
        return emit(self._program, self._places, kinds, form, tile, most, precision)

    def _here(self) -> device.OnDevice:
        device.require()
        with self._lock:
            number = device.current()
            if number not in self._there:
                widths = self.input_size, self.output_size
                source = self.source_for(device.shared_bytes())
                self._there[number] = device.OnDevice(source, self.k, self.n, widths)
            return self._there[number]

    def _await(self, stream: Any) -> None:
        from numba import cuda

        device.require()
        used = streams.stream_of(stream, device.current())
        if used:
            used.synchronize()
        else:
            cuda.synchronize()

    def _on_device(self, X: Any, out: Any, stream: Any) -> Any:
        from numba import cuda

        here, number = self._here(), device.current()
        used = streams.stream_of(stream, number)
        rows = arrays.device_rows(X, self.input_size, number, used, "X")
        count = int(rows.shape[0])
        if out is None:
            out = result = cuda.device_array((count, self.output_size), np.float32, stream=used)
        elif arrays.on_device(out):
            result = arrays.device_rows(out, self.output_size, number, used, "out", count)
        else:
            sentence = f"X is on the device, out is not: {type(out).__name__}"
            raise InputError(Problem("OutputMismatch", sentence))
        with streams.ordered(used, (rows.stream, result.stream)):
            if arrays.overlapping(rows, result):
                apart = cuda.device_array(rows.shape, np.float32, stream=used)
                apart.copy_to_device(rows, stream=used)
                rows = apart
            here.launch(rows, result, used)
        return out
