"""A library that instjit made -> something to call like a kernel, through ctypes and no Numba."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import c_size_t, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.errors import InputError, Problem
from instjit.inplace import FLOAT32, is_rows, output
from instjit.inputs import as_line, as_rows
from instjit.library.interface import Info, Library, Options
from instjit.model import Buffer


@dataclass(frozen=True, slots=True)
class Columns:
    """What is asked of a model about its rows (``instjit.inputs``)."""

    input_size: int
    features: tuple[str, ...]
    buffers: tuple[Buffer, ...]


class _Thread:
    """Scratch of one thread, and a row of input and of output.

    Rows are copied here and back, which takes a tenth of the time that NumPy takes to say where an
    array lies. ``words`` are the arguments of a run as a call passes them on: 150 ns less than C
    objects, 1.1 us less than integers.
    """

    __slots__ = ("memory", "scratch", "words", "x", "y")

    def __init__(self, model: Any, info: Info) -> None:
        size = max(int(info.row_scratch_bytes), int(info.batch_scratch_bytes))
        alignment = int(info.scratch_alignment)
        self.memory = np.empty(size + alignment, np.uint8)
        begin = -(-self.memory.ctypes.data // alignment) * alignment
        self.scratch = begin, size
        self.x = np.empty(int(info.input_size), np.float32)
        self.y = np.empty(int(info.output_size), np.float32)
        numbers = [(array.ctypes.data, array.size) for array in (self.x, self.y)]
        words: list[Any] = [c_void_p.from_param(model.value)]
        for at, count in (*numbers, self.scratch):
            words += [c_void_p.from_param(at), c_size_t.from_param(count)]
        self.words: tuple[Any, ...] = tuple(words)


class LibraryKernel:
    """A model in a C library; ``instjit.load_library`` makes one.

    Safe to call from several threads at once, which compute at the same time. Results have the bits
    of ``Kernel.predict`` and ``Kernel.row``; a batch runs on the calling thread.

    Attributes
    ----------
    name
        Prefix of the library's functions.
    input_size, output_size
        Columns of a row of input and of output.
    features
        Names of the input columns, empty when the model has none.
    digest
        Of the structure, as ``Source.digest``; empty when RMD1 bytes gave it.
    cpu
        Whose code runs, such as "x86-64-v3".
    """

    def __init__(self, library: Library, content: bytes | None, cpu: str | None) -> None:
        self._functions = library.functions
        self._check = library.check
        self._run = library.run_prepared
        options = Options(ctypes.sizeof(Options), None if cpu is None else cpu.encode())
        model = c_void_p()
        size = 0 if content is None else len(content)
        create = self._functions["create"]
        library.check(create(content, size, ctypes.byref(options), ctypes.byref(model)))
        self._model = model
        info = Info(size=ctypes.sizeof(Info))
        library.check(self._functions["info"](model, ctypes.byref(info)))
        self.name = library.name
        self.input_size = int(info.input_size)
        self.output_size = int(info.output_size)
        names = (self._functions["feature_name"](model, i) for i in range(info.feature_count))
        self.features: tuple[str, ...] = tuple(name.decode() for name in names)
        self.digest = info.digest.decode()
        self.cpu = info.cpu.decode()
        self._info = info
        self._columns = Columns(self.input_size, self.features, (Buffer((self.input_size,)),))
        self._held = threading.local()
        self._shapes = (self.input_size,), (self.output_size,)

    def __del__(self) -> None:
        if model := getattr(self, "_model", None):
            self._functions["destroy"](model)

    def __repr__(self) -> str:
        return f"LibraryKernel({self.name}: {self.input_size} -> {self.output_size}, {self.cpu})"

    def __reduce__(self) -> Any:
        raise TypeError("a LibraryKernel cannot be pickled: load its library again")

    def predict(self, X: Any, out: FloatArray | None = None) -> FloatArray:
        """Outputs of a batch.

        Parameters
        ----------
        X
            (rows, input_size); float32 and C-contiguous is used in place, anything else is
            converted.
        out
            float32 C-contiguous array of the result's shape to write to.

        Returns
        -------
        (rows, output_size) float32; ``out`` when given.

        Raises
        ------
        InputError
            InputShape, ValidationInputSizeMismatch, InputType: ``X``. OutputMismatch: ``out``.
        """
        rows = X if is_rows(X, self.input_size) else as_rows(self._columns, X)
        result = output(out, (len(rows), self.output_size))
        if out is not None and np.may_share_memory(rows, result):
            rows = rows.copy()
        scratch, size = self._thread().scratch
        self._check(
            self._functions["run_batch"](
                self._model, len(rows), _address(rows), rows.size, _address(result), result.size,
                scratch, size,
            )
        )  # fmt: skip
        return result

    __call__ = predict

    def row(self, x: Any, out: FloatArray | None = None) -> FloatArray:
        """Output of one row.

        Parameters
        ----------
        x
            (input_size,); float32 and C-contiguous is used in place.
        out
            float32 array of (output_size,) to write to.

        Raises
        ------
        InputError
            As ``predict``.
        """
        try:
            held: _Thread = self._held.thread
        except AttributeError:
            held = self._thread()
        line, result = self._shapes
        fits = type(x) is np.ndarray and x.dtype is FLOAT32 and x.shape == line
        held.x[...] = x if fits else as_line(self._columns, x)
        if out is not None and not (
            type(out) is np.ndarray
            and out.dtype is FLOAT32
            and out.shape == result
            and out.flags.carray
        ):
            output(out, result)
        if status := self._run(*held.words):
            self._check(status)
        if out is None:
            return held.y.copy()
        out[...] = held.y
        return out

    def single(self, x: Any) -> float:
        """Last element of the output of one row."""
        return float(self.row(x)[-1])

    def _thread(self) -> _Thread:
        """What this thread has of its own."""
        try:
            held: _Thread = self._held.thread
        except AttributeError:
            held = self._held.thread = _Thread(self._model, self._info)
        return held


def load_library(
    path: str | os.PathLike[str], content: bytes | None = None, *, cpu: str | None = None
) -> LibraryKernel:
    """Load a C library that ``instjit.build`` made; neither Numba nor a compiler is needed.

    Parameters
    ----------
    path
        The shared library.
    content
        RMD1 bytes: other numbers for a library of one dense model, and the model itself for the
        generic one.
    cpu
        Which of the library's CPUs to run the code of; the best by default.

    Raises
    ------
    InputError
        NotALibrary, IncompatibleLibrary, InputType: ``content``. NotADenseChain: the library's
        model is none that RMD1 holds. StructureMismatch: ``content`` is of another structure.
        UnknownCpu, UnsupportedCpu.
    FormatError
        What is wrong with ``content``, as ``instjit.load`` says it.
    """
    if content is not None and not isinstance(content, bytes):
        sentence = f"content takes bytes, not {type(content).__name__}"
        raise InputError(Problem("InputType", sentence))
    return LibraryKernel(Library(path), content, cpu)


def _address(array: FloatArray) -> int:
    """Where an array begins; a third of the time of NumPy's own answer for one that is writable."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # it is read-only, or empty
        return int(array.ctypes.data)
