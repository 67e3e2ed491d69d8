"""A C program, compiled by the system's compiler, runs libraries: bits, guard pages, threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import libraries
import numpy as np
import pytest
from libraries import COMPILER, CPUS, MODELS, folder, kernel, library, model
from nets import rows_for
from plain_run import same_bits

from instjit.library.build import build

pytestmark = libraries.needs_compiler

PROGRAM = Path(__file__).parent / "c" / "run_library.c"
STRICT = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-D_GNU_SOURCE")


def compiled(
    path: Path, name: str, inputs: list[Path], *flags: str, source: Path = PROGRAM
) -> Path:
    """A program that includes the library's header."""
    header = inputs[0].parent / f"{name}.h"
    command = [*COMPILER, *STRICT, *flags, "-include", header, f"-DPREFIX={name}", source, *inputs]
    subprocess.run([*command, "-o", path, "-lm"], check=True)
    return path


def program(name: str) -> Path:
    """The program for a model's shared library, which it finds beside itself."""
    shared = library(name)
    path = shared.parent / "program"
    return path if path.exists() else compiled(path, name, [shared], "-Wl,-rpath,$ORIGIN")


def outputs(
    command: list[str | Path], width: int, cpu: str, rows: np.ndarray, *more: Path
) -> np.ndarray:
    """Results of the batch and of the rows, one after the other."""
    given, got = folder() / "in.bin", folder() / "out.bin"
    rows.tofile(given)
    got.unlink(missing_ok=True)
    words = [*command, cpu, str(len(rows)), given, got, *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.fromfile(got, np.float32).reshape(-1, width)


def agrees(command: list[str | Path], name: str, cpu: str, count: int) -> bool:
    rows = rows_for(model(name), count)
    wanted = kernel(name).predict(rows)
    found = outputs(command, wanted.shape[1], cpu, rows)
    return same_bits(found, np.concatenate([wanted, wanted]))


@pytest.mark.parametrize(
    "name", libraries.marked((name for name in MODELS if name != "rows"), ["narrow"])
)
def test_a_program_gets_the_kernels_bits_between_guard_pages_and_in_eight_threads(name) -> None:
    for cpu in CPUS:
        for count in (3, 45):
            assert agrees([program(name)], name, cpu, count), (cpu, count)


@pytest.mark.library
def test_rows_of_a_wide_model_run_between_guard_pages() -> None:
    assert agrees([program("rows")], "rows", CPUS[0], 2)


@pytest.mark.library
@pytest.mark.skipif(not shutil.which("valgrind"), reason="there is no valgrind")
@pytest.mark.skipif("x86-64-v3" not in CPUS, reason="this CPU has no AVX2")
@pytest.mark.parametrize("name", ["narrow", "tables", "chains", "random26"])
def test_valgrind_finds_nothing(name) -> None:
    command = [
        "valgrind",
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--max-stackframe=5000000",
    ]
    assert agrees([*command, program(name)], name, "x86-64-v3", 35)


@pytest.mark.library
@pytest.mark.parametrize("name", ["narrow", "tables", "random26"])
def test_sanitizers_find_nothing_in_the_functions_around_the_kernels(name) -> None:
    made = folder() / f"sanitized_{name}"
    made.mkdir()
    build(model(name), made / f"{name}.o", emit="object", cpu=CPUS)
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
    inputs = [made / f"{name}.o", made / f"{name}.c"]
    path = compiled(made / "program", name, inputs, *flags)
    for cpu in CPUS:
        assert agrees([path], name, cpu, 20), cpu


def test_two_objects_link_into_one_program() -> None:
    made = folder() / "two"
    made.mkdir()
    for name in ("one", "named"):
        build(model(name), made / f"{name}.o", emit="object", cpu=CPUS[-1])
    source = made / "both.c"
    source.write_text(
        '#include "one.h"\n#include "named.h"\n'
        "int main(void) {\n"
        "    instjit_model *a = NULL, *b = NULL;\n"
        "    if (one_create(NULL, 0, NULL, &a) || named_create(NULL, 0, NULL, &b)) return 1;\n"
        "    instjit_info info = {.size = sizeof info};\n"
        "    if (named_info(b, &info) || info.input_size != 6) return 2;\n"
        "    if (one_info(a, &info) || info.input_size != 1) return 3;\n"
        "    return one_destroy(a) + named_destroy(b);\n"
        "}\n",
        encoding="ascii",
    )
    inputs = [made / f"{name}.{kind}" for name in ("one", "named") for kind in "oc"]
    path = compiled(made / "both", "one", inputs, source=source)
    assert subprocess.run([path], check=False).returncode == 0
