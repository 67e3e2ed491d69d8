"""Arrays of others on a fake device: told apart, refused, read and written in order."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import fake_numba_cuda as fake
import numpy as np
import pytest
from foreign_arrays import (
    KIND_MANAGED,
    CupyArray,
    DlpackArray,
    PlainArray,
    StridedMemoryView,
    TorchTensor,
    cupy_stream,
    on_fake_device,
    torch_stream,
)
from gpu_emulate import run_plain
from gpu_run import FORMS, emitted
from nets import dense, rows_for
from plain_run import same_bits

import instjit as ij
from instjit import reference
from instjit.gpu.arrays import on_device
from instjit.gpu.kernel import CudaKernel

MODEL = dense(4, 6, 4)
X = rows_for(MODEL, 23).astype(np.float32)
WANTED = reference.run(MODEL, X)
STREAM = 0x7F00


@pytest.fixture
def machine(monkeypatch):
    core = ModuleType("cuda.core.utils")
    core.StridedMemoryView = StridedMemoryView
    for name, module in {
        "cuda": ModuleType("cuda"),
        "cuda.core": ModuleType("cuda.core"),
        "cuda.core.utils": core,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    with fake.installed(monkeypatch, MODEL) as machine:
        yield machine


@pytest.fixture
def kernel(machine) -> CudaKernel:
    kernel = CudaKernel(MODEL)
    kernel.warm()
    machine.log.clear()
    return kernel


def dlpack(kind: int) -> SimpleNamespace:
    return SimpleNamespace(__dlpack_device__=lambda: (kind, 0))


@pytest.mark.parametrize(
    ("array", "there"),
    [
        (np.zeros(3), False),
        (None, False),
        ([1.0], False),
        (SimpleNamespace(__cuda_array_interface__={}), True),
        *((dlpack(kind), kind in (2, 13)) for kind in (1, 2, 3, 4, 7, 8, 10, 11, 13, 14)),
    ],
)
def test_device_memory_is_that_of_cuda_alone(array, there) -> None:
    """Page-locked host memory is kind 3 of DLPack, and goes the way of host arrays."""
    assert on_device(array) == there


def test_a_tensor_that_cannot_be_read_is_refused_with_its_own_reason() -> None:
    with pytest.raises(ij.InputError, match=r"TorchTensor cannot be read: .* requires grad"):
        on_device(TorchTensor(np.zeros(3), requires_grad=True))


@pytest.mark.parametrize(
    "array",
    [
        fake.DeviceArray,
        TorchTensor,
        CupyArray,
        lambda held: CupyArray(held, stream=STREAM),
        PlainArray,
        lambda held: PlainArray(held, strides=held.strides, version=2),
        lambda held: PlainArray(held, stream=2),
        DlpackArray,
        lambda held: DlpackArray(held, kind=KIND_MANAGED, device=5),
    ],
)
def test_rows_of_anybody_are_read_and_written_in_place(machine, kernel, array) -> None:
    x, out = array(on_fake_device(X)), array(on_fake_device(np.zeros_like(WANTED)))
    assert kernel.predict(x, out, stream=0x9F00) is out
    assert ("synchronize", 0x9F00) not in machine.log
    fake.Stream(0x9F00).synchronize()
    assert same_bits(out.held, WANTED)


def test_a_result_without_out_is_an_array_of_numba(machine, kernel) -> None:
    result = kernel.predict(TorchTensor(on_fake_device(X)), stream=torch_stream(STREAM))
    assert isinstance(result, fake.DeviceArray)
    assert result.stream.handle == STREAM
    assert same_bits(result.copy_to_host(stream=fake.Stream(STREAM)), WANTED)


@pytest.mark.parametrize("array", [fake.DeviceArray, TorchTensor, CupyArray, DlpackArray])
def test_no_rows_are_no_work(machine, kernel, array) -> None:
    result = kernel.predict(array(on_fake_device(X[:0])))
    assert result.shape == (0, 4)
    assert "launch" not in [name for name, _ in machine.log]


REFUSED = {
    "one dimension": (lambda: TorchTensor(on_fake_device(X[0])), "InputShape", r"\(4,\)"),
    "wrong width": (lambda: TorchTensor(on_fake_device(X[:, :3])), "InputShape", "rows x 4"),
    "float64": (lambda: CupyArray(on_fake_device(X, np.float64)), "InputType", "float64"),
    "transposed": (lambda: CupyArray(on_fake_device(X.T.copy()).T), "InputType", "not C-cont"),
    "steps": (
        lambda: TorchTensor(on_fake_device(np.tile(X, 2))[:, ::2]),
        "InputType",
        "not C-cont",
    ),
    "steps, DLPack": (lambda: DlpackArray(on_fake_device(X.T.copy()).T), "InputType", "not C-cont"),
    "misaligned": (
        lambda: PlainArray(
            on_fake_device(X), data=(on_fake_device(np.zeros(100)).ctypes.data + 2, False)
        ),
        "InputType",
        "within a float32",
    ),
    "masked": (
        lambda: PlainArray(on_fake_device(X), mask=object()),
        "InputType",
        "PlainArray cannot be read: Masked arrays",
    ),
    "no pointer": (lambda: PlainArray(on_fake_device(X), data=None), "InputType", "cannot be read"),
    "unwilling": (
        lambda: DlpackArray(on_fake_device(X), refusal="conjugate bit set"),
        "InputType",
        "DlpackArray cannot be read: conjugate bit",
    ),
    "Torch, elsewhere": (
        lambda: TorchTensor(on_fake_device(X), 1),
        "InputType",
        "X is on device 1",
    ),
    "CuPy, elsewhere": (
        lambda: CupyArray(on_fake_device(X), device=1),
        "InputType",
        "X is on device 1, the current device is 0",
    ),
    "DLPack, elsewhere": (
        lambda: DlpackArray(on_fake_device(X), device=1),
        "InputType",
        "X is on device 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_cannot_be_read_in_place_are_refused(machine, kernel, case) -> None:
    make, kind, said = REFUSED[case]
    with pytest.raises(ij.InputError, match=said) as raised:
        kernel.predict(make())
    assert raised.value.kind == kind
    assert machine.log == []


@pytest.mark.parametrize("array", [fake.DeviceArray, PlainArray])
@pytest.mark.parametrize("managed", [False, True])
def test_the_driver_tells_whose_memory_it_is(machine, kernel, array, managed) -> None:
    """Where the array does not; managed memory is everybody's."""
    machine.device = 1
    held = machine.allocated(X.copy(), fake.DEVICE, managed)
    machine.device = 0
    if managed:
        kernel.predict(array(held))
        return
    with pytest.raises(ij.InputError, match="X is on device 1, the current device is 0"):
        kernel.predict(array(held))


