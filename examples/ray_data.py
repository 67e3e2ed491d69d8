"""Digits by Ray Data on a local cluster: two workers, each compiles the model once.

``pip install 'instjit[ray]'``, then ``python examples/ray_data.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import ray

import instjit

DIGITS = Path(__file__).parent / "digits"
WORKERS = 2


class Digits(instjit.BatchPredictor):
    """A predictor that also tells its process, and how often that has compiled."""

    def __init__(self, model: str) -> None:
        from numba.core import event

        self.events = event.RecordingListener()
        event.register("numba:compile", self.events)
        super().__init__(model, outputs=[f"digit{k}" for k in range(10)], threads=1)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        done = super().__call__(batch)
        rows = len(done["digit0"])
        done["pid"] = np.full(rows, os.getpid())
        done["compilations"] = np.full(rows, compilations(self.events.buffer))
        return done


def compilations(events: list) -> int:
    """Batch functions that were compiled."""
    started = (one.data["dispatcher"].py_func.__name__ for _, one in events if one.is_start)
    return sum(name == "tiles" for name in started)


def main() -> None:
    images = np.loadtxt(DIGITS / "rows.csv", delimiter=",", skiprows=1, dtype=np.float32)
    rows = np.tile(images, (100, 1))
    model = str(DIGITS / "digits.json")

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    done = (
        ray.data.from_numpy(np.array_split(rows, 8))
        .map_batches(
            Digits,
            fn_constructor_args=(model,),
            batch_size=2000,
            compute=ray.data.ActorPoolStrategy(size=WORKERS),
        )
        .to_pandas()
    )
    ray.shutdown()

    outputs = done[[f"digit{k}" for k in range(10)]].to_numpy(np.float32)
    wanted = instjit.compile(model).predict(rows)
    same = outputs.tobytes() == wanted.tobytes()
    print(f"{len(outputs):,} rows, {'the bits of' if same else 'DIFFERENT FROM'} predict")
    for pid, batches in done.groupby("pid"):
        print(f"process {pid}: {len(batches):,} rows, {batches.compilations.max()} compilation(s)")


if __name__ == "__main__":
    main()
