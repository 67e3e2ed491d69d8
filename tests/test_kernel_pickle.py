"""A kernel travels as its model and options, and works on the other side."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import instjit


@pytest.fixture(scope="module")
def kernel() -> instjit.Kernel:
    rng = np.random.default_rng(3)
    model = instjit.Model(
        [5, 7, 3],
        [
            instjit.Dot(0, 1, weights=0, activation="TANH"),
            instjit.Dot(1, 2, weights=1, activation="SOFTMAX"),
        ],
        weights=[rng.normal(size=(7, 5)), rng.normal(size=(3, 7))],
        features=["a", "b", "rest[3]"],
    )
    return instjit.compile(model, threads=1, warm=["row"])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_unpickled_kernel_gives_the_same_bits(kernel: instjit.Kernel, protocol: int) -> None:
    rows = np.random.default_rng(4).normal(size=(40, 5)).astype(np.float32)
    other = pickle.loads(pickle.dumps(kernel, protocol))
    assert other.model == kernel.model
    assert other.source.digest == kernel.source.digest
    np.testing.assert_array_equal(other.predict(rows), kernel.predict(rows))
    np.testing.assert_array_equal(other.row(rows[3]), kernel.row(rows[3]))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_a_kernel_of_the_same_model(kernel: instjit.Kernel, copied) -> None:
    other = copied(kernel)
    assert other.model == kernel.model
    assert other.row([1, 2, 3, 4, 5]).tolist() == kernel.row([1, 2, 3, 4, 5]).tolist()


def test_a_pickle_holds_the_model_and_little_else(kernel: instjit.Kernel) -> None:
    assert len(pickle.dumps(kernel)) < len(pickle.dumps(kernel.model)) + 1500