def read_only(held: np.ndarray) -> DlpackArray:
    held.flags.writeable = False
    return DlpackArray(held)


BAD_OUTPUTS = {
    "on the host": (lambda held: held, "out is not: ndarray"),
    "read-only": (
        lambda held: PlainArray(held, data=(held.ctypes.data, True)),
        "out is a read-only device array",
    ),
    "read-only, DLPack": (read_only, "out is a read-only device array"),
    "elsewhere": (lambda held: TorchTensor(held, 1), "out is on device 1"),
    "too few rows": (lambda held: TorchTensor(held[1:]), "expected 23 x 4"),
    "too wide": (lambda held: TorchTensor(on_fake_device(np.zeros((23, 5)))), "expected 23 x 4"),
    "float64": (lambda held: TorchTensor(on_fake_device(held, np.float64)), "float64"),
    "a list": (lambda held: [[0.0]], "out is not: list"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_an_output_that_cannot_be_written_in_place_is_refused(machine, kernel, case) -> None:
    make, said = BAD_OUTPUTS[case]
    out = make(on_fake_device(np.zeros_like(WANTED)))
    with pytest.raises(ij.InputError, match=said) as raised:
        kernel.predict(TorchTensor(on_fake_device(X)), out)
    assert raised.value.kind == "OutputMismatch"
    assert machine.log == []


def test_rows_that_are_read_only_are_read(machine, kernel) -> None:
    held = on_fake_device(X)
    result = kernel.predict(PlainArray(held, data=(held.ctypes.data, True)))
    assert same_bits(result.copy_to_host(), WANTED)


def test_without_cuda_core_an_array_of_dlpack_alone_says_what_to_install(
    machine, kernel, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.core.utils", None)
    with pytest.raises(ij.InputError, match=r"DlpackArray has no .* needs instjit\[cuda\]"):
        kernel.predict(DlpackArray(on_fake_device(X)))


@pytest.mark.parametrize(
    ("stream", "asked"),
    [(None, 1), (torch_stream(0), 1), (2, 2), (cupy_stream(STREAM), STREAM)],
)
def test_dlpack_is_asked_to_be_ready_on_the_stream_of_the_call(kernel, stream, asked) -> None:
    """0 is not allowed there, 1 is the default stream."""
    x = DlpackArray(on_fake_device(X))
    kernel.predict(x, stream=stream)
    assert x.streams == [asked]


@pytest.mark.parametrize("of", ["x", "out"])
def test_an_array_that_names_its_stream_is_used_after_what_is_under_way_there(
    machine, kernel, of
) -> None:
    x, out = on_fake_device(np.zeros_like(X)), on_fake_device(np.zeros_like(WANTED))
    machine.put(STREAM, "theirs", lambda: np.copyto(x, X))
    machine.put(STREAM, "theirs", lambda: np.copyto(out, 7))
    wrap = {"x": PlainArray, "out": PlainArray, of: lambda held: CupyArray(held, stream=STREAM)}
    kernel.predict(wrap["x"](x), wrap["out"](out), stream=0x9F00)
    fake.Stream(0x9F00).synchronize()
    assert same_bits(out, WANTED)


def test_what_the_owner_does_next_with_an_array_comes_after_the_call(machine, kernel) -> None:
    x, out = on_fake_device(X), on_fake_device(np.zeros_like(WANTED))
    later = np.zeros_like(WANTED)
    kernel.predict(CupyArray(x, stream=STREAM), CupyArray(out, stream=STREAM), stream=0x9F00)
    machine.put(STREAM, "theirs", lambda: np.copyto(later, out))
    fake.Stream(STREAM).synchronize()
    assert same_bits(later, WANTED)


def test_arrays_of_the_stream_itself_cost_no_events(machine, kernel) -> None:
    x, out = on_fake_device(X), on_fake_device(np.zeros_like(WANTED))
    arrays = (CupyArray(held, stream=STREAM) for held in (x, out))
    kernel.predict(*arrays, stream=cupy_stream(STREAM))
    assert machine.log == [("launch", STREAM), ("store", STREAM)]


def test_an_output_may_be_its_own_rows(machine, kernel) -> None:
    held = on_fake_device(X)
    kernel.predict(TorchTensor(held), TorchTensor(held))
    machine.finish()
    assert same_bits(held, WANTED)
    assert "copy" not in [name for name, _ in machine.log]


@pytest.mark.parametrize("form", FORMS)
def test_the_text_reads_a_row_before_it_writes_it(form) -> None:
    source, k, n = emitted(MODEL, **FORMS[form])
    memory = X.copy()
    run_plain(source, memory, memory, k, n)
    assert same_bits(memory, WANTED)


@pytest.mark.parametrize("stream", [None, STREAM])
@pytest.mark.parametrize("shift", [1, 5, 22 * 4, -1])
def test_rows_that_the_output_overlaps_are_copied_first(machine, kernel, shift, stream) -> None:
    memory = on_fake_device(np.zeros(3 * X.size))
    x, out = (memory[at : at + X.size].reshape(X.shape) for at in (X.size, X.size + shift))
    x[...] = X
    kernel.predict(TorchTensor(x), TorchTensor(out), stream=stream)
    machine.finish()
    assert same_bits(out, WANTED)
    assert "copy" in [name for name, _ in machine.log]


def test_neighbours_in_memory_are_not_copied(machine, kernel) -> None:
    memory = on_fake_device(np.zeros(2 * X.size))
    kernel.predict(*(TorchTensor(half.reshape(X.shape)) for half in np.split(memory, 2)))
    assert "copy" not in [name for name, _ in machine.log]


def test_cuda_cores_view_of_dlpack_is_read(monkeypatch) -> None:
    pytest.importorskip("cuda.core.utils")
    with fake.installed(monkeypatch, MODEL):
        x = DlpackArray(on_fake_device(X))
        result = CudaKernel(MODEL).predict(x, stream=STREAM)
        assert x.streams == [STREAM]
        assert same_bits(result.copy_to_host(stream=fake.Stream(STREAM)), WANTED)
