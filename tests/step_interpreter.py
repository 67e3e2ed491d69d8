"""The steps of a Program in NumPy float32, meaning what ``instjit.program`` says."""

from __future__ import annotations

import numpy as np

from instjit.arithmetic import NumpyArithmetic
from instjit.functions import FUNCTIONS
from instjit.model import Model
from instjit.program import (
    Accumulator,
    Call,
    Constant,
    Expression,
    Gemm,
    Literal,
    Lookup,
    Map,
    Program,
    Read,
    Reduce,
    Step,
)
from instjit.summation import maximum_of, product, sum_of


def run_program(model: Model, program: Program, rows: np.ndarray) -> np.ndarray:
    """The program's output columns for (rows, width_in); slots that no step wrote are NaN."""
    regions = [np.full((len(rows), size), np.float32(np.nan)) for size in program.regions]
    for load in program.loads:
        view = load.view
        columns = rows[:, load.first : load.first + view.count]
        regions[view.region][:, view.start : view.stop] = columns
    with np.errstate(all="ignore"):
        for step in program.steps:
            _run(model, step, regions)
    result = np.full((len(rows), program.width_out), np.float32(np.nan))
    for store in program.stores:
        view = store.view
        result[:, store.first : store.first + view.count] = regions[view.region][
            :, view.start : view.stop
        ]
    return result


def _run(model: Model, step: Step, regions: list[np.ndarray]) -> None:
    target = step.target
    out = regions[target.region][:, target.start : target.stop]
    match step:
        case Gemm():
            view = step.source
            x = regions[view.region][:, view.start : view.stop]
            sums = product(model.weights[step.weights], model.bias[step.weights], x)
            out[:] = _value(model, step.epilogue, target.count, regions, sums)
        case Map():
            out[:] = _value(model, step.value, target.count, regions)
        case Reduce():
            values = _value(model, step.value, step.count, regions)
            values = np.broadcast_to(values, (len(out), step.count))
            out[:, 0] = (sum_of if step.kind == "sum" else maximum_of)(values)
        case Lookup():
            _look_up(model, step, regions, out)


def _look_up(model: Model, step: Lookup, regions: list[np.ndarray], out: np.ndarray) -> None:
    table = dict(zip(model.maps[step.table].keys, model.maps[step.table].values, strict=True))
    keys = regions[step.source.region][:, step.source.start].astype(np.float64)
    for row, key in enumerate(keys):
        rounded = 0.0 if np.isnan(key) else np.copysign(np.floor(abs(key) + 0.5), key)
        number = int(np.clip(rounded, -(2**31), 2**31 - 1))
        out[row] = table.get(number, step.default)


def _value(
    model: Model,
    value: Expression,
    count: int,
    regions: list[np.ndarray],
    sums: np.ndarray | None = None,
) -> np.ndarray:
    match value:
        case Read():
            slots = [value.start + value.index.at(i) for i in range(count)]
            return regions[value.region][:, slots]
        case Constant():
            slots = [value.start + value.index.at(i) for i in range(count)]
            return np.broadcast_to(model.parameters[value.vector][slots], (len(regions[0]), count))
        case Literal():
            return np.full((len(regions[0]), count), np.float32(value.value))
        case Accumulator():
            assert sums is not None
            return sums
        case Call():
            arguments = [_value(model, a, count, regions, sums) for a in value.arguments]
            return FUNCTIONS[value.function].sequence(NumpyArithmetic(), *arguments)
