"""What the CUDA kernel makes of host rows: the same as the CPU's, errors included."""

from __future__ import annotations

from typing import Any

import fake_numba_cuda as fake
import numpy as np
import pytest
from foreign_arrays import TorchTensor, on_fake_device
from nets import dense, rows_for
from plain_run import same_bits

import instjit as ij
from instjit.gpu.kernel import CudaKernel

MODEL = dense(4, 6, 3)
X = rows_for(MODEL, 6).astype(np.float32)


class Frame:
    """As a data frame: neither array nor list, but it can be made into one."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asfortranarray(X.astype(np.float64))


GOOD = {
    "a list": X.tolist(),
    "float64": X.astype(np.float64),
    "integers": np.arange(24).reshape(6, 4),
    "transposed": np.asfortranarray(X),
    "every second": np.repeat(X, 2, axis=0)[::2],
    "backwards": X[::-1],
    "read-only": np.frombuffer(X.tobytes(), np.float32).reshape(6, 4),
    "other byte order": X.astype(">f4"),
    "a frame": Frame(),
    "an array for each buffer": [X],
    "no rows": X[:0],
    "an empty list": [],
}
BAD = {
    "one row": X[0],
    "three dimensions": X[None],
    "too wide": np.zeros((6, 5), np.float32),
    "no columns": np.zeros((6, 0), np.float32),
    "ragged": [[1.0], [1.0, 2.0]],
    "text": [["a"] * 4],
    "complex": X.astype(complex),
    "masked": np.ma.masked_array(X, X > 0),
    "None": None,
    "a number": 1.0,
    "two arrays": [X, X],
}
OUTPUTS = {
    "too few rows": np.zeros((5, 3), np.float32),
    "float64": np.zeros((6, 3)),
    "transposed": np.zeros((3, 6), np.float32).T,
    "read-only": np.broadcast_to(np.float32(0), (6, 3)),
    "a list": [[0.0] * 3] * 6,
}


@pytest.fixture
def kernels(monkeypatch):
    with fake.installed(monkeypatch, MODEL):
        yield ij.compile(MODEL), CudaKernel(MODEL)


@pytest.mark.parametrize("rows", GOOD)
def test_rows_are_taken_as_the_cpu_takes_them(kernels, rows) -> None:
    on_cpu, on_gpu = (kernel.predict(GOOD[rows]) for kernel in kernels)
    assert same_bits(on_gpu, on_cpu)


@pytest.mark.parametrize("rows", BAD)
def test_rows_are_refused_in_the_words_of_the_cpu(kernels, rows) -> None:
    said = []
    for kernel in kernels:
        with pytest.raises(ij.InputError) as raised:
            kernel.predict(BAD[rows])
        said.append((raised.value.kind, str(raised.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize("out", OUTPUTS)
def test_outputs_are_refused_for_the_reasons_of_the_cpu(kernels, out) -> None:
    said = []
    for kernel in kernels:
        with pytest.raises(ij.InputError) as raised:
            kernel.predict(X, OUTPUTS[out])
        said.append((raised.value.kind, str(raised.value).rpartition("got ")[2]))
    assert said[0] == said[1]
    assert said[0][0] == "OutputMismatch"


def test_an_output_on_the_device_is_refused_for_host_rows(kernels) -> None:
    out = TorchTensor(on_fake_device(np.zeros((6, 3))))
    with pytest.raises(ij.InputError, match="on the host, where X is, got TorchTensor") as raised:
        kernels[1].predict(X, out)
    assert raised.value.kind == "OutputMismatch"
