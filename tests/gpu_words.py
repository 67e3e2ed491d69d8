"""Models packed into words and run by the generic functions, in any of their meanings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from golden_cases import EXPORTED, RUNNABLE
from random_models import random_model

import instjit as ij

Named = tuple[str, ij.Model, np.ndarray]


def run_words(functions: Mapping[str, Any], words: np.ndarray, at: int, rows: Any) -> np.ndarray:
    """Outputs of rows; the compute buffer starts as NaN."""
    size = functions["get_output_size"](words, at)
    start = functions["get_output_start"](words, at)
    out = np.empty((len(rows), size), np.float32)
    for row, result in zip(np.asarray(rows, np.float32), out, strict=True):
        buffer = np.full(functions["get_compute_buffer_size"](words, at), np.nan, np.float32)
        buffer[: len(row)] = row
        functions["predict"](words, at, buffer)
        result[:] = buffer[start : start + size]
    return out


def golden_models() -> list[Named]:
    """Every golden model that runs, with its rows."""
    named = [(case.id, ij.load(case.text), case.inputs) for case in RUNNABLE]
    return named + [(each.name, ij.load(each.model), each.inputs) for each in EXPORTED]


def random_models(first: int, count: int) -> list[Named]:
    """Random models by their seeds."""
    return [(str(seed), *random_model(seed)) for seed in range(first, first + count)]
