"""Source -> functions: the text in one of its two namespaces, with Numba or without; machine code.

Numba is loaded where something is compiled or is for the user's own Numba code.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, TypeVar

from instjit.errors import CompileError, Problem
from instjit.kernels import kept
from instjit.kernels.objects import Code, ObjectCode
from instjit.kernels.packing import Floats, Integers
from instjit.kernels.recent import Recent
from instjit.kernels.source import Source

Function: TypeAlias = Callable[..., Any]
T = TypeVar("T")

MOST = 64
"""Numba functions that stay when nobody has them: they and what is inlined in them hold 1 MB."""

_functions: Recent[Any] = Recent(MOST)


def plain_functions(source: Source, *, rows: bool) -> dict[str, Any]:
    """The text's functions without Numba: ``tiles``, or ``row`` for rows."""
    from instjit.kernels import plain

    return _run(source, plain.namespace(source.level, rows=rows))


def tiles(source: Source) -> Code:
    """Machine code of ``tiles`` with the one signature of ``calling.TILES``."""
    return _code(source, "tiles")


def row(source: Source) -> Code:
    """Machine code of ``row`` with the one signature of ``calling.ROW``."""
    return _code(source, "row")


def wide_row(source: Source) -> Code:
    """Machine code of ``wide_row`` with the one signature of ``calling.WIDE_ROW``."""
    return _code(source, "wide_row")


def phases(source: Source) -> Code:
    """Machine code of ``phases`` with the one signature of ``calling.PHASES``."""
    return _code(source, "phases")


def text(source: Source, form: str) -> str:
    """LLVM IR ("llvm") or assembly ("asm") of ``tiles``, compiled for it."""
    from instjit.kernels import compiling
    from instjit.kernels.calling import TILES

    return _explained(lambda: compiling.text(_numba_function(source, "tiles"), TILES, form), source)


@cache
def entry() -> Code:
    """Machine code of the calls from Python: ``entry`` and ``sharing``."""
    return kept.code("", "entry", _entry)


@cache
def workers() -> Code:
    """Machine code of the threads that share jobs: ``workers`` and ``batches``."""
    return kept.code("", "workers", _workers)


@cache
def phased() -> Code:
    """Machine code of batches that go through phases: ``batches.PHASED_WRITERS``."""
    return kept.code("", "phased", _phased)


def inline_function(source: Source, k: Floats, n: Integers) -> Any:
    """``f(x_row, out_row)`` to call in the user's own ``@njit`` code.

    The constants are frozen in: up to 10^6 bytes they become part of the machine code, above that
    Numba keeps a pointer and refuses to cache the caller. Raises ValueError for rows of a wrong
    size.
    """
    import numba

    row = _inlined_row(source)

    @numba.njit(error_model="numpy")
    def inline(x: Any, out: Any) -> None:
        if not row(x, out, k, n):
            raise ValueError("inline(x, out): x or out has another length than the model takes")

    return inline


def inline_function_of_constants(source: Source, floats: int, integers: int) -> Any:
    """``f(x_row, out_row, k, n)``: as ``inline_function``, for constants of those many entries.

    One function serves all models of one structure whose tables are as long.
    """

    def make() -> Any:
        from instjit.kernels.constants import with_constants

        return with_constants(_inlined_row(source), floats, integers)

    return _functions.get((source.digest, floats, integers), make)


def _inlined_row(source: Source) -> Function:
    def make() -> Function:
        import numba

        jitted: Function = numba.njit(error_model="numpy")(_numba_function(source, "row"))
        return jitted

    row: Function = _functions.get(source.digest, make)
    return row


def _code(source: Source, name: str) -> Code:
    return kept.code(source.digest, name, lambda: _explained(lambda: _object(source, name), source))


def _object(source: Source, name: str) -> ObjectCode:
    from instjit.kernels import calling, compiling

    signature = {
        "tiles": calling.TILES, "phases": calling.PHASES,
        "row": calling.ROW, "wide_row": calling.WIDE_ROW,
    }[name]  # fmt: skip
    return compiling.function(_numba_function(source, name), name, signature)


def _entry() -> ObjectCode:
    from instjit.kernels import compiling, entry, sharing

    return compiling.module("instjit_entry", {**entry.WRITERS, **sharing.WRITERS})


def _workers() -> ObjectCode:
    from instjit.kernels import batches, compiling, workers

    return compiling.module("instjit_workers", {**workers.WRITERS, **batches.WRITERS})


def _phased() -> ObjectCode:
    from instjit.kernels import batches, compiling

    return compiling.module("instjit_phased", batches.PHASED_WRITERS)


def _explained(make: Callable[[], T], source: Source) -> T:
    from numba.core.errors import NumbaError

    try:
        return make()
    except NumbaError as error:
        sentence = f"Numba cannot compile the kernel of structure {source.digest[:16]}: {error}"
        raise CompileError(Problem("CompilationFailed", sentence)) from error


def _run(source: Source, names: dict[str, Any]) -> dict[str, Any]:
    """Run the text; its lines show in tracebacks and in Numba's errors."""
    filename = f"<instjit {source.digest[:16]}>"
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(True), filename)
    names["__name__"] = f"instjit_{source.digest[:16]}"
    exec(compile(source.text, filename, "exec"), names)
    return names


def _numba_function(source: Source, name: str) -> Function:
    """A function of the text over Numba's intrinsics, not compiled yet."""
    from instjit.kernels import native

    names = _run(source, native.namespace(source.level, rows=name.endswith("row")))
    function: Function = names[name]
    return function
