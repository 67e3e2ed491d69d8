"""Numba functions and LLVM modules -> object code.

Numba's own engine never gives machine code back, so nothing goes there: 1.6 MB a kernel.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias

from llvmlite import ir
from llvmlite.binding import ffi, get_process_triple
from numba.core import event
from numba.core.codegen import AOTCPUCodegen
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from instjit.kernels import cpu
from instjit.kernels.elf import undefined
from instjit.kernels.forking import COMPILING
from instjit.kernels.objects import ObjectCode

Writer: TypeAlias = Callable[[ir.Module, str], None]


def module(name: str, writers: Mapping[str, Writer]) -> ObjectCode:
    """Functions of one module, each written by ``writer(module, name)``."""
    with COMPILING, global_compiler_lock:
        library = _context().codegen().create_library(name)
        written = library.create_ir_module(name)
        symbols = {each: f"instjit_{each}" for each in writers}
        for each, write in writers.items():
            write(written, symbols[each])
        library.add_ir_module(written)
        return _object(library, symbols)


def function(python: Callable[..., Any], name: str, signature: Any) -> ObjectCode:
    """A Python function in Numba's subset, compiled for one signature."""
    with COMPILING, global_compiler_lock:
        library, symbol = _compiled(python, signature)
        return _object(library, {name: symbol})


def text(python: Callable[..., Any], signature: Any, form: str) -> str:
    """The same as LLVM IR ("llvm") or assembly ("asm")."""
    with COMPILING, global_compiler_lock:
        library, _ = _compiled(python, signature)
        return str(library.get_llvm_str() if form == "llvm" else library.get_asm_str())


def _compiled(python: Callable[..., Any], signature: Any) -> tuple[Any, str]:
    context, typing = _context(), cpu_target.typing_context
    flags = Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    library = context.codegen().create_library(python.__module__)
    dispatcher = SimpleNamespace(py_func=python)  # listeners read this of Numba's own
    told = {"dispatcher": dispatcher, "args": signature.args, "return_type": signature.return_type}
    with event.trigger_event("numba:compile", data=told):  # as Numba's own dispatchers do
        made = compile_extra(
            typing, context, python, signature.args, signature.return_type, flags, {}, library
        )
        library.finalize()
    return library, made.fndesc.llvm_func_name


def _object(library: Any, symbols: dict[str, str]) -> ObjectCode:
    content = bytes(library.emit_native_object())
    return ObjectCode(symbols, undefined(content), content)


def _context() -> Any:
    target = cpu_target.target_context
    target.refresh()
    cpu_target.typing_context.refresh()
    return target.subtarget(_internal_codegen=_Codegen(), aot_mode=True)


class _Codegen(AOTCPUCodegen):  # type: ignore[misc]
    """Code for this CPU, in no engine, that reaches its constants wherever they are loaded.

    In a large process LLVM may load the sections of an object more than 2 GB apart, where offsets
    of 32 bits would point elsewhere; hence the code model of Numba's own engine.
    """

    def __init__(self) -> None:
        name, self._features = cpu.name_and_features()
        super().__init__("instjit", cpu_name=name)

    def _customize_tm_options(self, options: dict[str, Any]) -> None:
        super()._customize_tm_options(options)
        options.update(codemodel="jitdefault", jit=True)
        if get_process_triple().startswith("x86"):
            options["reloc"] = "static"

    def _customize_tm_features(self) -> str:
        return self._features

    def _module_pass_manager(self, **options: Any) -> Any:
        passes, builder = super()._module_pass_manager(**options)
        return _given_back(passes, ffi.lib.LLVMPY_DisposeNewModulePassManger), builder

    def _function_pass_manager(self, **options: Any) -> Any:
        passes, builder = super()._function_pass_manager(**options)
        return _given_back(passes, ffi.lib.LLVMPY_DisposeNewFunctionPassManger), builder


def _given_back(passes: Any, dispose: Callable[[Any], None]) -> Any:
    """The pass manager, freed when nobody has it: llvmlite 0.50 never does, 1 MB a kernel.

    Its classes inherit ``_dispose`` first from ``ObjectRef``, where it does nothing.
    """
    if type(passes)._dispose is ffi.ObjectRef._dispose:
        weakref.finalize(passes, dispose, passes._ptr).atexit = False
    return passes
