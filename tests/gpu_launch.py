"""A program for the CUDA simulator: packed models run in launches, a model per thread.

``NUMBA_ENABLE_CUDASIM=1 python gpu_launch.py COUNT`` runs that many random models and the golden
ones, and prints what disagrees with the reference as JSON.
"""

from __future__ import annotations

import json
import sys

from gpu_words import Named, golden_models, random_models
from plain_run import same_bits

from bench.gpu_bits import packed_together
from instjit import reference

ROWS = 3
"""Rows of each model that are run."""


def launched(models: list[Named]) -> list[str]:
    """Names of the models whose bits differ from the reference, all run in one launch."""
    outputs = packed_together([(model, rows) for _, model, rows in models], ROWS)
    return [
        name
        for (name, model, rows), got in zip(models, outputs, strict=True)
        if not same_bits(got, reference.run(model, rows[:ROWS]))
    ]


def main() -> None:
    """Check random models and the golden ones."""
    batches = {"random": random_models(0, int(sys.argv[1])), "golden": golden_models()}
    models = {name: len(batch) for name, batch in batches.items()}
    wrong = [name for batch in batches.values() for name in launched(batch)]
    print(json.dumps({"models": models, "wrong": wrong}))


if __name__ == "__main__":
    main()
