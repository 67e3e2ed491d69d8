"""``python -m bench.ptx``: what kernels take of a multiprocessor, by ptxas. No GPU is needed.

Run it from the root of the checkout, in an environment with instjit[cuda] and a ptxas
(``nvidia-cuda-nvcc``, or a CUDA toolkit). Prints a Markdown table. Where nvdisasm is found too
(``nvidia-cuda-nvdisasm``), so are the instructions of each kernel's hottest loop: FFMA, accesses of
shared memory, of global and local memory, and others; and what part of the fma rate they allow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from bench.table import markdown
from instjit.gpu.tile import shared_bytes_of
from tests.assembler import USES, assembled, ptxas
from tests.disassembler import hottest, nvdisasm
from tests.nets import NETS, dense

MISSING = 4  # exit code, as of the command line
CAPABILITIES = ((8, 0), (9, 0), (10, 0))
WIDTHS: tuple[tuple[int, ...], ...] = (
    (4, 16, 2), (8, 32, 4), (8, 16, 16, 4), (16, 32, 8), (20, 64, 32, 1),
    (40, 300, 32, 2), (32, 128, 8), (10, 1000, 10), (250, 300, 200),
)  # fmt: skip
"""Dense nets, in the form that their width gives them."""
PACKAGES = ("numba-cuda", "numba", "llvmlite", "nvidia-nvvm", "nvidia-cuda-nvcc")
FORMS: tuple[Literal["thread", "block"], ...] = ("thread", "block")
HEADER = ("net", "form", "tile", "dynamic shared", "scratch a block")
LOOP = (9, 0)
"""Compute capability whose loops are read."""
LOOP_HEADER = ("FFMA / shared / global / other", "of fma rate")


def kernels(quick: bool) -> Iterator[tuple[str, Any]]:
    """Names and ``CudaKernel``s: dense nets, and one net for each kind of step in both forms."""
    from instjit.gpu.kernel import CudaKernel

    for widths in WIDTHS[:1] if quick else WIDTHS:
        yield "-".join(map(str, widths)), CudaKernel(dense(*widths))
    for name, make in () if quick else NETS.items():
        for form in FORMS:
            yield name, CudaKernel(make(), form=form)


def row(name: str, kernel: Any, folder: Path) -> tuple[str, ...]:
    """One kernel at every compute capability."""
    source = kernel.source_for(shared_bytes_of(LOOP))
    tile = source.tile
    shape = f"{tile.rows} x {tile.threads}" if tile else "-"
    memory = (f"{source.shared_bytes:,}", f"{4 * source.scratch_floats:,}")
    cells, loop = [], ()
    for cc in CAPABILITIES:
        used = assembled(kernel.dump("ptx", cc), cc, folder)
        cells.append(" / ".join(f"{used[name]:,}" for name in USES))
        if cc == LOOP and nvdisasm():
            mix = hottest(folder / "kernel.ptx.cubin")
            counts = f"{mix.fma} / {mix.shared} / {mix.far} / {mix.other}"
            loop = (counts, f"{mix.bound:.0%}" if mix.fma else "-")
    return name, source.form, shape, *memory, *cells, *loop


def versions() -> str:
    """Packages that decide what a kernel becomes."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.ptx", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest net alone")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # numba.cuda warns of its own imports
    from instjit.errors import CompileError
    from instjit.gpu import build

    try:
        build.require_compiler()
    except CompileError as error:
        print(error, file=sys.stderr)
        return MISSING
    if ptxas() is None:
        print("no ptxas: install nvidia-cuda-nvcc, or a CUDA toolkit", file=sys.stderr)
        return MISSING
    heads = [f"cc {major}.{minor}" for major, minor in CAPABILITIES]
    if nvdisasm():
        heads += LOOP_HEADER
    else:
        print("no nvdisasm, so no loops: install nvidia-cuda-nvdisasm", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, kernel, Path(folder)) for name, kernel in kernels(options.quick)]
    print(f"{versions()}\n")
    print("\n".join(markdown([(*HEADER, *heads), *rows], left=3)))
    print("\ncc: registers / stack / spilled / static shared memory, the last three in bytes.")
    print(f"Tile, memory and the hottest loop are those of cc {LOOP[0]}.{LOOP[1]}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
