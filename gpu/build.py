"""GpuSource -> functions: the text run with the primitives of a GPU, or with plain ones.

Plain functions serve without a GPU: ``run_plain`` runs a launch thread by thread, and under Numba's
simulator (``NUMBA_ENABLE_CUDASIM=1``) the kernel itself is built of them.
"""

from __future__ import annotations

import ast
import linecache
import re
import threading
from typing import Any

from instjit.errors import CompileError, Problem
from instjit.gpu.emit import GpuSource
from instjit.gpu.tile import VECTOR
from instjit.kernels.packing import Floats, Integers

_built: dict[tuple[str, str], dict[str, Any]] = {}
LOCK = threading.RLock()

INSTALL = "install instjit[cuda], which brings numba-cuda and libnvvm"

DEFINITION = re.compile(r"^def (\w+)\(", re.MULTILINE)


def simulated() -> bool:
    """Whether ``numba.cuda`` is the simulator in this process."""
    from numba import config

    return bool(config.ENABLE_CUDASIM)


def device_functions(source: GpuSource) -> dict[str, Any]:
    """The text's functions as device functions of ``numba.cuda``; the entry is left as it is."""
    with LOCK:
        key = source.digest, "device"
        if key not in _built:
            _built[key] = _device_functions(source)
        return _built[key]


def row_function(source: GpuSource) -> Any:
    """``compute_row`` as a device function; its constants may lie anywhere."""
    with LOCK:
        key = source.digest, "row"
        if key not in _built:
            _built[key] = _device_functions(source, aligned=False)
            _built[key]["row"] = _checked(_built[key]["compute_row"])
        return _built[key]["row"]


def kernel_function(source: GpuSource) -> Any:
    """The entry as a CUDA kernel, compiled for the types of its first launch."""
    from numba import cuda

    with LOCK:
        names = device_functions(source)
        if "kernel" not in names:
            names["kernel"] = cuda.jit(**bounds(source))(names[source.entry])
        return names["kernel"]


def frozen_function(source: GpuSource, k: Floats, n: Integers) -> Any:
    """``f(x, out)`` of one row, a device function with the constants in its code."""
    row = row_function(source)

    def frozen(x: Any, out: Any) -> None:
        row(x, out, k, n)

    if simulated():
        return frozen
    from instjit.gpu import native

    return native.device(frozen)


def bounds(source: GpuSource) -> dict[str, Any]:
    """Threads of a block, for the register allocator, where numba-cuda can be told."""
    from numba import cuda

    if simulated() or source.tile is None or cuda.implementation != "NVIDIA":
        return {}
    return {"launch_bounds": (source.tile.threads, source.tile.blocks)}


def require_compiler() -> None:
    """Raise a CompileError (NoCuda) where libnvvm, which compiles to PTX, cannot be loaded."""
    if simulated():
        sentence = "Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM) compiles nothing"
        raise CompileError(Problem("NoCuda", sentence))
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # ImportError, NvvmSupportError, OSError: they say what is missing
        sentence = f"no CUDA compiler: {INSTALL} ({error})"
        raise CompileError(Problem("NoCuda", sentence)) from error


def _checked(compute_row: Any) -> Any:
    """``compute_row`` that refuses constants of another type, as which it would read others."""
    if simulated():
        return compute_row
    from instjit.gpu import native, vectors

    check = vectors.check_constants()

    def row(x: Any, out: Any, k: Any, n: Any) -> None:
        check(k, n)
        compute_row(x, out, k, n)

    return native.device(row)


class _Native(ast.NodeTransformer):
    """Says what the text leaves open and only a GPU needs to know.

    Every index is unsigned: Numba counts negative ones from the end, here there are none. Without
    this each load costs five more instructions. Shared memory starts at a multiple of the widest
    load, where the target can be told; others align it as a float, and it starts at 0 all the same.
    """

    def __init__(self, aligned_shared: bool) -> None:
        self.aligned_shared = aligned_shared

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if self.aligned_shared and ast.unparse(node.func) == "cuda.shared.array":
            node.args.append(ast.Constant(4 * VECTOR))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        self.generic_visit(node)
        node.slice = ast.Call(ast.Name("u64", ast.Load()), [node.slice], [])
        return node


def run_text(
    source: GpuSource,
    names: dict[str, Any],
    text: str | None = None,
    change: ast.NodeTransformer | None = None,
) -> dict[str, Any]:
    """Run the text, or a variant of it; its lines show in tracebacks and in Numba's errors."""
    text = source.text if text is None else text
    filename = f"<instjit cuda {source.digest[:16]}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    names["__name__"] = f"instjit_cuda_{source.digest[:16]}"
    tree = ast.parse(text, filename)
    if change is not None:
        tree = ast.fix_missing_locations(change.visit(tree))
    exec(compile(tree, filename, "exec"), names)
    return names


def defined(text: str) -> list[str]:
    """Names of the functions that a text defines, callees first."""
    return DEFINITION.findall(text)


def _device_functions(source: GpuSource, aligned: bool = True) -> dict[str, Any]:
    from numba import cuda

    if simulated():
        from instjit.gpu import plain

        if source.precision != "float32":
            sentence = f"Numba's CUDA simulator has no tensor cores for {source.precision}"
            raise CompileError(Problem("Unsupported", sentence))
        return run_text(source, {**plain.namespace(), "cuda": _SimulatedCuda()})
    from instjit.gpu import native, vectors

    names = {**native.namespace(), **({} if aligned else vectors.anywhere()), "cuda": cuda}
    run_text(source, names, change=_Native(cuda.implementation == "NVIDIA"))
    for name in defined(source.text):
        if name != source.entry:
            names[name] = native.device(names[name])
    return names


class _SimulatedCuda:
    """``numba.cuda`` as a thread of the simulator sees it.

    The simulator puts it in the place of the module for as long as a kernel or device function
    runs, which fails where several threads call functions of another module than the kernel's.
    """

    def __getattr__(self, name: str) -> Any:
        from numba.cuda.simulator import kernel

        return getattr(kernel._get_kernel_context(), name)
