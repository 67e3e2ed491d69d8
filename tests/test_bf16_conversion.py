"""The machine code that makes words of two bfloat16, from slots and from rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from tile_steps import run_here

from instjit.kernels import steps, units
from instjit.kernels.bf16 import PARTS, paired, split
from instjit.kernels.multiplier import Multiplier
from instjit.kernels.packing import aligned_floats
from instjit.kernels.specs import WordsSpec
from instjit.kernels.split import write_split
from instjit.kernels.target import LEVELS
from instjit.kernels.words import write_words

pytestmark = pytest.mark.skipif(
    units.matrix_unit() is None, reason="this CPU cannot convert to bfloat16"
)
LEVEL = LEVELS["avx512"]
FORMS = [("avx512_bf16", "bf16"), *(("amx", precision) for precision in PARTS)]
SPECIAL = np.array(
    [
        *(0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1.1754944e-38, 1.1754942e-38),
        *(3.39e38, 3.4028235e38, -3.4028235e38, 1.0, 1.00390625, 1.01171875, -1.00390625),
    ],
    np.float32,
)


def function(write: Callable[[Any, list[Any]], None]) -> str:
    """``run(s, x, n)`` with the code that ``write(builder, [s, x])`` emits."""
    module = ir.Module("words")
    pointers = [steps.FLOATS, steps.FLOATS, steps.INTEGERS]
    run = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers), "run")
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    write(builder, list(run.args[:2]))
    builder.ret_void()
    return str(module)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    found = aligned_floats(count)[:count].reshape(shape)
    found[...] = np.nan
    return found


def words_of(x: np.ndarray, multiplier: Multiplier) -> np.ndarray:
    """Of [slot][lane]: [part][pair][lane]."""
    pairs = multiplier.pairs(len(x))
    return np.stack([paired(part, pairs) for part in split(x, multiplier.parts)])


def check(found: np.ndarray, wanted: np.ndarray) -> None:
    assert (found.view(np.uint32).reshape(wanted.shape) == wanted).all()


def converted(x: np.ndarray, multiplier: Multiplier, vectors: int) -> np.ndarray:
    level = replace(LEVEL, vectors=vectors)
    source, target = aligned(x.shape), aligned((multiplier.slots(len(x)), level.lanes))
    source[...] = x
    text = function(lambda b, p: write_split(b, level, multiplier, len(x), [p[1], p[0]]))
    run_here(text, target, source, target)
    return target


def test_every_bfloat16_is_converted_to_itself() -> None:
    x = (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32).reshape(-1, 32)
    multiplier = Multiplier("bf16", "avx512_bf16")
    check(converted(x, multiplier, 2), words_of(x, multiplier))


@pytest.mark.parametrize(("unit", "precision"), FORMS)
@pytest.mark.parametrize(("count", "vectors"), [(17, 1), (31, 2), (64, 2)])
def test_slots_become_the_words_of_numpy(unit, precision, count, vectors) -> None:
    rng = np.random.default_rng(count)
    x = rng.integers(0, 2**32, (count, 16 * vectors), np.uint32).view(np.float32)
    x[:16, :1] = SPECIAL[:, None]
    multiplier = Multiplier(precision, unit)
    check(converted(x, multiplier, vectors), words_of(x, multiplier))


@pytest.mark.parametrize(("unit", "precision"), FORMS)
@pytest.mark.parametrize(
    ("width", "column", "count", "vectors"),
    [(16, 0, 16, 2), (40, 3, 33, 1), (90, 7, 77, 2)],
)
def test_rows_become_the_words_of_their_columns(
    unit, precision, width, column, count, vectors
) -> None:
    level = replace(LEVEL, vectors=vectors)
    rng = np.random.default_rng(width)
    x = rng.standard_normal((level.lanes, width)).astype(np.float32)
    x[3:9, column] = SPECIAL[:6]
    multiplier = Multiplier(precision, unit)
    target = aligned((multiplier.slots(count), level.lanes))
    spec = WordsSpec(width, column, count, 0, precision, unit)
    run_here(function(lambda b, p: write_words(b, level, spec, p[1], p[0])), target, x, target)
    check(target, words_of(x[:, column : column + count].T, multiplier))
