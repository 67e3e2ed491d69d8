"""``python -m bench.library``: models as C libraries against the kernels in this process.

How long a build takes beside a compilation, what it weighs, how soon a C process has its first
result, and nanoseconds a row on one thread: from C, for each CPU by name, through ``load_library``,
from the generic library, by the kernel, and by ONNX Runtime's C interface at its best (a run, or a
run of bound tensors), all over the same rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.library_programs import (
    HOWS,
    LibraryProgram,
    OnnxRuntimeProgram,
    Rows,
    nanoseconds,
    start,
)
from bench.models import model
from bench.nets import NETS, Net, chain
from bench.onnx_net import onnx_bytes

SHOWN: dict[str, Callable[[], Net]] = {
    "8-16-1": lambda: chain(8, 16, 1),
    "20-64-32-1": NETS["20-64-32-1"],
    "250-300-200": NETS["250-300-200"],
    "1024-1024-1024": NETS["1024-1024-1024"],
    "all of them": NETS["all of them"],
}
CPUS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")
ROWS = (1, 64, 4096)
MOST_WITHOUT_FMA = 64
SHARE = 0.15
TOLERANCE = 1e-3


def seconds_of(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def best_nanoseconds(call: Callable[[], object], rows: int, share: float) -> float:
    """Of a row, the best of the loops that fit in the time."""
    call()
    best, calls, end = float("inf"), 1, time.perf_counter() + share
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        taken = time.perf_counter() - begin
        best = min(best, taken / calls)
        calls = calls * 2 if taken < 1e-3 else calls
    return best / rows * 1e9


class Contest:
    """A net in all its forms, in a folder of its own."""

    def __init__(self, net: Net, folder: Path, share: float) -> None:
        import instjit

        self.net, self.folder, self.share = net, folder, share
        self.model = model(net)
        begin = time.perf_counter()
        self.kernel = instjit.compile(self.model)
        self.kernel.warm(("row",))
        self.compiled = time.perf_counter() - begin
        self.library = folder / "libnet.so"

    def build(self) -> str:
        """Make the library; what it took."""
        import instjit

        one = seconds_of(lambda: instjit.build(self.model, self.library, cpu="native"))
        size = self.library.stat().st_size
        three = seconds_of(lambda: instjit.build(self.model, self.library, cpu=CPUS))
        weights = sum(w.nbytes for w in self.model.weights) / 1e3
        self.program = LibraryProgram(self.library, "net")
        self.loaded = instjit.load_library(self.library)
        return (
            f"JIT {self.compiled:.2f} s; build {one:.2f} s, {size / 1e3:.0f} kB; three CPUs "
            f"{three:.2f} s, {self.library.stat().st_size / 1e3:.0f} kB (weights {weights:.0f} kB)"
        )

    def starts(self) -> str:
        """Milliseconds of C processes to their first result."""
        rows = Rows.of(self.net.inputs(1, 0), self.folder)
        told = f"C process {start(self.program.command(rows, 0)):.2f} ms"
        if onnx := onnx_runtime(self.folder.parent):
            command = onnx.command(rows, 0, self.onnx_file(), self.widths, "run")
            told += f", with ONNX Runtime {start(command):.1f} ms"
        return told

    @property
    def widths(self) -> tuple[int, int]:
        return self.net.width, self.net.outputs

    def onnx_file(self) -> Path:
        path = self.folder / "net.onnx"
        if not path.exists():
            path.write_bytes(onnx_bytes(self.net))
        return path

    def figures(self, count: int) -> Iterator[tuple[str, float]]:
        """Nanoseconds a row of every way, for batches of so many rows."""
        x = self.net.inputs(count, 0)
        rows, y = Rows.of(x, self.folder), np.empty((count, self.net.outputs), np.float32)
        wanted = self.kernel.predict(x)
        yield "C", self._timed(self.program.command(rows, self.share), rows, wanted, 0)
        for name, call in self._calls(x, y).items():
            yield name, best_nanoseconds(call, count, self.share)
        for cpu in CPUS[1:]:
            if cpu != "x86-64-v2" or count <= MOST_WITHOUT_FMA:
                command = self.program.command(rows, self.share, cpu=cpu)
                yield cpu, self._timed(command, rows, wanted, 0)
        if self.net.name != "all of them":
            command = generic(self.folder.parent).command(rows, self.share, self._rmd1_file())
            yield "generic", self._timed(command, rows, wanted, 0)
        if onnx := onnx_runtime(self.folder.parent):
            for how in HOWS:
                command = onnx.command(rows, self.share, self.onnx_file(), self.widths, how)
                yield f"ONNX Runtime {how}", self._timed(command, rows, wanted, TOLERANCE)

    def _calls(self, x: Any, y: Any) -> dict[str, Callable[[], object]]:
        kernel, loaded = self.kernel, self.loaded
        if len(x) == 1:
            line, result = x[0], y[0]
            return {
                "kernel": lambda: kernel.row(line, out=result),
                "load_library": lambda: loaded.row(line, out=result),
            }
        return {
            "kernel": lambda: kernel.predict(x, out=y, threads=1),
            "load_library": lambda: loaded.predict(x, out=y),
        }

    def _timed(self, command: Any, rows: Rows, wanted: Any, tolerance: float) -> float:
        """Nanoseconds a row; results that differ are an error."""
        taken = nanoseconds(command)
        difference = np.abs(rows.results() - wanted).max()
        if not difference <= tolerance:
            raise RuntimeError(f"{command[0]}: results differ by {difference:.3g}")
        return taken

    def _rmd1_file(self) -> Path:
        from instjit.formats import rmd1

        path = self.folder / "net.rmd1"
        if not path.exists():
            path.write_bytes(rmd1.encode(self.model))
        return path


@cache
def generic(folder: Path) -> LibraryProgram:
    """The program around the generic library."""
    import instjit

    library = folder / "libany.so"
    taken = seconds_of(lambda: instjit.build_generic(library, name="any"))
    print(f"generic: build {taken:.2f} s, {library.stat().st_size / 1e3:.0f} kB")
    return LibraryProgram(library, "any")


@cache
def onnx_runtime(folder: Path) -> OnnxRuntimeProgram | None:
    """The program around ONNX Runtime, None where it is not installed."""
    try:
        return OnnxRuntimeProgram(folder)
    except ModuleNotFoundError as error:
        print(f"without ONNX Runtime: {error}")
        return None


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures of every net, or of some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", nargs="*", help=f"of {', '.join(SHOWN)} (default: all)")
    parser.add_argument("--share", type=float, default=SHARE, help="seconds for a figure")
    args = parser.parse_args(argv)
    os.environ["INSTJIT_STORE"] = "off"  # kernels are compiled each time, as libraries are
    with tempfile.TemporaryDirectory(prefix="instjit-") as made:
        for number, name in enumerate(args.net or SHOWN):
            folder = Path(made) / str(number)
            folder.mkdir()
            contest = Contest(SHOWN[name](), folder, args.share)
            print(f"{name}: {contest.build()}; {contest.starts()}", flush=True)
            for count in ROWS:
                told = (f"{way} {taken:.1f}" for way, taken in contest.figures(count))
                print(f"  {count:5} rows, ns each: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
