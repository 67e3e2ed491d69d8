"""Digits by Dask on a local cluster: two worker processes, each compiles the model once.

``pip install 'instjit[dask]'``, then ``python examples/dask_blocks.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import instjit

DIGITS = Path(__file__).parent / "digits"
WORKERS = 2


def listen(dask_worker: Any) -> None:
    """Note what is compiled in a worker's process from now on."""
    from numba.core import event

    dask_worker.events = event.RecordingListener()
    event.register("numba:compile", dask_worker.events)


def compilations(dask_worker: Any) -> tuple[int, int]:
    """Process and how many batch functions it has compiled."""
    started = [one for _, one in dask_worker.events.buffer if one.is_start]
    names = [one.data["dispatcher"].py_func.__name__ for one in started]
    return os.getpid(), names.count("tiles")


def main() -> None:
    images = np.loadtxt(DIGITS / "rows.csv", delimiter=",", skiprows=1, dtype=np.float32)
    rows = np.tile(images, (100, 1))
    digits = instjit.BatchPredictor(DIGITS / "digits.json", threads=1)

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(listen)
        blocks = da.from_array(rows, chunks=(1000, -1))
        outputs = blocks.map_blocks(digits, dtype=np.float32, chunks=(blocks.chunks[0], (10,)))
        found = outputs.compute()
        workers = client.run(compilations)

    same = found.tobytes() == digits(rows).tobytes()
    print(f"{len(found):,} rows, {'the bits of' if same else 'DIFFERENT FROM'} predict")
    for pid, count in workers.values():
        print(f"process {pid}: {count} compilation(s)")


if __name__ == "__main__":
    main()
