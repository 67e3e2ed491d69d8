"""Models for C libraries, and libraries of them, each built once in a test process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Container, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import NETS, dense, softmax
from random_models import random_model

import instjit as ij
from instjit.errors import CompileError
from instjit.kernels.machine_code import STEPS, cpu_of, host_triple
from instjit.library.build import build
from instjit.library.compiling import compiler

X86 = host_triple().startswith("x86_64")


def _runs(name: str) -> bool:
    return X86 and STEPS[name] <= cpu_of("native").step


CPUS = tuple(name for name in ("x86-64-v4", "x86-64-v3", "x86-64-v2") if _runs(name)) or ("native",)
"""What libraries here hold code for: all that this machine runs."""

try:
    COMPILER = compiler()
except CompileError:
    COMPILER = []

NATIVE = ("native",)

needs_compiler = pytest.mark.skipif(not COMPILER, reason="there is no C compiler")


def many_steps() -> ij.Model:
    """More steps than one function of the text takes."""
    return dense(*[5] * 130, activation="TANH", last=None)


def row_by_row() -> ij.Model:
    """So wide that tiles are single rows."""
    return softmax(300_000)


def joined_activations() -> ij.Model:
    """A dense chain whose activations stand behind their DOTs."""
    base = dense(6, 9, 7, 4, activation="RELU", last=None)
    steps = [
        ij.Dot(0, 1, 0),
        ij.Activate(1, "SIGMOID"),
        ij.Dot(1, 2, 1, "RELU"),
        ij.Dot(2, 3, 2),
        ij.Activate(3, "TANH"),
    ]
    return ij.Model([6, 9, 7, 4], steps, base.weights, base.bias, feature_size=6)


def named() -> ij.Model:
    """Features whose names C must quote."""
    names = ['a "quote"', "back\\slash", "tri??/graph", "\N{SNOWMAN} é", "line\nend", "%s"]
    weights, bias = [np.arange(6.0)[None]], [[0.5]]
    return ij.Model([6, 1], [ij.Dot(0, 1, 0)], weights, bias, features=names)


MODELS: dict[str, Callable[[], ij.Model]] = {
    **{name: made for name, made in NETS.items() if name != "gated"},
    "one": lambda: dense(1, 1),
    "narrow": lambda: dense(20, 64, 32, 1, activation="TANH"),
    "chained": lambda: dense(70, 16, 4, 3, last="TANH"),
    "wide": lambda: dense(250, 300, 200, last=None),
    "activations": joined_activations,
    "many": many_steps,
    "rows": row_by_row,
    "named": named,
    "borrowing": lambda: softmax(64),
    "random8": lambda: random_model(8)[0],
    "random22": lambda: random_model(22)[0],
    "random26": lambda: random_model(26)[0],
    "random27": lambda: random_model(27)[0],
}
"""Every instruction, every activation, every form of a step."""


FEW = ("narrow", "tables", "many", "random22", "borrowing")
"""Tiles, maps, runs of many steps, a mixture, rows that stay where the caller has them."""


def marked(names: Iterable[str], few: Container[str] = FEW) -> list[Any]:
    """Parameters of a test: all but a few are for the suite of libraries."""
    return [pytest.param(name, marks=() if name in few else pytest.mark.library) for name in names]


@cache
def folder() -> Path:
    """Of all libraries of this process."""
    made = tempfile.mkdtemp(prefix="instjit-test-")
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(made, ignore_errors=True))
    return Path(made)


@cache
def model(name: str) -> ij.Model:
    return MODELS[name]()


def library(name: str, cpus: tuple[str, ...] = CPUS) -> Path:
    """The shared library of a model, beside its header."""
    path = folder() / "_".join((name, *cpus)).replace("-", "_") / f"lib{name}.so"
    if not path.exists():
        path.parent.mkdir()
        build(model(name), path, cpu=cpus)
    return path


@cache
def kernel(name: str) -> ij.Kernel:
    return ij.compile(model(name))
