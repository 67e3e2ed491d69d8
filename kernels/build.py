"""Source -> functions: runs the text in one of its two namespaces, with Numba or without."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from instjit.errors import CompileError, Problem
from instjit.kernels import plain
from instjit.kernels.forking import COMPILING
from instjit.kernels.packing import Floats, Integers
from instjit.kernels.source import Source

Function: TypeAlias = Callable[..., Any]
T = TypeVar("T")

_built: dict[tuple[str, str], Any] = {}


def plain_functions(source: Source, *, rows: bool) -> dict[str, Any]:
    """The text's functions without Numba: ``tiles``, or ``row`` for rows."""
    return _run(source, plain.namespace(source.level, rows=rows))


def tiles_function(source: Source) -> Function:
    """``tiles`` compiled for the one signature of ``calling.TILES``; made once for each digest."""
    return _once(source, "tiles", lambda: _compiled_tiles(source))


def row_function(source: Source) -> Function:
    """``row`` compiled for the one signature of ``calling.ROW``."""
    return _once(source, "row", lambda: _compiled_row(source))


def wide_row_function(source: Source) -> Function:
    """``wide_row`` compiled for the one signature of ``calling.WIDE_ROW``."""
    return _once(source, "wide_row", lambda: _compiled_row(source, "wide_row"))


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
    from instjit.kernels.constants import with_constants

    form = f"inline of {floats} and {integers}"
    return _once(source, form, lambda: with_constants(_inlined_row(source), floats, integers))


def _inlined_row(source: Source) -> Function:
    return _once(source, "inline", lambda: _jitted(source, "row", [], rows=True))


def _once(source: Source, form: str, make: Callable[[], T]) -> T:
    key = source.digest, form
    with COMPILING:
        if key not in _built:
            _built[key] = _explained(make, source)
        built: T = _built[key]
        return built


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


def _jitted(source: Source, function: str, signatures: Sequence[Any], *, rows: bool) -> Function:
    import numba

    from instjit.kernels import native

    names = _run(source, native.namespace(source.level, rows=rows))
    # what only machine code calls needs no way in from Python, a tenth of the time to compile
    only = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} if signatures else {}
    jitted: Function = numba.njit(list(signatures) or None, error_model="numpy", **only)(
        names[function]
    )
    return jitted


def _compiled_tiles(source: Source) -> Function:
    from instjit.kernels.calling import TILES

    return _jitted(source, "tiles", [TILES], rows=False)


def _compiled_row(source: Source, function: str = "row") -> Function:
    from instjit.kernels.calling import ROW, WIDE_ROW

    signature = ROW if function == "row" else WIDE_ROW
    return _jitted(source, function, [signature], rows=True)
