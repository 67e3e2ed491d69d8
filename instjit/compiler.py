"""Model -> Kernel."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import IO, Any, TypeAlias

from . import threads as thread_count
from .errors import CompileError, Problem
from .kernel import Kernel
from .kernels import target as targets
from .load import load
from .model import Model
from .passes import PASSES, Pass
from .validate import check

Modelish: TypeAlias = "Model | str | os.PathLike[str] | bytes | IO[bytes] | dict[str, Any]"

SAID_AFTER = 1.0
"""Seconds of compiling after which a terminal is told."""


def compile(
    model: Modelish,
    *,
    target: str = "cpu",
    precision: str = "float32",
    threads: int | None = None,
    level: str | None = None,
    warm: Iterable[str] = (),
    passes: tuple[Pass, ...] = PASSES,
) -> Kernel:
    """Compile a model to a kernel.

    Parameters
    ----------
    model
        A model, or what ``instjit.load`` takes.
    target
        "cpu".
    precision
        "float32": the numerics contract, the same bits on every machine.
    threads
        Threads of a ``predict`` that names none; all that the process may use by default.
    level
        Blocking: "avx512", "avx2", "neon" or "generic"; what the CPU has by default.
    warm
        Forms to compile now instead of on first use: "row", "slots", "buffer".
    passes
        Program passes to run, in order; results have the same bits with any choice.

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load`` and ``instjit.validate``.
    CompileError
        Another target, precision or level than this machine offers.
    """
    _only("target", target, "cpu")
    _only("precision", precision, "float32")
    thread_count.checked(threads)
    if isinstance(model, Model):
        check(model)
    else:
        model = load(model)
    kernel = Kernel(model, targets.choose(level), threads, passes)
    _timed(lambda: kernel.warm(warm))
    return kernel


def _only(name: str, got: str, known: str) -> None:
    if got != known:
        sentence = f'{name} {got!r} is not offered, only "{known}"'
        raise CompileError(Problem("Unsupported", sentence, fields={name: got}))


def _timed(work: Callable[[], None]) -> None:
    start = time.perf_counter()
    work()
    elapsed = time.perf_counter() - start
    if elapsed > SAID_AFTER and sys.stderr.isatty():
        print(f"instjit: compiled in {elapsed:.1f} s", file=sys.stderr)
