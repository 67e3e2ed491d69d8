"""What the device can do at most: multiply-adds, copies in its memory, copies from and to the host.

Measured by small kernels, each the best of a few runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from bench.gpu_part import DOING, Message
from bench.gpu_race import warm

MEASURED = "measured"
RUNS = 5
THREADS, BLOCKS_EACH = 256, 8  # as many threads as a multiprocessor holds
TURNS = 2000
FLOATS = 1 << 28  # 1 GiB, far more than any cache


@dataclass(frozen=True)
class Peaks:
    """Operations and bytes a second.

    Attributes
    ----------
    fma
        Multiplications and additions in float32.
    copy
        Bytes read and bytes written, added up.
    to_device, to_host
        Bytes between page-locked host memory and the device.
    """

    fma: float
    copy: float
    to_device: float
    to_host: float

    def __str__(self) -> str:
        return (
            f"measured: fma {self.fma / 1e12:.4g} TFLOP/s, copy {self.copy / 1e9:.4g} GB/s, "
            f"from the host {self.to_device / 1e9:.3g} GB/s, to it {self.to_host / 1e9:.3g} GB/s"
        )


def peaks(simulated: bool) -> Iterator[Message]:
    """The part: measure the current device."""
    yield DOING, {"name": "peaks"}
    warm(simulated)
    yield MEASURED, asdict(measured(simulated))


def measured(simulated: bool) -> Peaks:
    """Measure the current device."""
    from numba import cuda

    from bench.gpu_kernels import CHAINS, UNROLLED, chained, copied

    blocks, threads, turns, floats = 1, 2, 2, 64
    if not simulated:
        processors = int(cuda.get_current_device().MULTIPROCESSOR_COUNT)
        blocks, threads, turns, floats = BLOCKS_EACH * processors, THREADS, TURNS, FLOATS
    x, y = (cuda.device_array(floats, np.float32) for _ in range(2))
    held = cuda.pinned_array(floats, np.float32)
    held[:] = 1.0
    x.copy_to_device(held)
    factor, addend = np.float32(0.5), np.float32(1.0)
    work = 2 * blocks * threads * turns * UNROLLED * CHAINS
    moved = 4 * floats
    return Peaks(
        work / _best(lambda: chained[blocks, threads](y, turns, factor, addend)),
        2 * moved / _best(lambda: copied[blocks, threads](x, y)),
        moved / _best(lambda: x.copy_to_device(held)),
        moved / _best(lambda: x.copy_to_host(held)),
    )


def _best(run: Callable[[], object]) -> float:
    from numba import cuda

    run()  # compiles
    seconds = []
    for _ in range(RUNS):
        cuda.synchronize()
        began = time.perf_counter()
        run()
        cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
