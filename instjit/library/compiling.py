"""The C compiler of this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from instjit.errors import CompileError, Problem

FLAGS = ("-std=c99", "-O2", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra")
NAMES = ("cc", "gcc", "clang")
SHOWN_LINES = 6


def compiler() -> list[str]:
    """The command: ``$CC``, or cc, gcc or clang.

    Raises
    ------
    CompileError
        NoCompiler.
    """
    if asked := shlex.split(os.environ.get("CC", "")):
        return asked
    for name in NAMES:
        if shutil.which(name):
            return [name]
    sentence = f"there is no C compiler: install one of {', '.join(NAMES)}, or set CC"
    raise CompileError(Problem("NoCompiler", sentence))


def run(arguments: Sequence[str | Path], folder: Path) -> None:
    """Run the compiler in a folder.

    Raises
    ------
    CompileError
        CompilationFailed, with the first lines of what it says.
    """
    command = [*compiler(), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        sentence = f"the C compiler {command[0]} does not start: {error.strerror}"
        raise CompileError(Problem("NoCompiler", sentence)) from None
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[:SHOWN_LINES])
        sentence = f"{command[0]} ends with {done.returncode}: {said}"
        raise CompileError(Problem("CompilationFailed", sentence))


def shared_library(inputs: Sequence[Path], output: Path, folder: Path, name: str) -> None:
    """Compile and link; what is left open must be in the C and the mathematics library."""
    flags = [*FLAGS, "-DINSTJIT_SHARED", "-shared", "-Wl,--no-undefined", "-Wl,-z,noexecstack"]
    if sys.platform == "darwin":
        flags = [*FLAGS, "-DINSTJIT_SHARED", "-dynamiclib"]
    else:
        flags += [f"-Wl,-soname,{name}"]
    run([*flags, "-I", folder, *inputs, "-o", output, "-lm"], folder)


def joined_object(inputs: Sequence[Path], output: Path, folder: Path) -> None:
    """One relocatable file of several."""
    run(["-r", "-nostdlib", *inputs, "-o", output], folder)
