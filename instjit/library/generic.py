"""A C library that loads dense chains when it runs: RMD1 bytes, the bits of the kernels."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from instjit.errors import CompileError, Problem
from instjit.kernels.c99_functions import functions_text
from instjit.kernels.machine_code import STEPS, Cpu, architecture, cpus_of, host_triple
from instjit.library import blueprint, compiling, texts
from instjit.library.files import beside, written
from instjit.library.texts import quoted, text
from instjit.replacing import check_target

ACTIVATIONS = ("relu", "sigmoid", "tanh")
FAST = ("-O3", "-fno-math-errno", "-fno-trapping-math")
"""Neither changes a result; without them loops with comparisons are not vectorised."""

BY_DEFAULT = ("x86-64-v4", "x86-64-v3", "x86-64-v2")
DEFAULT_NAME = "instjit_rmd1"


def build_generic(
    path: str | os.PathLike[str],
    *,
    cpu: str | Iterable[str] | None = None,
    name: str | None = None,
    force: bool = True,
) -> list[Path]:
    """Make a C library that runs the model of any RMD1 bytes.

    Its header has the functions of a model's library; the sums and functions have the bits of
    ``instjit.compile`` for the same file. It is for programs that get their models late; a model's
    own library is up to three and a half times as fast where nets are small, no faster where wide.

    Parameters
    ----------
    path, force
        As ``instjit.build``.
    cpu
        As ``instjit.build``; by default x86-64-v4, v3 and v2, on other platforms than x86-64 what
        the compiler makes code for when nothing is named.
    name
        Prefix of the functions; "instjit_rmd1" by default.

    Returns
    -------
    The files.

    Raises
    ------
    CompileError, InputError
        As ``instjit.build``.
    """
    prefix = texts.checked_name(DEFAULT_NAME if name is None else name)
    output = check_target(path, force)
    cpus = _cpus(cpu)
    header = texts.header(prefix, own_numbers=False).encode()
    with tempfile.TemporaryDirectory(prefix="instjit-") as made:
        library = _linked(prefix, header, cpus, output.name, Path(made))
    return written({output: library, **beside(output, prefix, header)}, force)


def _cpus(names: str | Iterable[str] | None) -> list[Cpu]:
    if names is None:
        names = BY_DEFAULT if architecture(host_triple()) == "x86_64" else ("",)
    asked = names.split(",") if isinstance(names, str) else list(names)
    cpus = cpus_of(asked)
    if asked != [""] and any(each.model not in STEPS and each.name != "native" for each in cpus):
        sentence = f"the generic library is for native or some of {', '.join(STEPS)}"
        raise CompileError(Problem("UnknownCpu", sentence, fields={"cpu": asked}))
    return cpus


def _linked(name: str, header: bytes, cpus: Sequence[Cpu], soname: str, folder: Path) -> bytes:
    (folder / f"{name}.h").write_bytes(header)
    for file, content in sources(name, cpus).items():
        (folder / file).write_text(content, encoding="ascii")
    inputs = [folder / "library.c"]
    for cpu in cpus:
        inputs.append(folder / f"{symbol(cpu)}.o")
        flags = [*compiling.FLAGS, *FAST, f"-DDENSE_CODE={symbol(cpu)}"]
        if cpu.step or cpu.name == "native":
            flags.append(f"-march={'native' if cpu.name == 'native' else cpu.model}")
        compiling.run([*flags, "-c", folder / "kernel.c", "-o", inputs[-1]], folder)
    result = folder / "result"
    compiling.shared_library(inputs, result, folder, soname)
    return result.read_bytes()


def sources(name: str, cpus: Sequence[Cpu]) -> dict[str, str]:
    """What is compiled, beside the header; kernel.c once for each CPU."""
    kernel = text("dense_kernel.c").replace("FUNCTIONS\n", functions_text(ACTIVATIONS))
    return {"dense.h": text("dense.h"), "kernel.c": kernel, "library.c": _library(name, cpus)}


def _library(name: str, cpus: Sequence[Cpu]) -> str:
    codes = [f"    {{{quoted(cpu.name)}, {cpu.step}, &{symbol(cpu)}}}," for cpu in cpus]
    table = [
        text("dense.h"),
        *(f"extern const dense_code {symbol(cpu)};" for cpu in cpus),
        "\ntypedef struct code {\n    const char *cpu;\n    int step;\n"
        "    const dense_code *dense;\n} code;\n",
        f"#define CPU_STEPS {max(cpu.step for cpu in cpus)}\n",
        "static const code codes[] = {",
        *codes,
        "};\n",
    ]
    parts = [text(part) for part in ("rmd1.c", "cpu.c", "generic.c", "api.c")]
    return "\n".join([blueprint.head(name), *table, *parts])


def symbol(cpu: Cpu) -> str:
    """Name of a CPU's code, ``DENSE_CODE`` of kernel.c."""
    return f"dense_{re.sub('[^a-z0-9]', '_', cpu.name)}"
