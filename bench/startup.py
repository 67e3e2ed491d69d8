"""How long a fresh process takes to its first result: ``python -m bench.startup``.

Every figure is the wall time of a whole process, interpreter included, and the median of several
that take turns; ONNX Runtime does the same beside instjit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import instjit
from bench import nets
from bench.models import model
from bench.onnx_net import onnx_bytes
from bench.table import duration, markdown

NET = nets.chain(20, 64, 32, 1)
ROW = f"x = numpy.zeros({NET.width}, numpy.float32)"
COMPILE = "import instjit; kernel = instjit.compile('net.json')"
ONNX = (
    "import numpy, onnxruntime as o; s = o.SessionOptions(); s.intra_op_num_threads = 1; "
    "session = o.InferenceSession('net.onnx', s, providers=['CPUExecutionProvider'])"
)

PROGRAMS = {
    "python": "pass",
    "python, importing numpy": "import numpy",
    "python, importing numba": "import numba",
    "instjit: compile, nothing stored": COMPILE,
    "instjit: compile, stored": COMPILE,
    "instjit: compile and `row`, stored": f"{COMPILE}; import numpy; {ROW}; kernel.row(x)",
    "instjit run, stored": "run",
    "onnxruntime: import": "import onnxruntime",
    "onnxruntime: import and session": ONNX,
    "onnxruntime: session and first run": f"{ONNX}; {ROW}; session.run(None, "
    "{session.get_inputs()[0].name: x[None]})",
}
"""What each process does; those that say "nothing stored" find an empty store."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="processes of each kind (default: 7)")
    parser.add_argument("--json", action="store_true", help="seconds of every process")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        seconds = measure(Path(folder), args.runs)
    if args.json:
        print(json.dumps(seconds, indent=2))
    else:
        lines = [("process", "median", "least", "most")]
        for name, found in seconds.items():
            values = (statistics.median(found), min(found), max(found))
            lines.append((name, *map(duration, values)))
        print("\n".join(markdown(lines)))
    return 0


def prepare(folder: Path) -> None:
    """The model in both formats, and rows."""
    instjit.save(model(NET), folder / "net.json")
    (folder / "net.onnx").write_bytes(onnx_bytes(NET))
    np.save(folder / "rows.npy", NET.inputs(10, 0))


def measure(folder: Path, runs: int) -> dict[str, list[float]]:
    """Wall seconds of the processes, which take turns; the first turn only fills caches."""
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(runs + 1):
        for name, program in PROGRAMS.items():
            store = f"empty{turn}" if "nothing stored" in name else "store"
            seconds = _seconds(folder, program, str(folder / store))
            if turn:
                found[name].append(seconds)
    return found


def _seconds(folder: Path, program: str, store: str) -> float:
    command = [sys.executable, "-c", program]
    if program == "run":
        words = ["run", "net.json", "-i", "rows.npy", "-o", "out.npy", "--force"]
        command = [sys.executable, "-m", "instjit", *words]
    paths = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "INSTJIT_STORE": store, "PYTHONPATH": paths}
    # as for an installed package: compiling the modules from text took 70 ms a start
    environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
