"""--emit c: one C99 file gives the kernels' bits through the functions of a library."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import libraries
import pytest
from libraries import COMPILER, MODELS, folder, model
from test_library_c import PROGRAM, agrees, compiled

from instjit.library.build import build

pytestmark = libraries.needs_compiler

LEVEL = "avx2" if libraries.X86 else "generic"


@cache
def source(name: str) -> Path:
    made = folder() / f"portable_{name}"
    made.mkdir()
    files = build(model(name), made / f"{name}.c", emit="c")
    assert [path.name for path in files] == [f"{name}.c", f"{name}.h"]
    return files[0]


@pytest.mark.parametrize(
    "name", libraries.marked((name for name in MODELS if name != "rows"), ["narrow"])
)
def test_the_file_has_the_kernels_bits(name) -> None:
    flags = ["-ffp-contract=off", "-O2"]
    program = compiled(source(name).parent / "program", name, [source(name)], *flags)
    assert agrees([program], name, LEVEL, 21)


@pytest.mark.library
@pytest.mark.parametrize("name", ["narrow", "chains", "tables", "random26"])
def test_sanitizers_find_nothing(name) -> None:
    flags = ["-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = compiled(source(name).parent / "sanitized", name, [source(name)], *flags)
    assert agrees([program], name, LEVEL, 21)


@pytest.mark.parametrize("name", ["narrow", "tables", "random26"])
def test_a_plain_compiler_without_intrinsics_takes_it(name, tmp_path) -> None:
    if not shutil.which("tcc"):
        pytest.skip("there is no tcc")
    header = source(name).parent / f"{name}.h"
    command = ["tcc", "-include", header, f"-DPREFIX={name}", "-pthread", PROGRAM, source(name)]
    subprocess.run([*command, "-o", tmp_path / "program", "-lm"], check=True)
    assert agrees([tmp_path / "program"], name, LEVEL, 21)


def test_alone_there_are_two_functions_and_their_constants(tmp_path) -> None:
    path = tmp_path / "alone.o"
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    command = [*COMPILER, *flags, "-DINSTJIT_KERNEL_ALONE", "-c", source("narrow"), "-o", path]
    subprocess.run(command, check=True)
    told = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    symbols = {tuple(line.split()[-2:]) for line in told.splitlines()}
    assert {name for kind, name in symbols if kind in "TR"} == {
        f"narrow_tiles_{LEVEL}", f"narrow_row_{LEVEL}", "narrow_k", "narrow_n",
    }  # fmt: skip
    assert {name for kind, name in symbols if kind == "U"} <= {"fmaf", "memcpy", "memset"}


@pytest.mark.parametrize(
    ("target", "level", "rows"),
    [
        ("x86_64-linux-gnu", "avx2", 16),
        ("thumbv7em-none-eabihf", "generic", 8),
        ("z80", "generic", 8),
    ],
)
def test_tiles_are_as_tall_as_the_platform_likes(target, level, rows, tmp_path) -> None:
    build(model("narrow"), tmp_path / "net.c", emit="c", target=target)
    text = (tmp_path / "net.c").read_text(encoding="ascii")
    assert f"void net_tiles_{level}(" in text
    assert f"level {level}, {rows} rows a tile" in text
