"""Model -> C library: object code for one or more CPUs, the functions around it, what goes with it.

What a library holds once is its numbers, packed for its first CPU; a model made on another one gets
a copy with the panels of that.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from llvmlite import ir

from instjit.cost import cost
from instjit.errors import InputError, Problem
from instjit.formats.limits import DEFAULT, Limits
from instjit.kernels import machine_code
from instjit.kernels.machine_code import Cpu, cpus_of
from instjit.library import blueprint, compiling, symbols, texts
from instjit.library.blueprint import Code
from instjit.library.files import beside, written
from instjit.library.portable import c_files
from instjit.load import load
from instjit.model import Model
from instjit.passes import PASSES
from instjit.replacing import check_target
from instjit.validate import check
from instjit.variant import Compiled

FORMS = ("shared", "object", "header", "llvm", "asm", "c")


def build(
    model: Any,
    path: str | os.PathLike[str],
    *,
    emit: str = "shared",
    cpu: str | Iterable[str] = "native",
    target: str | None = None,
    name: str | None = None,
    force: bool = True,
    limits: Limits = DEFAULT,
) -> list[Path]:
    """Make a C library of a model.

    Parameters
    ----------
    model
        A model, or what ``instjit.load`` takes.
    path
        What to write. The header, and what CMake and pkg-config want to know, appear beside it.
    emit
        "shared": a library to load or link. "object": code to link into a program, and the C file
        to compile with it. "header": the header alone. "llvm", "asm": what the code is made of.
        "c": the kernel and the functions around it as C99, for any compiler and platform; tiles
        have 16 rows where ``target`` is x86-64, otherwise 8, ``cpu`` plays no part.
    cpu
        "native", "x86-64-v2", "x86-64-v3", "x86-64-v4", one that LLVM knows by another name, or
        several of the three (a comma between, or a list): the library then takes the best that it
        finds when a model is created.
    target
        Another platform, as LLVM writes it ("aarch64-linux-gnu"), for every form but "shared"; its
        plainest CPU unless ``cpu`` names one.
    name
        Prefix of the functions; by default from the name of the file.
    force
        Replace files.

    Returns
    -------
    The files.

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load`` and ``instjit.validate``.
    CompileError
        NoCompiler, CompilationFailed, UndefinedSymbols, UnknownTarget, UnknownCpu.
    InputError
        UnknownForm, OutputExists.
    """
    if emit not in FORMS:
        raise _unknown(f"emit takes {', '.join(FORMS)}, not {emit!r}")
    prefix = texts.checked_name(texts.name_of(os.fsdecode(path)) if name is None else name)
    if target is not None and emit == "shared":
        raise _unknown("a shared library for another platform takes its linker: emit an object")
    if isinstance(model, Model):
        check(model)
    else:
        model = load(model, limits=limits)
    output = check_target(path, force)
    if emit == "header":
        return written({output: texts.header(prefix).encode()}, force)
    if emit == "c":
        return written(c_files(model, prefix, output, target), force)
    cpus = cpus_of(cpu.split(",") if isinstance(cpu, str) else cpu, target)
    codes = [Code(each, _compiled(model, each)) for each in cpus]
    return written(_files(model, prefix, codes, emit, output), force)


def _files(
    model: Model, name: str, codes: Sequence[Code], emit: str, output: Path
) -> dict[Path, bytes]:
    """Contents of all files by their paths."""
    if emit in ("llvm", "asm"):
        return {output: "\n".join(_text(code, name, codes, emit) for code in codes).encode()}
    header = texts.header(name).encode()
    source = blueprint.write(model, name, codes).encode()
    objects = [_object(code, name, codes) for code in codes]
    folder = output.parent
    if emit == "object":
        content = objects[0] if len(objects) == 1 else _linked(name, header, source, objects, "")
        return {output: content, folder / f"{name}.h": header, folder / f"{name}.c": source}
    library = _linked(name, header, source, objects, output.name)
    return {output: library, **beside(output, name, header)}


def _linked(
    name: str, header: bytes, source: bytes, objects: Sequence[bytes], soname: str
) -> bytes:
    """A shared library, or one object of several where there is no name for one."""
    with tempfile.TemporaryDirectory(prefix="instjit-") as made:
        folder = Path(made)
        (folder / f"{name}.h").write_bytes(header)
        (folder / f"{name}.c").write_bytes(source)
        inputs = []
        for number, content in enumerate(objects):
            inputs.append(folder / f"kernel{number}.o")
            inputs[-1].write_bytes(content)
        result = folder / "result"
        if soname:
            compiling.shared_library([folder / f"{name}.c", *inputs], result, folder, soname)
        else:
            compiling.joined_object(inputs, result, folder)
        return result.read_bytes()


def _compiled(model: Model, cpu: Cpu) -> Compiled:
    return Compiled(model, cost(model), cpu.level, "output", PASSES)


def _module(code: Code, name: str, codes: Sequence[Code]) -> Any:
    """The optimised module of a CPU; the first one's holds the constants."""
    from instjit.kernels import range_functions

    module = ir.Module()
    functions = [code.function(kind, name) for kind in ("tiles", "row")]
    range_functions.write_functions(module, code.form.source, *functions)
    data = [f"{name}_k", f"{name}_n"] if code is codes[0] else []
    if data:
        order = machine_code.byte_order(code.cpu)
        range_functions.write_constants(module, code.form.k, code.form.n, name, order)
    return machine_code.optimised(str(module), code.cpu, frozenset((*functions, *data)))


def _object(code: Code, name: str, codes: Sequence[Code]) -> bytes:
    content = machine_code.object_code(_module(code, name, codes), code.cpu)
    symbols.check(content)
    return content


def _text(code: Code, name: str, codes: Sequence[Code], emit: str) -> str:
    module = _module(code, name, codes)
    return str(module) if emit == "llvm" else machine_code.assembly(module, code.cpu)


def _unknown(sentence: str) -> InputError:
    return InputError(Problem("UnknownForm", sentence))
