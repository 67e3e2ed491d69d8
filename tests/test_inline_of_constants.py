"""``Kernel.inline_of_constants``: a model of the same structure at every call."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from nets import dense, rows_for
from plain_run import same_bits
from test_population import models

import instjit as ij

ROWS = 64
NET = dense(3, 7, 4)


@numba.njit(parallel=True)
def every(f, x, y, k, n):
    """Row i by model i, modulo how many there are."""
    for i in numba.prange(len(x)):
        f(x[i], y[i], k[i % len(k)], n)


@pytest.fixture(scope="module")
def kernel():
    return ij.compile(NET)


@pytest.mark.parametrize("name", ["chains", "tables", "gated"])
def test_each_row_has_the_bits_of_its_own_models_kernel(name) -> None:
    several = models(name)
    kernel = ij.compile(several[0])
    rows = rows_for(several[0], ROWS)
    wanted = np.empty((ROWS, kernel.output_size), np.float32)
    for number, model in enumerate(several):
        chosen = slice(number, None, len(several))
        wanted[chosen] = kernel.with_weights(model).predict(rows[chosen])
    out = np.full_like(wanted, np.nan)
    every(kernel.inline_of_constants, rows, out, *kernel.constants_of(several))
    assert same_bits(out, wanted)


def test_models_of_one_structure_share_the_function(kernel) -> None:
    other = ij.compile(dense(3, 7, 4)).with_weights(dense(3, 7, 4))
    assert other.inline_of_constants is kernel.inline_of_constants


def test_own_constants_are_the_model_itself_and_read_only(kernel) -> None:
    x, out = np.float32([0.5, -1, 2]), np.empty(4, np.float32)
    kernel.inline_of_constants(x, out, *kernel.constants)
    assert same_bits(out, kernel.row(x))
    assert not any(array.flags.writeable for array in kernel.constants)


WRONG = {
    "x": ((-1, 0, 0, 0), "x or out"),
    "out": ((0, 1, 0, 0), "x or out"),
    "short k": ((0, 0, -1, 0), "k or n"),
    "long k": ((0, 0, 1, 0), "k or n"),
    "short n": ((0, 0, 0, -1), "k or n"),
    "long n": ((0, 0, 0, 1), "k or n"),
}


@pytest.mark.parametrize(("changes", "what"), WRONG.values(), ids=WRONG)
def test_arrays_of_a_wrong_length_are_refused(changes, what, kernel) -> None:
    k, n = kernel.constants
    sizes = [size + change for size, change in zip((3, 4, k.size, n.size), changes, strict=True)]
    x, out, k, n = (np.zeros(size, np.float32) for size in sizes)
    out[:] = 7.5
    with pytest.raises(ValueError, match=f"{what} has another length"):
        kernel.inline_of_constants(x, out, k, n.astype(np.int32))
    assert (out == 7.5).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda k, n: (k.astype(np.float64), n), "k must be a C-contiguous float32"),
        (lambda k, n: (np.repeat(k, 2)[::2], n), "k must be a C-contiguous float32"),
        (lambda k, n: (k[None], n), "k must be a C-contiguous float32"),
        (lambda k, n: (k, n.astype(np.int64)), "n must be a C-contiguous int32"),
        (lambda k, n: (0, n), "k must be"),
    ],
    ids=["float64", "strides", "2-D", "int64", "address"],
)
def test_constants_of_another_type_are_refused_when_it_is_compiled(
    change, sentence, kernel
) -> None:
    x, out = np.zeros(3, np.float32), np.zeros(4, np.float32)
    with pytest.raises(numba.TypingError, match=sentence):
        kernel.inline_of_constants(x, out, *change(*kernel.constants))
