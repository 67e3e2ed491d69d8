"""Tensor-core outputs against float64, within what their formats and depths allow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import numpy as np

from bench.gpu_bits import ROWS, WIDTHS
from bench.gpu_bounds import DOCUMENTED, relative, tolerance
from bench.gpu_check import Check, LeftOut, Options
from bench.jobs import Float32, Float64, Layer
from instjit.gpu.tensor_form import Precision

PRECISIONS: tuple[Precision, ...] = get_args(Precision)[1:]
LEAST_OUTPUTS, LEAST_INPUTS = 8, 16
"""Of a product that tensor cores take over, by ``instjit.compile``."""

MORE_WIDTHS: tuple[tuple[int, ...], ...] = ((16, 8), (17, 9), (47, 33, 2), (28, 130))
"""No multiples of the hardware's shapes."""


def tensor(options: Options) -> Iterator[Check | LeftOut]:
    """Dense nets at every precision."""
    if options.simulated:
        yield LeftOut("tensor cores", "not simulated")
        return
    for widths in (*WIDTHS, *MORE_WIDTHS)[options.share :: options.shares]:
        for precision in PRECISIONS:
            name = f"{'-'.join(map(str, widths))}, {precision}"
            if wide(widths):
                yield Check(name, partial(far_off, widths, precision))
            else:
                yield Check(f"{name}, refused", partial(taken, widths, precision))


def wide(widths: tuple[int, ...]) -> bool:
    """Whether a net has a product that tensor cores take over."""
    pairs = pairwise(widths)
    return any(inputs >= LEAST_INPUTS and outputs >= LEAST_OUTPUTS for inputs, outputs in pairs)


def far_off(widths: tuple[int, ...], precision: Precision) -> str:
    """Outputs, without a last activation, that are further from float64 than they may be."""
    from instjit.gpu.kernel import CudaKernel
    from tests.nets import dense

    model = dense(*widths, last=None)
    rows = np.random.default_rng(sum(widths)).standard_normal((ROWS, widths[0]), np.float32)
    return beyond(CudaKernel(model, precision=precision).predict(rows), model, rows, precision)


def beyond(got: Float32, model: Any, rows: Float32, precision: str) -> str:
    """What is beyond the bound of its element, or of all together; nothing where all is right."""
    from instjit import reference

    wanted: Float64 = reference.run64(model, rows)
    errors = np.abs(got - wanted)
    over = ~(errors <= tolerance(layers_of(model), rows, precision))  # NaN is over as well
    if over.any():
        place = tuple(int(i) for i in np.argwhere(over)[0])
        return f"{over.sum()} of {over.size} are off, at {place} {got[place]}, not {wanted[place]}"
    together = relative(got, wanted)
    if not 0 < together <= DOCUMENTED[precision]:
        return f"relative error {together:.2g}, documented {DOCUMENTED[precision]:g}, and not 0"
    return ""


def taken(widths: tuple[int, ...], precision: Precision) -> str:
    """That a net without a wide product was not refused."""
    from instjit.errors import CompileError
    from instjit.gpu.kernel import CudaKernel
    from tests.nets import dense

    try:
        CudaKernel(dense(*widths), precision=precision)
    except CompileError as error:
        return "" if error.kind == "Unsupported" else f"refused as {error.kind}: {error}"
    return "taken, though it has no product that tensor cores are for"


def layers_of(model: Any) -> list[Layer]:
    """The layers of a dense model."""
    return [
        Layer(np.asarray(weights), np.asarray(bias), step.activation and str(step.activation.name))
        for step, weights, bias in zip(model.instructions, model.weights, model.bias, strict=True)
    ]
