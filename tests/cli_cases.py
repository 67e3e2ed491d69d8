"""Small models and rows for the tests of the command line, and a way to call it as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import instjit

ROOT = Path(__file__).parent.parent

NET = instjit.Model(
    [3, 2],
    [instjit.Dot(0, 1, weights=0, activation="SIGMOID")],
    weights=[[[0.5, -1.0, 0.25], [-0.75, 2.0, 0.125]]],
    bias=[[0.1, -0.2]],
    features=["age", "pair[2]"],
    validation_data=([[0.0, 0.0, 0.0]], [[0.5249792, 0.450166]]),
)
"""age, pair[0], pair[1] -> two outputs."""

LINEAR = instjit.Model(
    [2, 1],
    [instjit.Dot(0, 1, weights=0)],
    weights=[[[1.0, 1.0]]],
    bias=[[0.0]],
    features=["a", "b"],
)
"""a, b -> a + b."""

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(37, 3)).astype(np.float32)
"""Rows for NET."""


def saved(folder: Path, model: instjit.Model = NET, name: str = "net.json") -> str:
    """The path of a model file."""
    path = folder / name
    instjit.save(model, path)
    return str(path)


def csv_file(folder: Path, text: str, name: str = "rows.csv") -> str:
    """The path of a text file, written with its line breaks as they are."""
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


def npy_file(folder: Path, rows: Any, name: str = "rows.npy") -> str:
    """The path of an npy file."""
    path = folder / name
    np.save(path, rows)
    return str(path)


def start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    """``python -m instjit`` as a process whose streams are pipes."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "instjit", *words]
    return subprocess.Popen(command, cwd=ROOT, **{**pipes, **options})


def call(*words: str, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m instjit`` to its end."""
    process = start(*words, stdin=subprocess.PIPE, **options)
    out, err = process.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, out, err)
