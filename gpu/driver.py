"""Calls of the CUDA driver for which Numba has none of its own, through each of its bindings."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from instjit.errors import CompileError, Problem
from instjit.gpu import build

MEMORY_TYPE, IS_MANAGED, DEVICE_ORDINAL = 2, 8, 9
"""Numbers of CUpointer_attribute."""

HOST_MEMORY = 1
"""CUmemorytype: page-locked memory of the host."""

MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
"""Number of CUfunction_attribute."""


def device_of(address: int) -> int | None:
    """Number of the device that memory belongs to; None if all have it, or nobody knows."""
    number = _of_pointer(address, DEVICE_ORDINAL)
    return None if number is None or _of_pointer(address, IS_MANAGED) else number


def page_locked(array: np.ndarray[Any, Any]) -> bool:
    """Whether copies to and from a host array, C-contiguous, need no page-locked one between."""
    if not array.nbytes or not array.flags.writeable:  # Numba may copy one that is not writeable
        return False
    first = int(array.ctypes.data)
    ends = (first, first + array.nbytes - 1)
    return all(_of_pointer(address, MEMORY_TYPE) == HOST_MEMORY for address in ends)


def allow_shared(compiled: Any, count: int) -> None:
    """Let a kernel have so many bytes of dynamic shared memory.

    Without it, dynamic and static shared memory are 48 KB at most.

    Raises
    ------
    CompileError
        Unsupported: the device gives a block less.
    """
    from numba import cuda
    from numba.cuda.cudadrv import driver

    function = compiled._codelibrary.get_cufunc()
    try:
        if cuda.implementation == "NVIDIA":
            attribute = driver.binding.CUfunction_attribute(MAX_DYNAMIC_SHARED_SIZE_BYTES)
            number = function.device.id
            driver.driver.cuKernelSetAttribute(attribute, count, function.handle, number)
        elif driver.USE_NV_BINDING:
            attribute = driver.binding.CUfunction_attribute(MAX_DYNAMIC_SHARED_SIZE_BYTES)
            driver.driver.cuFuncSetAttribute(function.handle, attribute, count)
        else:  # Numba's own binding leaves this function out
            call = driver.driver.lib.cuFuncSetAttribute
            code = call(function.handle, MAX_DYNAMIC_SHARED_SIZE_BYTES, count)
            if code:
                raise driver.CudaAPIError(code, "cuFuncSetAttribute")
    except driver.CudaAPIError as error:
        sentence = f"the kernel takes {count} bytes of shared memory, the device refuses: {error}"
        raise CompileError(
            Problem("Unsupported", sentence, fields={"shared_bytes": count})
        ) from error


def _of_pointer(address: int, attribute: int) -> int | None:
    """An attribute of an address; None where the driver knows nothing of it.

    Numba's own call raises and logs for an address that CUDA does not know, as most of the host's.
    """
    if build.simulated():
        return None
    from numba import cuda
    from numba.cuda.cudadrv import driver

    if cuda.implementation == "NVIDIA" or driver.USE_NV_BINDING:
        binding = driver.binding
        code, value = binding.cuPointerGetAttribute(binding.CUpointer_attribute(attribute), address)
        return None if int(code) else int(value)
    found = ctypes.c_int()
    call = driver.driver.lib.cuPointerGetAttribute
    code = call(ctypes.byref(found), attribute, ctypes.c_uint64(address))
    return None if code else found.value
