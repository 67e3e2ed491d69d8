"""C99 texts through the system compiler: shared libraries for ctypes, and programs."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CC = shutil.which("cc")
X86 = platform.machine() in ("x86_64", "AMD64")

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")
FLAGS = {
    "O0": ("-O0",),
    "O2": ("-O2",),
    "O3-native": ("-O3", "-march=native"),
    "O2-no-fma": ("-O2", "-march=x86-64-v2") if X86 else ("-O2",),
}
"""Ways of compiling that must give the same bits; the last calls libm for every fma on x86."""

needs_compiler = pytest.mark.skipif(CC is None, reason="no C compiler")


def compiled(folder: Path, text: str, *flags: str, kind: str = "shared") -> Path:
    """Compile a text with the strict flags and some more; any warning is a failure.

    Parameters
    ----------
    kind
        "shared" or "program".
    """
    folder.mkdir(parents=True, exist_ok=True)
    source, made = folder / "text.c", folder / ("text.so" if kind == "shared" else "text")
    source.write_text(text)
    form = ("-shared", "-fPIC") if kind == "shared" else ()
    command = [str(CC), *STRICT, *flags, *form, "-o", str(made), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return made


def library(folder: Path, text: str, *flags: str) -> ctypes.CDLL:
    """The text's functions, to be called through ctypes."""
    return ctypes.CDLL(str(compiled(folder, text, *flags)))
