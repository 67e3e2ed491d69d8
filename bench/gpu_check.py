"""Bits of the GPU's outputs against those of the CPU's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bench.jobs import Float32

ROWS, TINY_ROWS = 1000, 5  # no multiple of any tile
PACKED_ROWS = 32  # rows of each model in the launch of all packed models
WIDTHS: tuple[tuple[int, ...], ...] = (
    (4, 16, 2), (8, 32, 4), (20, 64, 32, 1), (33, 65, 7), (40, 300, 32, 2), (250, 300, 200),
)  # fmt: skip
TINY_WIDTHS = ((3, 5, 2), (4, 6, 3))


@dataclass
class Found:
    """What was compared, and the calls whose bits differ or that failed."""

    models: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, call: Callable[[], Any], wanted: Float32) -> None:
        """Make a call; a failure counts as a wrong answer, and the next call is made."""
        self.calls += 1
        try:
            got = call()
        except Exception as error:
            self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            return
        if not same_bits(got, wanted):
            self.wrong.append(f"{name}: {differing(got, wanted)}")


@dataclass(frozen=True)
class Case:
    """A model, its rows, and what the CPU makes of them."""

    name: str
    model: Any
    rows: Float32
    wanted: Float32


def compared(count: int, simulated: bool) -> Found:
    """Compare nets, one for each kind of step, and ``count`` random models, in every form."""
    found, cases = Found(), []
    for case in _cases(count, simulated):
        cases.append(case)
        for form, options in _forms(simulated).items():
            found.add(f"{case.name}, predict, {form}", _predict(case, options), case.wanted)
        found.add(f"{case.name}, device arrays", partial(on_the_device, case), case.wanted)
        if not case.name.startswith("random"):
            found.add(f"{case.name}, device function", partial(in_a_kernel, case), case.wanted)
    found.models = len(cases)
    outputs = _attempt(lambda: packed_together(cases), len(cases))
    for number, case in enumerate(cases):
        wanted = case.wanted[:PACKED_ROWS]
        found.add(f"{case.name}, gpu.predict", partial(_raised, outputs[number]), wanted)
    return found


def same_bits(a: Any, b: Float32) -> bool:
    """Equal bit for bit, any NaN being equal to any NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool((_bits(a) == _bits(b)).all())


def differing(a: Any, b: Float32) -> str:
    """How many elements differ, and the first."""
    if a.shape != b.shape:
        return f"shape {a.shape}, not {b.shape}"
    places = np.argwhere(_bits(a) != _bits(b))
    first = tuple(int(i) for i in places[0])
    return f"{len(places)} of {b.size} differ, at {first} {a[first]!r} and not {b[first]!r}"


def on_the_device(case: Case) -> Float32:
    """Outputs of rows that are there already."""
    from numba import cuda

    from instjit.gpu.kernel import CudaKernel

    result: Float32 = (
        CudaKernel(case.model, form="thread").predict(cuda.to_device(case.rows)).copy_to_host()
    )
    return result


def in_a_kernel(case: Case) -> Float32:
    """Outputs by ``device_function_of_constants`` in a kernel as a caller would write it."""
    from numba import cuda

    from bench.gpu_kernels import kernel_of_rows
    from instjit.gpu.kernel import CudaKernel

    kernel = CudaKernel(case.model)
    launched = kernel_of_rows(kernel.device_function_of_constants)
    y = cuda.to_device(np.full(case.wanted.shape, np.nan, np.float32))
    blocks = -(-len(case.rows) // 32)
    launched[blocks, min(32, len(case.rows))](
        cuda.to_device(case.rows), y, *kernel.device_constants()
    )
    result: Float32 = y.copy_to_host()
    return result


def packed_together(cases: list[Case]) -> list[Float32]:
    """Outputs by ``gpu.predict``: all models in one launch, a block each."""
    from numba import cuda

    from bench.gpu_kernels import kernel_of_words
    from instjit import gpu

    packed = gpu.pack([case.model for case in cases])
    launched = kernel_of_words(packed.compute_buffer_size)
    rows = min(PACKED_ROWS, max(len(case.rows) for case in cases))
    x = np.zeros((len(cases), rows, max(case.rows.shape[1] for case in cases)), np.float32)
    y = np.full((len(cases), rows, max(case.wanted.shape[1] for case in cases)), np.nan, np.float32)
    for number, case in enumerate(cases):
        given = case.rows[:rows]
        x[number, : len(given), : given.shape[1]] = given
    there = cuda.to_device(y)
    offsets = cuda.to_device(np.array(packed.offsets))
    launched[len(cases), rows](cuda.to_device(packed.words), offsets, cuda.to_device(x), there)
    y = there.copy_to_host()
    return [
        np.ascontiguousarray(each[: len(case.wanted[:rows]), : case.wanted.shape[1]])
        for each, case in zip(y, cases, strict=True)
    ]


def _cases(count: int, simulated: bool) -> Iterator[Case]:
    import instjit
    from tests.nets import NETS, dense, rows_for
    from tests.random_models import random_model

    most = TINY_ROWS if simulated else ROWS
    nets = {"-".join(map(str, w)): dense(*w) for w in (TINY_WIDTHS if simulated else WIDTHS)}
    if not simulated:
        nets |= {name: make() for name, make in NETS.items()}
    given = [(name, model, rows_for(model, most)) for name, model in nets.items()]
    given += [(f"random {seed}", *random_model(seed)) for seed in range(count)]
    for name, model, rows in given:
        x = np.ascontiguousarray(rows[:most], np.float32)
        yield Case(name, model, x, instjit.compile(model).predict(x))


def _forms(simulated: bool) -> dict[str, dict[str, Any]]:
    from instjit.gpu.tile import Tile

    # the simulator runs a Python thread for each of the block's
    small = Tile(lanes=4, groups=2, rows_each=2, outputs_each=3, depth=8) if simulated else None
    return {
        "thread": {"form": "thread"},
        "block": {"form": "block", "tile": small},
        "block, global scratch": {"form": "block", "tile": small, "shared_bytes": 0},
    }


def _predict(case: Case, options: dict[str, Any]) -> Callable[[], Any]:
    from instjit.gpu.kernel import CudaKernel

    return lambda: CudaKernel(case.model, **options).predict(case.rows)


def _attempt(call: Callable[[], list[Any]], count: int) -> list[Any]:
    """The results, or for each of them the error."""
    try:
        return call()
    except Exception as error:
        return [error] * count


def _raised(result: Any) -> Any:
    if isinstance(result, Exception):
        raise result
    return result


def _bits(a: Any) -> Any:
    """As integers, every NaN the same one."""
    return np.where(np.isnan(a), np.uint32(0x7FC00000), np.ascontiguousarray(a).view(np.uint32))
