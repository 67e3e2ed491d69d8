"""C programs that time one thing: a library that instjit made, or ONNX Runtime's C interface."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np

from bench.jobs import Float32

HERE = Path(__file__).parent
STARTS = 21
HOWS = ("run", "binding")


def compiled(source: str, path: Path, *words: str | Path) -> Path:
    """One of the C files beside this one as a program."""
    from instjit.library.compiling import compiler

    command = [*compiler(), "-O2", "-std=gnu11", "-I", HERE, *words[:-1], HERE / source, words[-1]]
    command += ["-o", path, "-lm", "-ldl"]
    subprocess.run([str(word) for word in command], check=True)
    return path


@dataclass(frozen=True)
class Rows:
    """Rows in a file, and where results go."""

    folder: Path
    count: int

    @classmethod
    def of(cls, x: Float32, folder: Path) -> Rows:
        x.tofile(folder / f"rows{len(x)}")
        return cls(folder, len(x))

    @property
    def paths(self) -> tuple[Path, Path]:
        return self.folder / f"rows{self.count}", self.folder / f"results{self.count}"

    def results(self) -> Float32:
        return np.fromfile(self.paths[1], np.float32).reshape(self.count, -1)


def nanoseconds(command: list[str | Path]) -> float:
    """What a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr.strip()}")
    return float(done.stdout)


def start(command: list[str | Path]) -> float:
    """Milliseconds from the start of a process to its end."""
    taken = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.perf_counter() - begin)
    return 1e3 * median(taken)


class LibraryProgram:
    """A program around a library."""

    def __init__(self, library: Path, name: str) -> None:
        folder = library.parent
        include = ("-include", folder / f"{name}.h", f"-DPREFIX={name}")
        link = (f"-Wl,-rpath,{folder}", library)
        self.path = compiled("library_loop.c", folder / f"loop_{name}", *include, *link)

    def command(self, rows: Rows, seconds: float, *model: Path, cpu: str = "") -> list[str | Path]:
        """What runs it; ``model`` are RMD1 bytes."""
        return [self.path, cpu, str(rows.count), str(seconds), *rows.paths, *model]


class OnnxRuntimeProgram:
    """A program around the library of the package onnxruntime."""

    def __init__(self, folder: Path) -> None:
        self.library = onnx_runtime()
        self.path = compiled("onnxruntime_loop.c", folder / "loop_onnxruntime", "-Wall")

    def command(
        self, rows: Rows, seconds: float, model: Path, widths: tuple[int, int], how: str
    ) -> list[str | Path]:
        """What runs it; ``how`` is "run" or "binding"."""
        head = [self.path, self.library, model, how, str(rows.count), str(seconds)]
        return [*head, *rows.paths, *map(str, widths)]


def onnx_runtime() -> Path:
    """The shared library of the package.

    Raises
    ------
    ModuleNotFoundError
        The package, or the one that writes its files, is not installed.
    """
    for package in ("onnxruntime", "onnx"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"{package} is not installed")
    spec = find_spec("onnxruntime")
    folders = spec.submodule_search_locations if spec is not None else None
    found = [path for each in folders or () for path in Path(each).glob("capi/libonnxruntime.so*")]
    if not found:
        raise ModuleNotFoundError("the package onnxruntime has no library for C programs")
    return found[0]
