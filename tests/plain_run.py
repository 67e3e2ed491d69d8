"""The generated text run as plain Python, and what flat buffers hold by the reference."""

from __future__ import annotations

import numpy as np

import instjit as ij
from instjit.kernels import build
from instjit.kernels.target import LEVELS
from instjit.lower import Variant
from instjit.ops.state import State
from instjit.passes import Pass
from instjit.variant import Compiled


def form_of(model: ij.Model, level: str, variant: Variant, passes: tuple[Pass, ...]) -> Compiled:
    """A variant of the model's kernel; nothing is compiled."""
    return Compiled(model, ij.cost(model), LEVELS[level], variant, passes)


def run_tiles(
    form: Compiled, rows: np.ndarray, start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Columns start .. stop of the variant's output for rows of its input, tile by tile."""
    stop = form.program.width_out if stop is None else stop
    out = np.full((len(rows), stop - start), np.nan, np.float32)
    names = build.plain_functions(form.source, rows=False)
    scratch = names["aligned"](np.full(form.scratch + 16, np.nan, np.float32))
    tiles = -(-len(rows) // form.lanes)
    names["tiles"](rows, out, 0, tiles, False, start, stop, form.k, form.n, scratch)
    return out


def run_in_place(form: Compiled, rows: np.ndarray) -> np.ndarray:
    """The rows after ``tiles`` has read them and written its output over them."""
    names = build.plain_functions(form.source, rows=False)
    scratch = names["aligned"](np.full(form.scratch + 16, np.nan, np.float32))
    tiles = -(-len(rows) // form.lanes)
    held = rows.copy()
    names["tiles"](held, held, 0, tiles, True, 0, held.shape[1], form.k, form.n, scratch)
    return held


def run_row(form: Compiled, x: np.ndarray) -> np.ndarray:
    """Output of one row."""
    out = np.full(form.program.width_out, np.nan, np.float32)
    row = build.plain_functions(form.source, rows=True)["row"]
    assert row(x, out, form.k, form.n)
    return out


def buffers_after(model: ij.Model, flat: np.ndarray) -> np.ndarray:
    """Flat buffers after the reference ran on all they held before."""
    state = State(model, np.split(flat, model.buffer_starts[1:], axis=1))
    with np.errstate(all="ignore"):
        for instruction in model.instructions:
            instruction.reference(state)
    return np.concatenate(state.buffers, axis=1)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, any NaN being equal to any NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    equal = (a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))
    return a.shape == b.shape and bool(equal.all())
