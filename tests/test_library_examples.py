"""The examples in C and Rust build with the tools at hand and recognise the digits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import libraries
import numpy as np
import pytest
from libraries import CPUS
from nets import rows_for
from plain_run import same_bits

import instjit as ij

pytestmark = [
    pytest.mark.library,
    libraries.needs_compiler,
    pytest.mark.skipif(not libraries.X86, reason="the examples name CPUs of x86-64"),
]

ROOT = Path(__file__).parents[1]
FILES = ("../digits/rows.csv", "../digits/labels.csv")
RIGHT = "348 of 360 digits are right"
RUSTC, CARGO = (
    shutil.which(tool) or shutil.which(tool, path=str(Path.home() / ".cargo" / "bin"))
    for tool in ("rustc", "cargo")
)


@pytest.fixture
def examples(tmp_path) -> Path:
    for name in ("c", "rust", "digits"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / name)
    return tmp_path


def done(command: list[str], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    said = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


INSTJIT = f"{sys.executable} -m instjit"


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_the_c_example_with_make(examples) -> None:
    assert RIGHT in done(["make", "run", f"INSTJIT={INSTJIT}"], examples / "c")


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake")
def test_the_c_example_with_cmake(examples) -> None:
    folder = examples / "c"
    done(["cmake", "-B", "build", f"-DINSTJIT={INSTJIT}"], folder)
    done(["cmake", "--build", "build"], folder)
    assert RIGHT in done(["build/digits", *FILES], folder)


@pytest.mark.skipif(not RUSTC or not shutil.which("make"), reason="there is no rustc or no make")
def test_the_rust_example(examples) -> None:
    words = ["make", "run", f"INSTJIT={INSTJIT}", f"RUSTC={RUSTC}"]
    assert RIGHT in done(words, examples / "rust")


@pytest.mark.skipif(not CARGO or not shutil.which("make"), reason="there is no cargo or no make")
def test_the_rust_example_with_cargo(examples) -> None:
    folder = examples / "rust"
    done(["make", "libdigits.so", f"INSTJIT={INSTJIT}"], folder)
    assert RIGHT in done([str(CARGO), "run", "--offline", "--quiet", "--", *FILES], folder)


PROGRAM = """\
#include <stdio.h>
%(includes)s
int main(void) {
    float x[3 * 20], y[3];
    size_t rows = 3;
    if (fread(x, sizeof x, 1, stdin) != 1) return 1;
%(calls)s
    return fwrite(y, sizeof y, 1, stdout) != 1;
}
"""


def test_the_calls_in_the_readme_are_a_program(tmp_path) -> None:
    found = re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found
    includes, _, calls = found[1].partition("\n\n")
    source = PROGRAM % {"includes": includes, "calls": calls}
    (tmp_path / "main.c").write_text(source, encoding="utf-8")
    ij.save(libraries.model("narrow"), tmp_path / "net.json")
    done([*INSTJIT.split(), "build", "net.json", "-o", "libnet.so", "--cpu", CPUS[-1]], tmp_path)
    command = re.search(r"cc main.c .*ORIGIN'", includes)
    assert command
    done(["sh", "-c", f"{command[0]} -Wall -Wextra -Werror -o main"], tmp_path)
    rows = rows_for(libraries.model("narrow"), 3)
    said = subprocess.run(
        [tmp_path / "main"], input=rows.tobytes(), capture_output=True, check=True
    )
    wanted = libraries.kernel("narrow").predict(rows)
    assert same_bits(np.frombuffer(said.stdout, np.float32), wanted[:, 0])


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="there is no pkg-config")
def test_the_c_example_with_pkg_config(examples) -> None:
    folder = examples / "c"
    done(["make", "libdigits.so", f"INSTJIT={INSTJIT}"], folder)
    command = "cc main.c $(PKG_CONFIG_PATH=. pkg-config --cflags --libs digits) -o digits"
    done(["sh", "-c", command], folder)
    done(["sh", "-c", "LD_LIBRARY_PATH=. ./digits " + " ".join(FILES)], folder)
