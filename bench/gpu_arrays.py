"""Arrays of every library, streams, threads, pieces of host rows: the bits are always the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np

from bench.gpu_bits import forms
from bench.gpu_check import Check, LeftOut, Options, differing
from bench.gpu_libraries import LIBRARIES, Library, handed, nothing
from bench.gpu_part import described
from bench.jobs import Float32

WIDTHS, TINY_WIDTHS = (20, 64, 32, 1), (3, 5, 2)
ROWS, TINY_ROWS = 20_000, 5
THREADS, CALLS = 8, 5  # callers at once, and what each calls
PIECES_BYTES = 64 << 20  # of host rows: several pieces, however large one is
DELAY_TURNS = 20_000  # some milliseconds of one block


class Subject:
    """A kernel in one form, rows, and what the CPU's kernel makes of them."""

    def __init__(self, form: str, options: Options) -> None:
        from tests.nets import dense

        self.form, self.simulated = form, options.simulated
        self.model = dense(*(TINY_WIDTHS if options.simulated else WIDTHS))
        self.count = TINY_ROWS if options.simulated else ROWS

    @cached_property
    def kernel(self) -> Any:
        """One for all checks: what several calls share is part of what is checked."""
        from instjit.gpu.kernel import CudaKernel

        return CudaKernel(self.model, **forms(self.simulated)[self.form])

    def rows(self, seed: int, count: int | None = None) -> Float32:
        """Ordinary numbers."""
        shape = (self.count if count is None else count, self.model.input_size)
        return np.random.default_rng(seed).standard_normal(shape, np.float32)

    def wrong(self, got: Any, rows: Float32) -> str:
        """What differs from the CPU's outputs; from the reference's, where compiling is longer."""
        from instjit import reference

        if self.simulated:
            return differing(got, reference.run(self.model, rows))
        return differing(got, self._on_the_cpu.predict(rows))

    @cached_property
    def _on_the_cpu(self) -> Any:
        import instjit

        return instjit.compile(self.model)


def arrays(options: Options) -> Iterator[Check | LeftOut]:
    """The checks, a form after the other."""
    libraries, absent = _libraries(options.simulated)
    for form in forms(options.simulated):
        subject = Subject(form, options)
        for name, library in libraries.items():
            yield from _handed_over(subject, name, library)
        # the simulator runs one kernel at a time
        apart = () if options.simulated else (threads_there,)
        for call in (from_the_host, into_out, in_pieces, two_streams, threads_here, *apart):
            said = (call.__doc__ or "").rstrip(".").lower()
            yield Check(f"{form}, {said}", partial(call, subject))
        if not options.simulated and _devices() > 1:
            yield Check(f"{form}, another device", partial(another_device, subject))
    for name, reason in absent.items():
        yield LeftOut(f"arrays of {name}", reason)


def _handed_over(subject: Subject, name: str, library: Library) -> Iterator[Check]:
    for way in library.ways[: 1 if subject.simulated else None]:
        for given in (False, True):
            for own in (False, True):
                words = (subject.form, f"{name} by {way}", "out" if given else "")
                title = ", ".join(word for word in (*words, "own stream" if own else "") if word)
                yield Check(title, partial(predicted, subject, library, way, given, own))


def predicted(subject: Subject, library: Library, way: str, given: bool, own: bool) -> str:
    """Rows that come to the device late, on the stream alone that ``predict`` is to follow."""
    from numba import cuda

    rows = subject.rows(1)
    subject.kernel.warm()
    ready, x = library.put(rows), library.put(nothing(rows.shape))
    y = library.put(nothing((len(rows), subject.model.output_size)))
    stream = library.stream() if own else None
    used = _numba_stream(library, stream, subject.simulated)
    cuda.synchronize()
    _come_late(ready, x, used, subject.simulated)
    out = handed(y, way) if given else None
    got = subject.kernel.predict(handed(x, way), out=out, stream=stream)
    if used:
        used.synchronize()
    else:
        cuda.synchronize()
    if given and got is not out:
        return f"out is a {type(out).__name__}, returned was another {type(got).__name__}"
    return subject.wrong(library.back(y) if given else got.copy_to_host(), rows)


def from_the_host(subject: Subject) -> str:
    """Host rows."""
    rows = subject.rows(2)
    return subject.wrong(subject.kernel.predict(rows), rows)


