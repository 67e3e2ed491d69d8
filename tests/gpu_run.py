"""A model's CUDA text run without a GPU."""

from __future__ import annotations

import numpy as np
from gpu_emulate import run_plain

import instjit as ij
from instjit.gpu import layout
from instjit.gpu.emit import Form, GpuSource, emit
from instjit.gpu.tensor_form import Precision
from instjit.gpu.tile import SHARED_BYTES, Tile
from instjit.lower import lower
from instjit.passes import PASSES, Pass, apply

SMALL = Tile(lanes=4, groups=2, rows_each=2, outputs_each=3, depth=8)
"""A tile that every edge of a small model meets."""


def emitted(
    model: ij.Model,
    form: Form | None = None,
    tile: Tile | None = None,
    shared_bytes: int = SHARED_BYTES,
    passes: tuple[Pass, ...] = PASSES,
    precision: Precision = "float32",
) -> tuple[GpuSource, np.ndarray, np.ndarray]:
    """The text and the constants ``k`` and ``n``."""
    program = apply(lower(model), passes).laid_out()
    places = layout.layout(program, model)
    kinds = [instruction.kind for instruction in model.instructions]
    source = emit(program, places, kinds, form, tile, shared_bytes, precision)
    return (source, *layout.bind(program, model, places))


def run_form(model: ij.Model, rows: np.ndarray, *, blocks: int = 2, **options) -> np.ndarray:
    """Outputs of the model in one form, thread by thread; options as of ``emitted``."""
    source, k, n = emitted(model, **options)
    out = np.full((len(rows), model.output_size), np.nan, np.float32)
    run_plain(source, np.ascontiguousarray(rows, np.float32), out, k, n, blocks)
    return out


FORMS: dict[str, dict[str, object]] = {
    "thread": {"form": "thread"},
    "block": {"form": "block", "tile": SMALL},
    "block, global scratch": {"form": "block", "tile": SMALL, "shared_bytes": 0},
    "block, some global scratch": {"form": "block", "tile": SMALL, "shared_bytes": 4096},
}
"""Every form, with a tile small enough to be run thread by thread."""
