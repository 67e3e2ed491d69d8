"""The generic functions bound to a meaning of the primitives: what ``instjit.gpu`` offers.

A binding copies the functions of ``interpreter`` over a namespace of its own, so the same code is a
device function, runs in the simulator, or is plain Python.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from functools import cache
from types import FunctionType
from typing import Any, TypeAlias

from instjit.gpu import interpreter, plain, sums
from instjit.gpu.opcodes import CODES, SOFTMAX
from instjit.gpu.text import called, function_text

Function: TypeAlias = Callable[..., Any]

BESIDES = ("softmax_exp", "max", "min")
"""Functions that instructions call besides the activations."""


@cache
def device_functions() -> Mapping[str, Any]:
    """The functions for kernels of ``numba.cuda``; in its simulator they are plain Python."""
    from numba import cuda
    from numba.core import config

    if config.ENABLE_CUDASIM:
        return plain_functions()
    from instjit.gpu import native

    return bound(native.namespace(), cuda.jit(device=True))


@cache
def plain_functions() -> Mapping[str, Any]:
    """The functions in plain Python, over NumPy arrays: slow, and the same bits."""
    return bound(plain.namespace(), lambda function: function)


def bound(primitives: Mapping[str, Any], decorate: Callable[[Function], Any]) -> dict[str, Any]:
    """All functions by name.

    Parameters
    ----------
    primitives
        The meaning of the primitives, as ``plain.namespace`` gives it.
    decorate
        What makes a function callable from the others: ``numba.cuda.jit(device=True)``, say.
    """
    names = {**vars(sums), **vars(interpreter), **primitives}
    text, filename = activations_text(), "<instjit activations>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    exec(compile(text, filename, "exec"), names)
    texts = (called(name) for name in (*_sequences(), *BESIDES))
    for name in (*texts, "activated"):
        names[name] = decorate(names[name])
    for part in interpreter.PARTS:
        code: Any = part
        names[part.__name__] = decorate(FunctionType(code.__code__, names, part.__name__))
    return names


@cache
def activations_text() -> str:
    """The text of every function that instructions call, and of ``activated(code, x)``."""
    lines = ["def activated(code, x):"]
    for name, code in _sequences().items():
        lines += [f"    if code == {code}:", f"        return {called(name)}(x)"]
    lines.append("    return x")
    functions = [function_text(name) for name in (*_sequences(), *BESIDES)]
    return "\n\n".join([*functions, "\n".join(lines) + "\n"])


def _sequences() -> dict[str, int]:
    """The activations that are functions of one number, with their codes."""
    return {name: code for name, code in CODES.items() if code not in (0, SOFTMAX)}
