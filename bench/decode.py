"""``python -m bench.decode``: files of 100 MB into models, against the least that it can take.

The peers make arrays of the same numbers and check nothing: ``orjson.loads`` and ``np.asarray``
for JSON, ``np.frombuffer`` and ``np.fromfile`` for RMD1, ``hashlib.sha256`` besides for RNN0. Every
one reads the file from the page cache, in a process of its own, in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson

MEGABYTE = 10**6
SIZE = 100 * MEGABYTE
ROUNDS = 5
WIDTH = 500
JSON_BYTES = 10.9  # of a normal figure as text, with its comma

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class File:
    """A dense net of about so many bytes in one format."""

    format: str
    size: int

    def write(self, path: Path) -> None:
        """Write layers of ``WIDTH``, or less for a small file, the last as high as it takes."""
        import instjit

        numbers = int(self.size / (JSON_BYTES if self.format == "instmodel" else 4))
        width = min(WIDTH, int(numbers**0.5))
        layers = numbers // (width * width)
        random = np.random.default_rng(self.size)
        model = instjit.Model(
            [width] * (layers + 1),
            [instjit.Dot(k, k + 1, k, "RELU") for k in range(layers)],
            [random.standard_normal((width, width), dtype=np.float32) for _ in range(layers)],
            [random.standard_normal(width, dtype=np.float32) for _ in range(layers)],
            feature_size=width,
        )
        from instjit.formats import FORMATS
        from instjit.formats.extras import Extras

        path.write_bytes(FORMATS[self.format].encode(model, Extras(digests=True)))


def ours(path: Path) -> Any:
    """Load and validate, with the limits on numbers out of the way."""
    import instjit

    return instjit.load(path, limits=unlimited())


def unlimited() -> Any:
    """Limits that a file of 100 MB stays within."""
    import instjit

    most = 2**40
    return instjit.Limits(weights=most, slots=most, json_bytes=most, json_values=most)


def parsed(path: Path) -> Any:
    """Only the matrices and biases of a document, as float32."""
    document = orjson.loads(path.read_bytes())
    several = document["weights"] + document["bias"]
    return [np.asarray(numbers, dtype=np.float32) for numbers in several]


def viewed(path: Path) -> Any:
    """Take all bytes for numbers."""
    content = path.read_bytes()
    return np.frombuffer(content, "<f4", len(content) // 4)


def from_file(path: Path) -> Any:
    """Let NumPy read the file."""
    return np.fromfile(path, "<f4")


def hashed(path: Path) -> Any:
    """Take all bytes for numbers, and digest them."""
    content = path.read_bytes()
    hashlib.sha256(content).digest()
    return np.frombuffer(content, "<f4", len(content) // 4)


OURS = "instjit.load"
PEERS: dict[str, dict[str, Read]] = {
    "instmodel": {OURS: ours, "orjson + NumPy": parsed},
    "rmd1": {OURS: ours, "np.frombuffer": viewed, "np.fromfile": from_file},
    "rnn0": {OURS: ours, "sha256 + np.frombuffer": hashed},
}


@dataclass
class Entry:
    """A peer's rounds.

    Attributes
    ----------
    seconds
        Of every round.
    growth
        Bytes that its process gained at the peak of a first, untimed round.
    """

    peer: str
    seconds: list[float] = field(default_factory=list)
    growth: int = 0


def race(file: File, path: Path, rounds: int) -> list[Entry]:
    """Time every peer on a file, in turn, after a round that warms up."""
    context = multiprocessing.get_context("spawn")
    entries = [Entry(peer) for peer in PEERS[file.format]]
    pipes, processes = [], []
    for entry in entries:
        pipe, theirs = context.Pipe()
        processes.append(
            context.Process(target=_serve, args=(theirs, file.format, entry.peer, path))
        )
        processes[-1].start()
        theirs.close()  # so that the end of the process is the end of the pipe
        pipes.append(pipe)
    try:
        for entry, pipe in zip(entries, pipes, strict=True):
            entry.growth = pipe.recv()
        for number in range(rounds):
            turn = list(zip(entries, pipes, strict=True))
            for entry, pipe in turn if number % 2 == 0 else reversed(turn):
                pipe.send("round")
                entry.seconds.append(pipe.recv())
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()
    return entries


def _serve(pipe: Connection, format: str, peer: str, path: Path) -> None:
    """Send the peak of a first round, then the seconds of one for every word received."""
    import instjit

    read = PEERS[format][peer]
    with suppress(instjit.FormatError):
        ours(Path(os.devnull))  # the imports
    before = _peak()
    read(path)
    pipe.send(_peak() - before)
    with suppress(EOFError):
        while pipe.recv():
            began = time.perf_counter()
            result = read(path)
            seconds = time.perf_counter() - began
            del result
            pipe.send(seconds)


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


HEADER = ("file", "reader", "median", "min", "MB/s", "x instjit", "peak, x file")


def table(file: File, size: int, entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """One row a peer. The ratio is the median over the rounds: below 1 the peer is faster."""
    mine = entries[0].seconds
    return [
        (
            f"{file.format}, {size / MEGABYTE:.3g} MB",
            entry.peer,
            f"{1e3 * median(entry.seconds):.1f} ms",
            f"{1e3 * min(entry.seconds):.1f} ms",
            f"{size / MEGABYTE / median(entry.seconds):,.0f}",
            f"{median(a / b for a, b in zip(entry.seconds, mine, strict=True)):.2f}",
            f"{entry.growth / size:.2f}",
        )
        for entry in entries
    ]


def main() -> None:
    """Write the files, race the peers, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.decode", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=SIZE / MEGABYTE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--format", action="append", choices=list(PEERS), help="only these")
    options = parser.parse_args()
    lines = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        for format in options.format or PEERS:
            file, path = File(format, int(options.megabytes * MEGABYTE)), Path(folder) / format
            file.write(path)
            lines += table(file, path.stat().st_size, race(file, path, options.rounds))
            path.unlink()
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    for line in (lines[0], tuple("-" * width for width in widths), *lines[1:]):
        first = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        rest = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        print(f"| {' | '.join(first + rest)} |")


if __name__ == "__main__":
    main()
