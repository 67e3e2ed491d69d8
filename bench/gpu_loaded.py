"""What a compiled kernel takes of a multiprocessor, as the driver tells."""

from __future__ import annotations

from typing import Any

from bench.gpu_part import described


def loaded(kernel: Any) -> dict[str, Any]:
    """Registers, memory and occupancy of a ``CudaKernel`` on the current device; why not, else."""
    from instjit.gpu import build

    source = kernel._here().source  # the text for this device
    tile = source.tile
    found: dict[str, Any] = {
        "form": source.form,
        "tile": f"{tile.rows} x {tile.threads}" if tile else "-",
        "dynamic_shared": source.shared_bytes,
        "scratch_bytes": 4 * source.scratch_floats,
    }
    if build.simulated():
        return found
    for part in (_compiled, _occupancy):
        try:
            found |= part(kernel)
        except Exception as error:
            found["unknown"] = described(error)
    return found


def _compiled(kernel: Any) -> dict[str, Any]:
    function = _function(kernel)
    return {
        "registers": int(function.regs_per_thread),
        "local_bytes": int(function.local_mem_per_thread),
        "static_shared": int(function.shared_mem_per_block),
    }


def _occupancy(kernel: Any) -> dict[str, Any]:
    from numba import cuda
    from numba.cuda.cudadrv import driver

    from instjit.gpu import device

    source = kernel._here().source
    tile = source.tile
    threads = tile.threads if tile else device.THREADS
    handle = int(_function(kernel)._codelibrary.get_cufunc().handle)
    blocks = driver.driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
        driver.binding.CUfunction(handle), threads, source.shared_bytes
    )
    most = int(cuda.get_current_device().MAX_THREADS_PER_MULTIPROCESSOR)
    return {
        "threads": threads,
        "blocks_each": int(blocks),
        "occupancy": int(blocks) * threads / most,
    }


def _function(kernel: Any) -> Any:
    """What Numba compiled at the kernel's first launch."""
    return next(iter(kernel._here().kernel.overloads.values()))
