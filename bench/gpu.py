"""``python -m bench.gpu``: bits and speed of CUDA kernels, where there is a device.

Run it from the root of the checkout, with instjit[cuda] and whichever of Torch, CuPy and
onnxruntime-gpu is there. First every bit of many models' outputs is compared with that of the CPU's
kernel; then the jobs are timed, on rows that lie on the device and on rows that come from the host.
Exit code 1: bits differ; 4: there is no device. ``--simulate`` runs all of it at tiny sizes under
Numba's simulator, to see that it runs; its times mean nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Sequence

from bench.gpu_peaks import Peaks, measured
from bench.gpu_peers import PEERS
from bench.gpu_race import race
from bench.gpu_table import table
from bench.jobs import Job

GOOD, WRONG, MISSING = 0, 1, 4
JOBS = (
    Job((250, 300, 200), 200_000),
    Job((250, 300, 200), 2_000_000),
    Job((40, 300, 32, 2), 10_000_000),
)
TINY = (Job((3, 5, 2), 20),)
ROUNDS = 9
MODELS, TINY_MODELS = 100, 3


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--simulate", action="store_true", help="tiny sizes, without a device")
    parser.add_argument("--only", choices=("check", "time"), help="one part alone")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--models", type=int, help=f"random models, default {MODELS}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only these peers")
    parser.add_argument("--job", default="", help="only jobs whose name contains this")
    return parser.parse_args(argv)


def check(count: int, simulated: bool) -> bool:
    """Compare bits and print what was found; whether all are equal."""
    from bench.gpu_check import compared

    began = time.perf_counter()
    found = compared(count, simulated)
    seconds = time.perf_counter() - began
    for line in found.wrong:
        print(f"WRONG {line}")
    verdict = f"{len(found.wrong)} differ" if found.wrong else "all have the bits of the CPU's"
    print(f"{found.models} models, {found.calls} calls, {seconds:.0f} s: {verdict}\n", flush=True)
    return not found.wrong


def time_jobs(options: argparse.Namespace) -> bool:
    """Print the peaks and a table for each job; whether instjit's outputs were right."""
    peaks: Peaks = measured(options.simulate)
    print(f"{peaks}\n", flush=True)
    right = True
    for job in TINY if options.simulate else JOBS:
        if options.job not in job.name:
            continue
        job = job.quick() if options.quick else job
        for place in ("device", "host"):
            entries = race(job, place, options.peer or list(PEERS), options.rounds)
            print(table(job, place, entries, peaks), flush=True)
            right &= not any(e.peer == "instjit" and e.absent for e in entries)
    return right


def main(argv: Sequence[str] | None = None) -> int:
    """Check, then time."""
    options = arguments(argv)
    if options.simulate:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when numba is imported, below
    warnings.simplefilter("ignore")  # numba.cuda warns of its own imports
    from instjit.errors import CompileError
    from instjit.gpu import device

    try:
        device.require()
    except CompileError as error:
        print(error, file=sys.stderr)
        return MISSING
    print(f"{device_name(options.simulate)}, Python {platform.python_version()}\n", flush=True)
    models = TINY_MODELS if options.simulate else MODELS
    right = True
    if options.only != "time":
        right = check(models if options.models is None else options.models, options.simulate)
    if options.only != "check":
        right &= time_jobs(options)
    return GOOD if right else WRONG


def device_name(simulated: bool) -> str:
    """What the kernels run on, and what compiles them."""
    if simulated:
        return "Numba's CUDA simulator"
    from numba import cuda

    from bench.ptx import versions

    here = cuda.get_current_device()
    name = here.name.decode() if isinstance(here.name, bytes) else here.name
    major, minor = here.compute_capability
    return f"{name}, compute capability {major}.{minor}, {versions()}"


if __name__ == "__main__":
    sys.exit(main())
