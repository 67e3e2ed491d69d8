"""Compiled functions: the bits of NumPy's sequences; over all 2^32 arguments, the bounds."""

from __future__ import annotations

import math
from functools import cache

import numba
import numpy as np
import pytest
from plain_run import same_bits
from ulp_measure import (
    BOUNDS,
    GELU_BOUND,
    SOFTMAX_EXP_BOUNDS,
    everything,
    sample,
    softmax_exp_error,
    specials,
)

import instjit as ij
from instjit import launch
from instjit.arithmetic import NumpyArithmetic
from instjit.functions import FUNCTIONS
from instjit.kernels import build, driver, emit, layout
from instjit.kernels.direct import Direct, Reach, Shape
from instjit.kernels.target import LEVELS, detect
from instjit.program import Column, Map, Program, Read, View, call

LEVELS_HERE = [level for level in LEVELS.values() if level.width <= detect().width]
NAMES = {arity: [f.name for f in FUNCTIONS.values() if f.arity == arity] for arity in (1, 2)}


class Elementwise:
    """A compiled program that puts the functions of one arity side by side: (rows, functions)."""

    def __init__(self, names: list[str], level: str) -> None:
        arity = FUNCTIONS[names[0]].arity
        count = len(names)
        operands = tuple(Read(0, k) for k in range(arity))
        steps = tuple(
            Map(View(1, number, 1), call(name, *operands)) for number, name in enumerate(names)
        )
        program = Program(
            (arity, count),
            steps,
            (Column(0, View(0, 0, arity)),),
            (Column(0, View(1, 0, count)),),
            arity,
            count,
        ).laid_out()
        model = ij.Model([arity], [])
        places = layout.layout(program, model)
        self.source = emit.emit(program, places, LEVELS[level], "output", [])
        self.k, self.n = layout.bind(program, model, places, LEVELS[level].panel)
        self.tiles, row = build.tiles(self.source), build.row(self.source)
        self.lanes = LEVELS[level].lanes
        self.scratch = program.slots * self.lanes
        shape = Shape(arity, count, self.lanes, self.scratch)
        self.direct = Direct([self.tiles, row], self.k, self.n, shape, Reach())
        self.count = count

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        out = np.full((len(rows), self.count), np.nan, np.float32)
        places = (self.k.ctypes.data, self.n.ctypes.data)
        tiles = self.tiles.addresses["tiles"]
        batch = driver.Batch(tiles, rows, out, False, 0, self.count, *places, self.scratch)
        driver.run(batch, 0, -(-len(rows) // self.lanes), 2, 64)
        return out

    def row(self, x: np.ndarray) -> np.ndarray:
        out = np.full(self.count, np.nan, np.float32)
        assert self.direct.row(x, out) is out
        return out


@cache
def compiled(arity: int, level: str) -> Elementwise:
    return Elementwise(NAMES[arity], level)


def operands(arity: int) -> np.ndarray:
    if arity == 1:
        return sample(40_009)[:, None]
    some = np.concatenate([specials()[::7], sample(2**23 + 9)])
    return np.stack([np.repeat(some, len(some)), np.tile(some, len(some))], axis=1)[:100_000]


@cache
def wanted(arity: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.ascontiguousarray(operands(arity))
    columns = [FUNCTIONS[name].sequence(NumpyArithmetic(), *rows.T) for name in NAMES[arity]]
    return rows, np.stack(columns, axis=1)


@pytest.mark.parametrize("level", [level.name for level in LEVELS_HERE])
@pytest.mark.parametrize("arity", [1, 2])
def test_compiled_functions_give_the_bits_of_numpy(arity, level) -> None:
    rows, results = wanted(arity)
    got = compiled(arity, level)(rows)
    for number, name in enumerate(NAMES[arity]):
        assert same_bits(got[:, number], results[:, number]), name


@pytest.mark.parametrize("arity", [1, 2])
def test_single_rows_give_the_same_bits(arity) -> None:
    rows, results = wanted(arity)
    function = compiled(arity, detect().name)
    for number in range(0, len(rows), 997):
        assert same_bits(function.row(rows[number]), results[number])


@pytest.mark.parametrize("name", ["RELU", "TANH", "SIGMOID", "GELU", "LOG", "EXP", "SOFTPLUS"])
def test_a_kernel_of_one_activation_gives_the_bits_of_numpy(name, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    model = ij.Model([1], [ij.Activate(0, name)], feature_size=1)
    rows = np.ascontiguousarray(sample(40_009)[:, None])
    function = ij.Activation[name].function
    result = FUNCTIONS[function].sequence(NumpyArithmetic(), rows)
    assert same_bits(ij.compile(model).predict(rows), result)


# -- all 2^32 arguments ----------------------------------------------------------------------------


@numba.njit
def _exact(number: int, x: np.float32) -> float:
    """The float64 value of function ``number`` of ``MEASURED``."""
    v = np.float64(x)
    if number == 0:
        return math.exp(v)
    if number == 1:
        return math.log(v) if v > 0 else math.nan
    if number == 2:
        return math.tanh(v)
    if number == 3:
        return math.erf(v)
    if number == 4:
        return 1.0 / (1.0 + math.exp(-v)) if v >= -87.0 else math.nan
    if number == 5:
        if v > np.float32(13.942385):
            return v
        return math.exp(v) if v < -np.float32(13.942385) else math.log1p(math.exp(v))
    if number == 6:
        return math.exp(min(max(v, -88.0), 88.0))
    if v <= 0:
        return 0.0
    after = np.float64(np.float32(x + np.float32(1)))
    if number == 7:
        return math.log(after)
    if number == 8:
        return math.log10(after)
    return math.nan


MEASURED = ("exp", "ln", "tanh", "erf", "sigmoid", "softplus", "exp_activation", "log", "log10")


@numba.njit(parallel=True)
def _worst(number, x, result):
    """Largest error in ulps where the exact value is a normal float32 number, over 64 parts."""
    parts = np.zeros(64)
    size = len(x) // 64
    for part in numba.prange(64):
        worst = 0.0
        for i in range(part * size, (part + 1) * size):
            exact = _exact(number, x[i])
            if abs(exact) >= 2.0**-126 and abs(exact) <= 3.4028234663852886e38:
                _, exponent = math.frexp(exact)
                error = math.ldexp(abs(np.float64(result[i]) - exact), 24 - exponent)
                if not error <= worst:
                    worst = error
        parts[part] = worst
    return parts.max()


@numba.njit(parallel=True)
def _worst_gelu(x, result):
    """Largest error of GELU divided by max(1, |x|), over 64 parts."""
    parts = np.zeros(64)
    size = len(x) // 64
    for part in numba.prange(64):
        worst = 0.0
        for i in range(part * size, (part + 1) * size):
            v = np.float64(x[i])
            if abs(v) <= 3.4028234663852886e38:
                exact = 0.5 * v * math.erfc(-v * math.sqrt(0.5))
                error = abs(np.float64(result[i]) - exact) / max(1.0, abs(v))
                if not error <= worst:
                    worst = error
        parts[part] = worst
    return parts.max()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*MEASURED, "gelu"])
def test_all_arguments_are_within_the_bounds(name, record_property) -> None:
    function = Elementwise([name], detect().name)
    worst = 0.0
    for x in everything():
        result = function(x[:, None])[:, 0]
        if name == "gelu":
            worst = max(worst, _worst_gelu(x, result))
        else:
            worst = max(worst, _worst(MEASURED.index(name), x, result))
    record_property("worst", worst)
    print(f"{name}: {worst:.4g}")
    bound, contract = (GELU_BOUND, 1e-6) if name == "gelu" else BOUNDS[name]
    assert worst <= bound <= contract


@pytest.mark.exhaustive
def test_softmax_exp_is_within_its_bounds_for_all_arguments(record_property) -> None:
    function = Elementwise(["softmax_exp"], detect().name)
    worst = np.zeros(2)
    for x in everything():
        errors = softmax_exp_error(lambda x: function(x[:, None])[:, 0], x)
        worst = np.maximum(worst, errors)
    record_property("worst", worst.tolist())
    print(f"softmax_exp: {worst[0]:.4g} of the largest, {worst[1]:.4g} of itself")
    assert (worst <= SOFTMAX_EXP_BOUNDS).all()


@pytest.mark.exhaustive
@pytest.mark.parametrize("level", [level.name for level in LEVELS_HERE[1:]])
def test_all_arguments_give_the_same_bits_at_every_width(level) -> None:
    widest, other = compiled(1, LEVELS_HERE[0].name), compiled(1, level)
    for x in everything(2**20):
        assert same_bits(widest(x[:, None]), other(x[:, None])), f"from {x[0]!r}"
