"""Calls of the driver that Numba lacks, through the bindings of numba-cuda and of Numba itself."""

from __future__ import annotations

import fake_numba_cuda as fake
import numpy as np
import pytest
from nets import dense

import instjit as ij
from instjit.gpu import driver
from instjit.gpu.kernel import CudaKernel

MODEL = dense(4, 6, 3)
BYTES = 90_000
ATTRIBUTE = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
BINDINGS = {
    "NVIDIA": ("cuKernelSetAttribute", ATTRIBUTE, BYTES, 0xF0, 0),
    "Built-in": ("cuFuncSetAttribute", 0xF0, ATTRIBUTE, BYTES),
    "Built-in, NVIDIA's binding": ("cuFuncSetAttribute", 0xF0, ATTRIBUTE, BYTES),
}


@pytest.fixture(params=BINDINGS)
def machine(request, monkeypatch):
    with fake.installed(monkeypatch, MODEL, implementation=request.param) as machine:
        yield machine


def test_shared_memory_is_asked_for_through_every_binding(machine) -> None:
    driver.allow_shared(fake.Kernel(None).compiled, BYTES)
    assert machine.calls == [BINDINGS[machine.implementation]]


def test_a_device_with_less_shared_memory_is_an_error_of_compiling(machine) -> None:
    machine.refusal = 1
    with pytest.raises(ij.CompileError, match="takes 90000 bytes of shared memory") as raised:
        driver.allow_shared(fake.Kernel(None).compiled, BYTES)
    assert raised.value.kind == "Unsupported"


@pytest.mark.parametrize(
    ("widths", "options", "asked"),
    [
        ((4, 6, 3), {"form": "thread"}, 1),  # it holds few constants
        ((60, 80, 3), {"form": "thread"}, 0),  # more than it holds
        ((4, 6, 3), {"form": "block"}, 1),
        ((4, 6, 3), {"form": "block", "shared_bytes": 0}, 1),  # it holds weights
    ],
)
def test_a_kernel_with_dynamic_shared_memory_asks_for_it(machine, widths, options, asked) -> None:
    kernel = CudaKernel(dense(*widths), **options)
    kernel.warm()
    assert len(machine.calls) == asked == (kernel.source.shared_bytes > 0)
    if asked:
        assert kernel.source.shared_bytes in machine.calls[0]


def test_the_driver_knows_page_locked_memory_from_end_to_end(machine) -> None:
    pinned = machine.allocated(np.zeros(100, np.float32), fake.HOST)
    ends_outside = np.lib.stride_tricks.as_strided(pinned, (200,), (4,))
    machine.memory[-1] = (pinned.ctypes.data, pinned.ctypes.data + 200, fake.HOST, 0, False)
    fixed = pinned[:20].view()
    fixed.flags.writeable = False
    found = [
        driver.page_locked(array)
        for array in (pinned[:50], pinned[10:20], ends_outside, fixed, np.zeros(9), pinned[:0])
    ]
    assert found == [True, True, False, False, False, False]


def test_the_driver_knows_the_device_of_memory(machine) -> None:
    machine.device = 3
    own, everybodys = (
        machine.allocated(np.zeros(9), fake.DEVICE, managed) for managed in (False, True)
    )
    addresses = (own.ctypes.data, own.ctypes.data + 71, everybodys.ctypes.data, 16)
    assert [driver.device_of(address) for address in addresses] == [3, 3, None, None]
