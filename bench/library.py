"""``python -m bench.library``: models as C libraries against the kernels in this process.

How long a build takes beside a compilation, what it weighs, how soon a C process has its first
result, and nanoseconds a row on one thread: from C, through ``load_library``, from the generic
library, by the kernel.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from bench.models import model
from bench.nets import NETS, chain

SHOWN = {
    "8-16-1": lambda: chain(8, 16, 1),
    "20-64-32-1": NETS["20-64-32-1"],
    "250-300-200": NETS["250-300-200"],
    "1024-1024-1024": NETS["1024-1024-1024"],
    "all of them": NETS["all of them"],
}
CPUS = "x86-64-v4,x86-64-v3,x86-64-v2"
ROWS = (1, 64, 4096)
SHARE = 0.15
STARTS = 21

SOURCE = Path(__file__).parent / "library_loop.c"


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best_nanoseconds(call: Callable[[], object], rows: int, share: float) -> float:
    """Of a row, the best of the loops that fit in the time."""
    call()
    best, calls, end = float("inf"), 1, time.perf_counter() + share
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        taken = time.perf_counter() - start
        best = min(best, taken / calls)
        calls = calls * 2 if taken < 1e-3 else calls
    return best / rows * 1e9


class Programs:
    """C programs around a library, in a folder."""

    def __init__(self, library: Path, name: str) -> None:
        from instjit.library.compiling import compiler

        self.path = library.parent / f"loop_{name}"
        command = [*compiler(), "-O2", "-std=gnu11", "-include", library.parent / f"{name}.h"]
        command += [f"-DPREFIX={name}", SOURCE, library, f"-Wl,-rpath,{library.parent}"]
        subprocess.run([*map(str, command), "-o", self.path, "-lm"], check=True)

    def nanoseconds(self, rows: int, share: float, *more: Path) -> float:
        command = [self.path, str(rows), str(share), *more]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return float(told.split()[0])

    def start(self) -> float:
        """Milliseconds from the start of a process to its end, one row in between."""
        return 1e3 * median(
            seconds_of(lambda: subprocess.run([self.path, "1", "0"], capture_output=True))
            for _ in range(STARTS)
        )


def lines(name: str, folder: Path, share: float) -> Iterator[str]:
    """The figures of a net."""
    import instjit
    from instjit.formats import rmd1

    made = model(SHOWN[name]())
    start = time.perf_counter()
    kernel = instjit.compile(made)
    kernel.warm(("row",))
    compiled = time.perf_counter() - start
    library = folder / "libnet.so"
    one = seconds_of(lambda: instjit.build(made, library, cpu="native"))
    size_one = library.stat().st_size
    three = seconds_of(lambda: instjit.build(made, library, cpu=CPUS))
    weights = sum(w.nbytes for w in made.weights) / 1e3
    program = Programs(library, "net")
    loaded = instjit.load_library(library)
    yield (
        f"{name}: JIT {compiled:.2f} s; build {one:.2f} s, {size_one / 1e3:.0f} kB; three CPUs "
        f"{three:.2f} s, {library.stat().st_size / 1e3:.0f} kB (weights {weights:.0f} kB); "
        f"C process {program.start():.2f} ms"
    )
    rng = np.random.default_rng(1)
    for rows in ROWS:
        X = rng.integers(0, 3, (rows, made.input_size)).astype(np.float32)
        y = np.empty((rows, made.output_size), np.float32)
        calls: dict[str, Callable[[], object]] = {
            "kernel": lambda X=X, y=y: kernel.predict(X, out=y, threads=1),
            "load_library": lambda X=X, y=y: loaded.predict(X, out=y),
        }
        if rows == 1:
            calls = {
                "kernel": lambda x=X[0], y=y[0]: kernel.row(x, out=y),
                "load_library": lambda x=X[0], y=y[0]: loaded.row(x, out=y),
            }
        found = {each: best_nanoseconds(call, rows, share) for each, call in calls.items()}
        found = {"C": program.nanoseconds(rows, share), **found}
        if name != "all of them":
            (folder / "net.rmd1").write_bytes(rmd1.encode(made))
            found["generic"] = generic(folder.parent).nanoseconds(rows, share, folder / "net.rmd1")
        yield f"  {rows:5} rows: " + ", ".join(f"{k} {v:.1f} ns" for k, v in found.items())


_generic: dict[Path, Programs] = {}


def generic(folder: Path) -> Programs:
    """The program around the generic library, built once."""
    import instjit

    if folder not in _generic:
        library = folder / "libany.so"
        taken = seconds_of(lambda: instjit.build_generic(library, name="any"))
        print(f"generic: build {taken:.2f} s, {library.stat().st_size / 1e3:.0f} kB")
        _generic[folder] = Programs(library, "any")
    return _generic[folder]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures of every net, or of some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", nargs="*", help=f"of {', '.join(SHOWN)} (default: all)")
    parser.add_argument("--share", type=float, default=SHARE, help="seconds for a figure")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="instjit-") as made:
        for number, name in enumerate(args.net or SHOWN):
            folder = Path(made) / str(number)
            folder.mkdir()
            for line in lines(name, folder, args.share):
                print(line, flush=True)


if __name__ == "__main__":
    main()
