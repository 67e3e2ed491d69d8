"""Works of the embed case: cart-poles steered at every step, rows through models of their own.

``gpu.predict`` reads packed words, a model for all threads, for each block or for each thread;
``kernel.device_function`` has its constants in the code. Beside them Torch, batched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import gpu_embedded_torch as torch_ways
from bench.gpu_check import differing
from bench.gpu_simulation import Bound, Work
from bench.jobs import Float32
from examples.simulation.cartpole import LONGEST_EPISODE, START, physics

POLICY = Path(__file__).parents[1] / "examples" / "simulation" / "policy.json"
THREADS, MODELS = 128, 782  # of a block; blocks, each with a model of its own
TINY_THREADS, TINY_MODELS, TINY_STEPS = 2, 3, 4
WIDTHS, TINY_WIDTHS = (20, 64, 32, 1), (3, 5, 2)
SPREAD = 4 * START  # of starts: a good policy balances nearly all of them
SAMPLE = 1000  # episodes that NumPy runs in float64
SAME_SHARE = 0.97  # of them survive as many steps: sines and roundings differ
NEAR = 1e-5  # Torch's outputs and ours
LAYOUTS = {"one model": "one", "a model a block": "block", "a model a thread": "thread"}


def cart_poles(simulated: bool) -> Work:
    """Episodes of a cart-pole, all with the same policy, or copies of it at other addresses."""
    import instjit

    threads, models = _sizes(simulated)
    longest = TINY_STEPS if simulated else LONGEST_EPISODE
    shape = (threads * models, 4)
    starts = np.random.default_rng(1).uniform(-SPREAD, SPREAD, shape).astype(np.float32)
    policy = instjit.load(POLICY)
    wanted = survived(policy, starts[:SAMPLE], longest)

    def judge(steps: Any) -> str:
        share = float((steps[: len(wanted)] == wanted).mean())
        return "" if share >= SAME_SHARE else f"{share:.1%} of the episodes end when NumPy's do"

    given = policy, starts, longest, judge
    ways: dict[str, Callable[[], Bound]] = {"kernel.device_function": partial(_by_function, *given)}
    for layout, kind in LAYOUTS.items():
        ways[f"gpu.predict, {layout}"] = partial(_by_words, kind, (threads, models), *given)
    ways |= {name: partial(way, *given) for name, way in torch_ways.EPISODES.items()}
    name = f"cart-pole 4-8-1, {len(starts):,} episodes of {longest} steps"

    def reached(steps: Any) -> tuple[float, str]:
        return float(steps.sum()), f"{steps.mean():.1f} steps survived"

    return Work(name, "steps", ways, reached)


def packed_rows(simulated: bool) -> Work:
    """Rows through a net, each with a model that its layout gives it."""
    threads, count = _sizes(simulated)
    widths = TINY_WIDTHS if simulated else WIDTHS
    models = [_variant(widths, seed) for seed in range(count)]
    rows = np.random.default_rng(2).standard_normal((threads * count, widths[0]), np.float32)
    ways: dict[str, Callable[[], Bound]] = {}
    for layout, kind in LAYOUTS.items():
        chosen = _chosen(kind, threads, count)
        exact = partial(_unlike, models, chosen, rows, 0.0)
        near = partial(_unlike, models, chosen, rows, NEAR)
        ways[f"gpu.predict, {layout}"] = partial(_rows_by_words, models, chosen, rows, exact)
        if kind == "one":
            ways[f"device_function, {layout}"] = partial(_rows_by_function, models[0], rows, exact)
            for runtime, make in torch_ways.ONE_MODEL.items():
                way = partial(torch_ways.one_model, make, models[0], rows, near)
                ways[f"{runtime}, {layout}"] = way
            continue
        each = partial(torch_ways.models_each, models, kind, threads, rows, near)
        ways[f"PyTorch, {layout}"] = each
        ways[f"PyTorch graph, {layout}"] = partial(each, graph=True)
    name = f"{'-'.join(map(str, widths))}, {len(rows):,} rows, {count} models"
    return Work(name, "rows", ways, lambda out: (float(len(out)), ""))


def survived(policy: Any, starts: Float32, longest: int) -> Any:
    """Steps that episodes survive, in NumPy and float64."""
    from instjit import reference

    step, upright = physics(np.float64)
    state, steps = starts.T.astype(np.float64), np.zeros(len(starts), np.int64)
    alive = np.ones(len(starts), bool)
    for _ in range(longest):
        push = reference.run64(policy, state.T.astype(np.float32))[:, 0]
        state = np.stack(step(state[0], state[1], state[2], state[3], push))
        alive &= upright(state[0], state[2])
        steps += alive
        state *= alive  # a fallen cart is parked, so that its figures stay finite
    return steps


def _by_function(policy: Any, starts: Float32, longest: int, judge: Any) -> Bound:
    from numba import cuda

    from bench.gpu_kernels import episodes_of_function
    from instjit.gpu.kernel import CudaKernel

    launched = episodes_of_function(CudaKernel(policy).device_function)
    held, steps = cuda.to_device(starts), cuda.to_device(np.zeros(len(starts), np.int64))
    grid = _grid(len(starts))
    return Bound(lambda: launched[grid](held, steps, longest), steps.copy_to_host, judge)


def _by_words(
    kind: str, sizes: tuple[int, int], policy: Any, starts: Float32, longest: int, judge: Any
) -> Bound:
    from numba import cuda

    from bench.gpu_kernels import episodes_of_words
    from instjit import Population, gpu

    threads, count = sizes
    packed = gpu.pack(Population.of([policy] * count))  # a list would be packed once
    launched = episodes_of_words(packed.compute_buffer_size)
    words, held = cuda.to_device(packed.words), cuda.to_device(starts)
    offsets = cuda.to_device(np.array(packed.offsets)[_chosen(kind, threads, count)])
    steps = cuda.to_device(np.zeros(len(starts), np.int64))
    grid = _grid(len(starts))

    def run() -> None:
        launched[grid](words, offsets, held, steps, longest)

    return Bound(run, steps.copy_to_host, judge)


def _rows_by_words(models: list[Any], chosen: Any, rows: Float32, judge: Any) -> Bound:
    from numba import cuda

    from bench.gpu_kernels import kernel_of_offsets
    from instjit import gpu

    packed = gpu.pack(models)
    launched = kernel_of_offsets(packed.compute_buffer_size)
    words, x = cuda.to_device(packed.words), cuda.to_device(rows)
    offsets = cuda.to_device(np.array(packed.offsets)[chosen])
    y = cuda.to_device(np.full((len(rows), models[0].output_size), np.nan, np.float32))
    grid = _grid(len(rows))
    return Bound(lambda: launched[grid](words, offsets, x, y), y.copy_to_host, judge)


def _rows_by_function(model: Any, rows: Float32, judge: Any) -> Bound:
    from numba import cuda

    from bench.gpu_kernels import kernel_of_rows
    from instjit.gpu.kernel import CudaKernel

    kernel = CudaKernel(model)
    launched = kernel_of_rows(kernel.device_function_of_constants)
    x, constants = cuda.to_device(rows), kernel.device_constants()
    y = cuda.to_device(np.full((len(rows), model.output_size), np.nan, np.float32))
    grid = _grid(len(rows))
    return Bound(lambda: launched[grid](x, y, *constants), y.copy_to_host, judge)


def _unlike(models: list[Any], chosen: Any, rows: Float32, near: float, got: Any) -> str:
    """What differs from the reference in some rows, all bits being compared where near is 0."""
    from instjit import reference

    places = [*range(0, len(rows), max(1, len(rows) // 50)), len(rows) - 1]
    wanted = np.concatenate([reference.run(models[chosen[r]], rows[r : r + 1]) for r in places])
    if not near:
        return differing(got[places], wanted)
    worst = float(np.abs(got[places] - wanted).max())
    return "" if worst <= near else f"largest difference {worst:.3g}, allowed {near:g}"


def _variant(widths: tuple[int, ...], seed: int) -> Any:
    """A dense net with weights of its own."""
    import instjit
    from tests.nets import dense

    model = dense(*widths)
    random = np.random.default_rng(seed)
    weights = [random.normal(0, w.shape[1] ** -0.5, w.shape) for w in model.weights]
    return instjit.Model(
        model.buffers, model.instructions, weights, model.bias, feature_size=widths[0]
    )


def _chosen(kind: str, threads: int, models: int) -> Any:
    """The model of each thread."""
    number = np.arange(threads * models)
    return {"one": 0 * number, "block": number // threads, "thread": number % models}[kind]


def _sizes(simulated: bool) -> tuple[int, int]:
    return (TINY_THREADS, TINY_MODELS) if simulated else (THREADS, MODELS)


def _grid(threads: int) -> tuple[int, int]:
    from instjit.gpu import build

    each = TINY_THREADS if build.simulated() else THREADS
    return -(-threads // each), each
