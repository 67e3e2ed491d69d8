"""A program for the CUDA simulator: packed models run in launches, a model per thread.

``NUMBA_ENABLE_CUDASIM=1 python gpu_launch.py COUNT`` runs that many random models and the golden
ones, and prints what disagrees with the reference as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from gpu_words import Named, golden_models, random_models
from numba import cuda, float32
from plain_run import same_bits

from instjit import gpu, reference

ROWS = 3
"""Rows of each model that are run."""


def launched(models: list[Named]) -> list[str]:
    """Names of the models whose bits differ from the reference, all run in one launch."""
    packed = gpu.pack([model for _, model, _ in models])
    wanted = [reference.run(model, rows[:ROWS]) for _, model, rows in models]
    slots = packed.compute_buffer_size

    @cuda.jit
    def kernel(words: Any, offsets: Any, x: Any, y: Any) -> None:
        number, row = cuda.blockIdx.x, cuda.threadIdx.x
        at = offsets[number]
        buffer = cuda.local.array(slots, float32)
        for column in range(gpu.get_feature_size(words, at)):
            buffer[column] = x[number, row, column]
        gpu.predict(words, at, buffer)
        start = gpu.get_output_start(words, at)
        for column in range(gpu.get_output_size(words, at)):
            y[number, row, column] = buffer[start + column]

    width = max(rows.shape[1] for _, _, rows in models)
    x = np.zeros((len(models), ROWS, width), np.float32)
    y = np.full((len(models), ROWS, max(each.shape[1] for each in wanted)), np.nan, np.float32)
    for number, (_, _, rows) in enumerate(models):
        x[number, : len(rows[:ROWS]), : rows.shape[1]] = rows[:ROWS]
    kernel[len(models), ROWS](packed.words, np.array(packed.offsets), x, y)
    return [
        name
        for (name, _, _), got, want in zip(models, y, wanted, strict=True)
        if not same_bits(got[: len(want), : want.shape[1]], want)
    ]


def main() -> None:
    """Check random models and the golden ones."""
    batches = {"random": random_models(0, int(sys.argv[1])), "golden": golden_models()}
    models = {name: len(batch) for name, batch in batches.items()}
    wrong = [name for batch in batches.values() for name in launched(batch)]
    print(json.dumps({"models": models, "wrong": wrong}))


if __name__ == "__main__":
    main()
