"""Kernels sent to other processes in every way: ``python pickle_matrix.py`` prints a report.

A kernel arrives as an argument, so it has been unpickled before ``use`` looks around. JSON on
standard output: for each way what ``use`` saw, one entry for each call.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import pickle
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import instjit as ij

CALLS = 6
ROWS = np.random.default_rng(4).normal(size=(50, 5)).astype(np.float32)


def net(seed: int = 3) -> ij.Model:
    rng = np.random.default_rng(seed)
    return ij.Model(
        [5, 7, 3],
        [
            ij.Dot(0, 1, weights=0, activation="TANH"),
            ij.Dot(1, 2, weights=1, activation="SOFTMAX"),
        ],
        weights=[rng.normal(size=(7, 5)), rng.normal(size=(3, 7))],
        features=["a", "b", "rest[3]"],
    )


def use(kernel: ij.Kernel) -> dict[str, Any]:
    """Call a kernel in the process it came to; how often it was compiled there so far."""
    numba_before = "numba" in sys.modules
    first = compilations() if numba_before else None
    outputs = kernel.predict(ROWS)
    return {
        "pid": os.getpid(),
        "numba_before": numba_before,
        "compiled_again": first is not None and first > 0 and compilations() > first,
        "compilations": compilations(),
        "outputs": outputs.tobytes().hex(),
        "level": kernel.source.level.name,
    }


def compilations() -> int:
    """How many batch functions this process has made and still has."""
    from instjit.kernels import kept

    return sum(form == "tiles" for _, form in list(kept._codes._alive))


def pooled(method: str, kernel: ij.Kernel) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads
        with multiprocessing.get_context(method).Pool(1) as pool:
            return pool.map(use, [kernel] * CALLS, chunksize=1)


def futures(kernel: ij.Kernel) -> list[dict[str, Any]]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(use, [kernel] * CALLS))


def loky(kernel: ij.Kernel) -> list[dict[str, Any]]:
    from joblib import Parallel, delayed

    found: list[dict[str, Any]] = Parallel(n_jobs=2)(delayed(use)(kernel) for _ in range(CALLS))
    return found


def closure(kernel: ij.Kernel) -> list[dict[str, Any]]:
    """A lambda around the kernel, by cloudpickle: in a process where nothing was imported."""
    import subprocess

    import cloudpickle

    code = "import pickle, sys, json; print(json.dumps(pickle.load(sys.stdin.buffer)()))"
    saved = cloudpickle.dumps(lambda: use(kernel))
    done = subprocess.run(
        [sys.executable, "-c", code], input=saved, capture_output=True, check=True
    )
    return [json.loads(done.stdout)]


WAYS = {
    "spawn": lambda kernel: pooled("spawn", kernel),
    "forkserver": lambda kernel: pooled("forkserver", kernel),
    "fork": lambda kernel: pooled("fork", kernel),
    "fork before the first call": lambda _: pooled("fork", ij.Kernel(net(5))),
    "futures": futures,
    "joblib": loky,
    "cloudpickle": closure,
}
NEEDS = {"joblib": "joblib", "cloudpickle": "cloudpickle"}


def installed(way: str) -> bool:
    return way not in NEEDS or importlib.util.find_spec(NEEDS[way]) is not None


def main() -> None:
    kernel = ij.compile(net())
    kernel.predict(ROWS, threads=2)
    pickle.dumps(kernel)
    report = {way: run(kernel) for way, run in WAYS.items() if installed(way)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
