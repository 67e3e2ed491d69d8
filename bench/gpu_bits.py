"""Bits of the GPU's outputs against those of the reference, which the CPU's kernels have too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import islice
from typing import Any

import numpy as np

from bench.gpu_check import Check, Options, differing
from bench.gpu_part import described
from bench.jobs import Float32

ROWS, TINY_ROWS = 1000, 5  # no multiple of any tile
PACKED_ROWS = 32  # rows of each model in the launch of all packed models
WIDTHS: tuple[tuple[int, ...], ...] = (
    (4, 16, 2), (8, 32, 4), (20, 64, 32, 1), (33, 65, 7), (40, 300, 32, 2), (250, 300, 200),
    (100, 16, 3),
)  # fmt: skip
TINY_WIDTHS = ((3, 5, 2), (4, 6, 3))


@dataclass(frozen=True)
class Case:
    """A model and its rows; ``wanted`` is worked out when it is first asked for."""

    name: str
    model: Any
    rows: Float32

    @cached_property
    def wanted(self) -> Float32:
        """The reference's outputs."""
        from instjit import reference

        return np.ascontiguousarray(reference.run(self.model, self.rows), np.float32)

    def same(self, call: Callable[[], Any]) -> Callable[[], str]:
        """A check's call: what differs in the result of another."""
        return lambda: differing(call(), self.wanted)


def nets(options: Options) -> Iterator[Check]:
    """Dense nets and one net for each kind of step, in every form and in a caller's kernel."""
    for case in islice(_nets(options), options.share, None, options.shares):
        for form, chosen in forms(options.simulated).items():
            yield Check(f"{case.name}, predict, {form}", case.same(_predict(case, chosen)))
            yield Check(f"{case.name}, device arrays, {form}", case.same(_there(case, chosen)))
        yield Check(f"{case.name}, device function", case.same(partial(in_a_kernel, case)))


def random(options: Options) -> Iterator[Check]:
    """Random models in every form."""
    for case in _random(options):
        for form, chosen in forms(options.simulated).items():
            yield Check(f"{case.name}, predict, {form}", case.same(_predict(case, chosen)))


def packed(options: Options) -> Iterator[Check]:
    """All models in one launch of ``gpu.predict``, a model in a block."""
    cases = [*_nets(options), *_random(options)]
    launch = cache(lambda: attempted(cases))
    for number, case in enumerate(cases):

        def call(number: int = number, case: Case = case) -> str:
            outputs = launch()
            if isinstance(outputs, str):
                return outputs
            return differing(outputs[number], case.wanted[:PACKED_ROWS])

        yield Check(f"{case.name}, gpu.predict", call)


def attempted(cases: Sequence[Case]) -> list[Float32] | str:
    """The outputs of all, or why the launch failed: the answer to every one of them."""
    try:
        return packed_together([(case.model, case.rows) for case in cases])
    except Exception as error:
        return described(error)


def forms(simulated: bool) -> dict[str, dict[str, Any]]:
    """Options of ``CudaKernel`` by the name of the form."""
    from instjit.gpu.tile import Tile

    # the simulator runs a Python thread for each of the block's
    small = Tile(lanes=4, groups=2, rows_each=2, outputs_each=3, depth=8) if simulated else None
    return {
        "thread": {"form": "thread"},
        "block": {"form": "block", "tile": small},
        "block, global scratch": {"form": "block", "tile": small, "shared_bytes": 0},
    }


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


def packed_together(models: Sequence[tuple[Any, Any]], most: int = PACKED_ROWS) -> list[Float32]:
    """Outputs of models and their first rows by ``gpu.predict``, in one launch, a block each."""
    from numba import cuda

    from bench.gpu_kernels import kernel_of_words
    from instjit import gpu

    held = gpu.pack([model for model, _ in models])
    launched = kernel_of_words(held.compute_buffer_size)
    rows = min(most, max(len(given) for _, given in models))
    x = np.zeros((len(models), rows, max(given.shape[1] for _, given in models)), np.float32)
    widest = max(model.output_size for model, _ in models)
    there = cuda.to_device(np.full((len(models), rows, widest), np.nan, np.float32))
    for number, (_, given) in enumerate(models):
        x[number, : len(given[:rows]), : given.shape[1]] = given[:rows]
    offsets = cuda.to_device(np.array(held.offsets))
    launched[len(models), rows](cuda.to_device(held.words), offsets, cuda.to_device(x), there)
    return [
        np.ascontiguousarray(each[: len(given[:rows]), : model.output_size])
        for each, (model, given) in zip(there.copy_to_host(), models, strict=True)
    ]


def _nets(options: Options) -> Iterator[Case]:
    from tests.nets import NETS, dense, rows_for

    most = TINY_ROWS if options.simulated else ROWS
    widths = TINY_WIDTHS if options.simulated else WIDTHS
    made = {"-".join(map(str, w)): dense(*w) for w in widths}
    if not options.simulated:
        made |= {name: make() for name, make in NETS.items()}
    for name, model in made.items():
        yield Case(name, model, rows_for(model, most))


def _random(options: Options) -> Iterator[Case]:
    from tests.random_models import random_model

    for seed in range(options.share, options.models, options.shares):
        model, rows = random_model(seed)
        rows = rows[: TINY_ROWS if options.simulated else ROWS]
        yield Case(f"random {seed}", model, np.ascontiguousarray(rows, np.float32))


def _predict(case: Case, options: dict[str, Any]) -> Callable[[], Any]:
    from instjit.gpu.kernel import CudaKernel

    return lambda: CudaKernel(case.model, **options).predict(case.rows)


def _there(case: Case, options: dict[str, Any]) -> Callable[[], Any]:
    """Rows that are on the device already."""
    from numba import cuda

    from instjit.gpu.kernel import CudaKernel

    def call() -> Any:
        return CudaKernel(case.model, **options).predict(cuda.to_device(case.rows)).copy_to_host()

    return call
