"""A program for the CUDA simulator: ``CudaKernel`` on golden and random models, in every form.

``NUMBA_ENABLE_CUDASIM=1 python gpu_simulate.py COUNT`` runs that many random models and the golden
ones through ``predict`` and the device functions, makes the calls of ``CALLS``, and prints as JSON
what disagrees with the reference.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable

import numpy as np
from gpu_run import FORMS
from gpu_words import golden_models, random_models
from nets import dense, rows_for
from numba import cuda
from plain_run import same_bits

import instjit as ij
from instjit import reference
from instjit.gpu import staging
from instjit.gpu.kernel import CudaKernel

ROWS = 3


def disagreements(name: str, model: ij.Model, rows: np.ndarray) -> list[str]:
    """Calls whose bits are not the reference's."""
    rows = np.ascontiguousarray(rows[:ROWS], np.float32)
    wanted = reference.run(model, rows)
    kernels = {form: CudaKernel(model, **options) for form, options in FORMS.items()}
    found = {f"predict, {form}": kernel.predict(rows) for form, kernel in kernels.items()}
    found |= in_a_kernel(kernels["block"], rows, wanted.shape)
    return [f"{name}: {call}" for call, got in found.items() if not same_bits(got, wanted)]


def in_a_kernel(
    kernel: CudaKernel, rows: np.ndarray, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """What the device functions give in a kernel of the caller's."""
    frozen, general = kernel.device_function, kernel.device_function_of_constants

    @cuda.jit
    def launched(x, y, z, k, n):
        row = cuda.grid(1)
        if row < x.shape[0]:
            frozen(x[row], y[row])
            general(x[row], z[row], k, n)

    y, z = (cuda.to_device(np.full(shape, np.nan, np.float32)) for _ in range(2))
    launched[1, len(rows)](cuda.to_device(rows), y, z, *kernel.device_constants())
    return {"device_function": y.copy_to_host(), "of_constants": z.copy_to_host()}


MODEL = dense(4, 6, 3)
X = rows_for(MODEL, 23)
WANTED = reference.run(MODEL, X)
KERNEL = CudaKernel(MODEL)


def in_pieces() -> bool:
    """Rows from the host in five pieces, more in the second call than in the first."""
    staging.CHUNK_BYTES = 5 * 4 * 6
    kernel = CudaKernel(MODEL)
    return same_bits(kernel.predict(X[:2]), WANTED[:2]) and same_bits(kernel.predict(X), WANTED)


def into_out() -> bool:
    out = np.empty_like(WANTED)
    return KERNEL.predict(X, out) is out and same_bits(out, WANTED)


def on_the_device() -> bool:
    there, out = cuda.to_device(X), cuda.device_array(WANTED.shape, np.float32)
    free = KERNEL.predict(there, stream=cuda.stream())
    given = KERNEL.predict(there, out)
    return given is out and all(same_bits(y.copy_to_host(), WANTED) for y in (free, out))


def lists_and_float64() -> bool:
    wanted = reference.run(MODEL, X[:2])
    given = (X[:2].tolist(), X[:2].astype(np.float64), [X[:2]])
    return all(same_bits(KERNEL.predict(x), wanted) for x in given)


def no_rows() -> bool:
    nothing = KERNEL.predict(X[:0])
    there = KERNEL.predict(cuda.to_device(X[:0]))
    return nothing.shape == tuple(there.shape) == (0, 3)


def other_weights() -> bool:
    weights = [-matrix for matrix in MODEL.weights]
    other = ij.Model([4, 6, 3], MODEL.instructions, weights, MODEL.bias, feature_size=4)
    return same_bits(KERNEL.with_weights(other).predict(X), reference.run(other, X))


def from_compile() -> bool:
    return same_bits(ij.compile(MODEL, target="cuda").predict(X), WANTED)


def _refused(kind: str, *arguments: object) -> bool:
    try:
        KERNEL.predict(*arguments)
    except ij.InputError as error:
        return error.kind == kind
    return False


def wrong_arrays() -> bool:
    there = cuda.to_device(X)
    return all(
        (
            _refused("ValidationInputSizeMismatch", X[:, :3]),
            _refused("InputShape", cuda.to_device(X[:, :3].copy())),
            _refused("InputShape", cuda.to_device(X[0])),
            _refused("InputType", cuda.to_device(X.astype(np.float64))),
            _refused("OutputMismatch", X, np.empty((23, 4), np.float32)),
            _refused("OutputMismatch", X, np.empty((23, 3), np.float64)),
            _refused("OutputMismatch", there, np.empty((23, 3), np.float32)),
            _refused("OutputMismatch", there, cuda.device_array((22, 3), np.float32)),
        )
    )


def no_ptx() -> bool:
    try:
        KERNEL.dump("ptx")
    except ij.CompileError as error:
        return error.kind == "NoCuda"
    return False


CALLS: tuple[Callable[[], bool], ...] = (
    into_out, on_the_device, lists_and_float64, no_rows, other_weights, from_compile,
    wrong_arrays, no_ptx, in_pieces,
)  # fmt: skip


def main() -> None:
    """Check the models of the command line, the golden ones and the calls."""
    warnings.simplefilter("error")
    batches = {"random": random_models(0, int(sys.argv[1])), "golden": golden_models()}
    wrong = [line for batch in batches.values() for each in batch for line in disagreements(*each)]
    wrong += [call.__name__ for call in CALLS if not call()]
    print(json.dumps({"models": {k: len(v) for k, v in batches.items()}, "wrong": wrong}))


if __name__ == "__main__":
    main()
