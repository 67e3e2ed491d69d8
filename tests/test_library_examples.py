"""The examples in C and Rust build with the tools at hand and recognise the digits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import libraries
import pytest

pytestmark = [
    pytest.mark.library,
    libraries.needs_compiler,
    pytest.mark.skipif(not libraries.X86, reason="the examples name CPUs of x86-64"),
]

ROOT = Path(__file__).parents[1]
FILES = ("../digits/rows.csv", "../digits/labels.csv")
RIGHT = "348 of 360 digits are right"
RUSTC = shutil.which("rustc") or shutil.which("rustc", path=str(Path.home() / ".cargo" / "bin"))


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


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="there is no pkg-config")
def test_the_c_example_with_pkg_config(examples) -> None:
    folder = examples / "c"
    done(["make", "libdigits.so", f"INSTJIT={INSTJIT}"], folder)
    command = "cc main.c $(PKG_CONFIG_PATH=. pkg-config --cflags --libs digits) -o digits"
    done(["sh", "-c", command], folder)
    done(["sh", "-c", "LD_LIBRARY_PATH=. ./digits " + " ".join(FILES)], folder)