def into_out(subject: Subject) -> str:
    """Host rows, out."""
    rows = subject.rows(3)
    out = nothing((len(rows), subject.model.output_size))
    if subject.kernel.predict(rows, out=out) is not out:
        return "predict returned another array than out"
    return subject.wrong(out, rows)


def in_pieces(subject: Subject) -> str:
    """Host rows in several pieces, on the default and on a stream of the caller's."""
    from numba import cuda

    count = 3 * subject.count + 1
    if not subject.simulated:
        count = PIECES_BYTES // (4 * subject.model.input_size) + 1
    rows = subject.rows(4, count)
    first = subject.wrong(subject.kernel.predict(rows), rows)
    return first or subject.wrong(subject.kernel.predict(rows, stream=cuda.stream()), rows)


def two_streams(subject: Subject) -> str:
    """Two streams at once on one kernel."""
    from numba import cuda

    streams = [cuda.stream() for _ in range(2)]
    rows = [subject.rows(5 + number) for number in range(2)]
    there = [cuda.to_device(each) for each in rows]
    shape = (len(rows[0]), subject.model.output_size)
    outs = [cuda.to_device(nothing(shape)) for _ in range(2)]
    cuda.synchronize()
    for _ in range(1 if subject.simulated else 2 * CALLS):
        for stream, x, y in zip(streams, there, outs, strict=True):
            subject.kernel.predict(x, out=y, stream=stream)
    cuda.synchronize()
    said = (subject.wrong(y.copy_to_host(), x) for y, x in zip(outs, rows, strict=True))
    return next(filter(None, said), "")


def threads_there(subject: Subject) -> str:
    """Several threads at once, rows on the device."""
    from numba import cuda

    def call(rows: Float32) -> Float32:
        stream = cuda.stream()
        got = subject.kernel.predict(cuda.to_device(rows), stream=stream)
        stream.synchronize()
        result: Float32 = got.copy_to_host()
        return result

    return _at_once(subject, call)


def threads_here(subject: Subject) -> str:
    """Several threads at once, rows on the host."""
    return _at_once(subject, subject.kernel.predict)


def another_device(subject: Subject) -> str:
    """A second device: rows from the host, and rows that lie there."""
    from numba import cuda

    rows = subject.rows(7)
    with cuda.gpus[1]:
        first = subject.wrong(subject.kernel.predict(rows), rows)
        there = subject.kernel.predict(cuda.to_device(rows))
        return first or subject.wrong(there.copy_to_host(), rows)


def _at_once(subject: Subject, call: Callable[[Float32], Any]) -> str:
    """What the first thread finds that finds anything."""
    said: list[str] = []
    count = 2 if subject.simulated else THREADS

    def body(seed: int) -> None:
        rows = subject.rows(10 + seed)
        try:
            for _ in range(1 if subject.simulated else CALLS):
                said.append(subject.wrong(call(rows), rows))
        except Exception as error:
            said.append(described(error))

    threads = [threading.Thread(target=body, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return next(filter(None, said), "")


def _come_late(ready: Any, x: Any, stream: Any, simulated: bool) -> None:
    """Queue a delay and then a copy, so that a kernel on another stream finds no rows in ``x``."""
    from numba import cuda

    from bench.gpu_kernels import chained, copied

    if simulated:
        x.copy_to_device(ready)
        return
    scrap = cuda.device_array(32, np.float32)
    source, target = (cuda.as_cuda_array(array).reshape(-1) for array in (ready, x))
    chained[1, 32, stream](scrap, DELAY_TURNS, np.float32(0.5), np.float32(1.0))
    copied[64, 256, stream](source, target)


def _numba_stream(library: Library, stream: Any, simulated: bool) -> Any:
    from numba import cuda

    if stream is None or simulated:
        return 0
    return cuda.external_stream(library.address(stream))


def _libraries(simulated: bool) -> tuple[dict[str, Library], dict[str, str]]:
    """Those that are there, and why the others are not."""
    present: dict[str, Library] = {}
    absent: dict[str, str] = {}
    for name, make in LIBRARIES.items():
        if simulated and name != "Numba":
            absent[name] = "not simulated"
            continue
        try:
            present[name] = make()
        except ImportError as error:
            absent[name] = f"not installed: {error}"
    return present, absent


def _devices() -> int:
    from numba import cuda

    return len(cuda.gpus)
