"""What instjit uses of ``numba.cuda`` and of the driver, without either.

Work is put on streams and done as late as CUDA may do it: when somebody waits for it, and then no
more than what that needs (or, with a seed, anything that could be done, in a random order). What
was forgotten to be waited for is then still to be done, and shows as wrong numbers.
"""

from __future__ import annotations

import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaPerformanceWarning

import instjit as ij
from instjit.gpu import build, staging
from instjit.gpu.tile import SHARED_BYTES

LEGACY, DEVICE, HOST = 1, 2, 1
MEMORY_TYPE, IS_MANAGED, DEVICE_ORDINAL = 2, 8, 9


@dataclass(eq=False, repr=False)
class Work:
    """Something that a stream has to do after other work."""

    name: str
    action: Callable[[], None]
    needs: list[Work]
    done: bool = False


@dataclass(eq=False)
class Queue:
    """What the driver knows of a stream; ``blocking`` as streams are to the default stream."""

    handle: int
    blocking: bool
    last: Work | None = None


@dataclass
class Machine:
    """Streams, memory and a log of (what, handle of the stream) in the order of the calls."""

    seed: int | None = None
    device: int = 0
    implementation: str = "NVIDIA"
    log: list[tuple[str, int]] = field(default_factory=list)
    queues: dict[int, Queue] = field(default_factory=dict)
    memory: list[tuple[int, int, int, int, bool]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    refusal: int = 0
    lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.pending: list[Work] = []
        self.random = random.Random(self.seed)
        self.kept: list[np.ndarray] = []  # addresses stay what they are
        self.queues[LEGACY] = Queue(LEGACY, True)

    def queue(self, stream: Any) -> Queue:
        handle = (stream.handle if isinstance(stream, Stream) else stream) or LEGACY
        with self.lock:
            return self.queues.setdefault(handle, Queue(handle, False))

    def put(self, stream: Any, name: str, action: Callable[[], None], *needs: Work | None) -> Work:
        with self.lock:
            queue = self.queue(stream)
            first = [queue.last, *needs]
            if queue.handle == LEGACY:
                first += [other.last for other in self.queues.values() if other.blocking]
            elif queue.blocking:
                first.append(self.queues[LEGACY].last)
            work = Work(name, action, [need for need in first if need is not None])
            queue.last = work
            self.pending.append(work)
            self.log.append((name, queue.handle))
            return work

    def wait(self, work: Work | None, name: str, handle: int) -> None:
        with self.lock:
            self.log.append((name, handle))
            while self.seed is not None and work is not None and not work.done:
                ready = [w for w in self.pending if all(need.done for need in w.needs)]
                self._do(self.random.choice(ready))
            if work is not None:
                self._force(work)

    def finish(self) -> None:
        """All that there is to do on the device."""
        for work in list(self.pending):
            self.wait(work, "finish", 0)

    def _force(self, work: Work) -> None:
        if not work.done:
            for need in work.needs:
                self._force(need)
            self._do(work)

    def _do(self, work: Work) -> None:
        work.action()
        work.done = True
        self.pending.remove(work)

    def allocated(self, array: np.ndarray, kind: int, managed: bool = False) -> np.ndarray:
        start = array.ctypes.data
        self.memory.append((start, start + array.nbytes, kind, self.device, managed))
        self.kept.append(array)
        return array

    def attribute(self, address: int, attribute: int) -> int | None:
        for start, stop, kind, device, managed in self.memory:
            if start <= address < stop:
                known = {MEMORY_TYPE: kind, IS_MANAGED: managed, DEVICE_ORDINAL: device}
                return int(known[attribute])
        return None

    def floats(self, kind: int) -> int:
        return sum(stop - start for start, stop, found, *_ in self.memory if found == kind) // 4


MACHINE = Machine()
"""The one of the test that runs; ``installed`` makes it."""


class Stream:
    """A stream of Numba."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def synchronize(self) -> None:
        queue = MACHINE.queue(self)
        MACHINE.wait(queue.last, "synchronize", queue.handle)


class Event:
    def __init__(self) -> None:
        self.work: Work | None = None

    def record(self, stream: Any = 0) -> None:
        self.work = MACHINE.put(stream, "record", lambda: None)

    def wait(self, stream: Any = 0) -> None:
        MACHINE.put(stream, "wait", lambda: None, self.work)

    def synchronize(self) -> None:
        MACHINE.wait(self.work, "synchronize", LEGACY)


class DeviceArray:
    """A device array of Numba; ``held`` is its memory."""

    __cuda_ndarray__ = True

    def __init__(self, held: np.ndarray, stream: Any = 0) -> None:
        self.held = held
        self.stream = stream
        self.shape, self.dtype, self.size = held.shape, held.dtype, held.size

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        address = self.held.ctypes.data if self.size else 0
        return interface(self.held, address=address)

    def is_c_contiguous(self) -> bool:
        return bool(self.held.flags.c_contiguous)

    def reshape(self, *shape: Any) -> DeviceArray:
        return DeviceArray(self.held.reshape(*shape), self.stream)

    def __getitem__(self, item: slice) -> DeviceArray:
        return DeviceArray(self.held[item], self.stream)

    def copy_to_device(self, source: Any, stream: Any = 0) -> None:
        there = source.held if isinstance(source, DeviceArray) else source
        assert there.shape == self.shape
        name = "copy" if isinstance(source, DeviceArray) else "to device"
        self._copied(name, stream, lambda: np.copyto(self.held, there))

    def copy_to_host(self, target: np.ndarray | None = None, stream: Any = 0) -> np.ndarray:
        out = np.empty_like(self.held) if target is None else target
        assert out.shape == self.shape
        self._copied("to host", stream, lambda: np.copyto(out, self.held))
        return out

    def _copied(self, name: str, stream: Any, action: Callable[[], None]) -> None:
        stream = stream or self.stream
        work = MACHINE.put(stream, name, action)
        if not stream:
            MACHINE.wait(work, "synchronize", LEGACY)


for _class in (Stream, DeviceArray):
    _class.__module__ = "numba.cuda.fake"


class Kernel:
    """Rows of the model, in two steps with the scratch between where the kernel takes it."""

    def __init__(self, kernel: ij.Kernel) -> None:
        self.kernel = kernel
        function = SimpleNamespace(handle=0xF0, device=SimpleNamespace(id=0))
        self.compiled = SimpleNamespace(_codelibrary=SimpleNamespace(get_cufunc=lambda: function))

    def compile(self, signature: Any) -> Any:
        return self.compiled

    def __getitem__(self, configuration: tuple[Any, ...]) -> Callable[..., None]:
        warnings.warn(NumbaPerformanceWarning("a small grid"), stacklevel=2)
        return lambda *arguments: self._run(configuration[2], *arguments)

    def _run(self, stream: Any, x: Any, y: Any, rows: int, k: Any, n: Any, *rest: Any) -> None:
        width_in, width_out = self.kernel.input_size, self.kernel.output_size
        count = rows * width_out
        middle = rest[0].held if rest and rest[0].size >= count else np.empty(count, np.float32)

        def compute() -> None:
            if np.isnan(k.held).any():
                raise RuntimeError("the constants are not there yet")
            values = x.held[: rows * width_in].reshape(rows, width_in)
            middle[:count] = self.kernel.predict(values).ravel()

        def store() -> None:
            y.held[:count] = middle[:count]

        MACHINE.put(stream, "launch", compute)
        MACHINE.put(stream, "store", store)


def interface(held: np.ndarray, *, address: int | None = None, **more: Any) -> dict[str, Any]:
    """A ``__cuda_array_interface__`` of version 3; ``more`` replaces entries or adds them."""
    return {
        "shape": held.shape,
        "typestr": held.dtype.str,
        "strides": None if held.flags.c_contiguous else held.strides,
        "data": (held.ctypes.data if address is None else address, False),
        "version": 3,
    } | more


class Refused(Exception):
    """What numba.cuda.cudadrv.driver calls CudaAPIError."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"[{code}] {message}")


def _from_interface(found: dict[str, Any], owner: Any = None, sync: bool = True) -> DeviceArray:
    if found["version"] >= 1 and found.get("mask") is not None:
        raise NotImplementedError("Masked arrays are not supported")
    address = found["data"][0]
    held = np.empty(found["shape"], found["typestr"])
    if held.size:
        base = next(a for a in MACHINE.kept if 0 <= address - a.ctypes.data < max(1, a.nbytes))
        flat = base.view(np.uint8).reshape(-1)[address - base.ctypes.data :]
        held = np.lib.stride_tricks.as_strided(
            flat[: flat.size // held.itemsize * held.itemsize].view(held.dtype),
            found["shape"],
            found.get("strides") or held.strides,
        )
    stream = found.get("stream")
    if sync and stream is not None:
        Stream(stream).synchronize()
    return DeviceArray(held, 0 if stream is None else Stream(stream))


def _device_array(shape: Any, dtype: Any = np.float64, stream: Any = 0) -> DeviceArray:
    held = np.full(shape, np.nan) if np.dtype(dtype).kind == "f" else np.zeros(shape)
    return DeviceArray(MACHINE.allocated(held.astype(dtype), DEVICE), stream)


def _to_device(values: np.ndarray, stream: Any = 0) -> DeviceArray:
    """The driver returns when it has read the host array, which may be before the copy is done."""
    array = _device_array(values.shape, values.dtype, stream)
    held = values.copy()
    MACHINE.put(stream, "to device", lambda: np.copyto(array.held, held))
    return array


def _stream() -> Stream:
    handle = 0x1000 + 16 * len(MACHINE.queues)
    MACHINE.queues[handle] = Queue(handle, True)
    return Stream(handle)


def _external_stream(address: Any) -> Stream:
    if not isinstance(address, int):
        raise TypeError("ptr for external stream must be an int")
    return Stream(address)


def _pinned(shape: Any, dtype: Any) -> np.ndarray:
    return MACHINE.allocated(np.full(shape, np.nan, dtype), HOST)


def _numba_driver() -> ModuleType:
    """``numba.cuda.cudadrv.driver``: its binding, or the library that ctypes opened."""

    def answered(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> int:
            MACHINE.calls.append((name, *arguments))
            return MACHINE.refusal

        return call

    def raising(name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            if answered(name)(*arguments):
                raise Refused(MACHINE.refusal, name)

        return call

    def of_pointer(attribute: int, address: int) -> tuple[int, int | None]:
        found = MACHINE.attribute(address, attribute)
        return (1, None) if found is None else (0, found)

    def of_pointer_by_ctypes(target: Any, attribute: int, address: Any) -> int:
        code, found = of_pointer(attribute, address.value)
        target._obj.value = found or 0
        return code

    module = ModuleType("numba.cuda.cudadrv.driver")
    module.CudaAPIError = Refused
    module.USE_NV_BINDING = MACHINE.implementation == "Built-in, NVIDIA's binding"
    if MACHINE.implementation != "Built-in":
        module.binding = SimpleNamespace(
            CUpointer_attribute=int, CUfunction_attribute=int, cuPointerGetAttribute=of_pointer
        )
    names = ("cuKernelSetAttribute", "cuFuncSetAttribute")
    module.driver = SimpleNamespace(
        **{name: raising(name) for name in names},
        lib=SimpleNamespace(
            cuFuncSetAttribute=answered("cuFuncSetAttribute"),
            cuPointerGetAttribute=of_pointer_by_ctypes,
        ),
    )
    return module


@contextmanager
def installed(monkeypatch: Any, model: ij.Model, **options: Any) -> Iterator[Machine]:
    """Put a fake in the place of ``numba.cuda``; its kernels compute ``model``."""
    global MACHINE
    MACHINE = Machine(**options)
    cuda = ModuleType("numba.cuda")
    for name, value in {
        "implementation": MACHINE.implementation.split(",")[0],
        "is_available": lambda: True,
        "get_current_device": lambda: SimpleNamespace(
            id=MACHINE.device,
            MULTIPROCESSOR_COUNT=2,
            MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=SHARED_BYTES,
        ),
        "device_array": _device_array,
        "to_device": _to_device,
        "pinned_array": _pinned,
        "stream": _stream,
        "synchronize": MACHINE.finish,
        "external_stream": _external_stream,
        "event": lambda timing=True: Event(),
        "from_cuda_array_interface": _from_interface,
    }.items():
        setattr(cuda, name, value)
    package = ModuleType("numba.cuda.cudadrv")
    package.driver = _numba_driver()
    cuda.cudadrv = package
    kernel = Kernel(ij.compile(model))
    with monkeypatch.context() as changed:
        changed.setattr(numba, "cuda", cuda, raising=False)
        changed.setitem(sys.modules, "numba.cuda", cuda)
        changed.setitem(sys.modules, "numba.cuda.cudadrv", package)
        changed.setitem(sys.modules, "numba.cuda.cudadrv.driver", package.driver)
        changed.setattr(build, "kernel_function", lambda source: kernel)
        changed.setattr(build, "require_compiler", lambda: None)
        changed.setattr(staging, "_pools", {})
        yield MACHINE
