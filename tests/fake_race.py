"""A race of peers in NumPy under Numba's simulator; prints the entries as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import instjit
from bench import gpu_race
from bench.gpu_peer import PLACES, NotApplicable, blocks
from bench.gpu_peers import PEERS, Entrant
from bench.jobs import Job, document


class Right:
    """The CPU's kernel: the bits that ours must have."""

    version = "1"
    pieces: tuple[int, ...] = (1, 2)
    places: tuple[str, ...] = PLACES
    error = 0.0

    def __init__(self, layers: Any, precision: str = "float32") -> None:
        self._layers = layers
        self._kernel = instjit.compile(document(layers))

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Any:
        def run() -> None:
            for source, target in blocks(x, out, chunk):
                target[:] = self.answers(np.asarray(source))

        return run

    def answers(self, rows: Any) -> Any:
        return self._kernel.predict(rows) + np.float32(self.error)


class NextFloat(Right):
    """The last bit is another."""

    def answers(self, rows: Any) -> Any:
        return np.nextafter(super().answers(rows), np.float32(2))


class Coarse(Right):
    error = 3e-5


class Coarsest(Right):
    error = 0.1


class Unwritten(Right):
    """Leaves the last row as it was."""

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Any:
        return super().bind(x[1:], out[1:], chunk, place)


class Hungry(Right):
    """Has memory for the whole batch alone on the second try of sizes."""

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Any:
        if chunk == len(x):
            raise RuntimeError("CUDA out of memory")
        return super().bind(x, out, chunk, place)


class Missing(Right):
    def __init__(self, layers: Any, precision: str = "float32") -> None:
        raise ImportError("no such library")


class Elsewhere(Right):
    places = ("device",)


class Unfit(Right):
    def __init__(self, layers: Any, precision: str = "float32") -> None:
        raise NotApplicable("not for this net")


FAKES = {
    "instjit": Entrant(Right),
    "next float": Entrant(NextFloat),
    "coarse": Entrant(Coarse),
    "coarse tf32": Entrant(Coarse, "tf32"),
    "coarsest tf32": Entrant(Coarsest, "tf32"),
    "unwritten": Entrant(Unwritten),
    "hungry": Entrant(Hungry),
    "missing": Entrant(Missing),
    "elsewhere": Entrant(Elsewhere),
    "unfit": Entrant(Unfit),
    "left out": Entrant(Right),
}


def raced(fakes: dict[str, Entrant], without: dict[str, str]) -> dict[str, Any]:
    """The entries of a race of fakes on the host."""
    PEERS.update(fakes)
    peers = {name: without.get(name, "") for name in fakes}
    messages = gpu_race.race(Job((5, 8, 3), 10_000), ("host",), peers, 3, True)
    entries = [fields["entry"] for kind, fields in messages if kind == gpu_race.ENTRY]
    return {entry["peer"]: entry for entry in entries}


def main() -> None:
    """Race all fakes; then one in our name whose bits are wrong."""
    gpu_race.LEAST_SECONDS = 0.0
    found = raced(FAKES, {"left out": "it hung"})
    found["wrong bits"] = raced({"instjit": Entrant(NextFloat)}, {})["instjit"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
