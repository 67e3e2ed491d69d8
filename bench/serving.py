"""``python -m bench.serving``: the server of ``examples/server`` against itself on ONNX Runtime.

The servers run on the first core, each with one worker and one thread, and answer in turn; the
client spins on the second. Requests hold one row.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

import instjit
from bench.http_load import Client, Load, post
from bench.models import model
from bench.nets import Net, chain
from bench.serving_peers import QUEUE, WIDTHS
from bench.table import markdown

CONTESTANTS = {
    "instjit, together": ("instjit", "1"),
    "ONNX Runtime, together": ("onnx_runtime", "1"),
    "instjit, each alone": ("instjit", "0"),
    "ONNX Runtime, each alone": ("onnx_runtime", "0"),
    "no model, each alone": ("nothing", "0"),
}
"""What is behind the app, and whether requests are put together."""

HEADER = ("form", "connections", "behind the app", "requests/s", "p50 us", "p99 us")
WARM = 0.2
"""Seconds before each measurement: the first request of a connection pays for the connection."""

PEERS = "bench.serving_peers"
Cell = tuple[str, str, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Race the servers and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--net", default="250-300-200", help="widths of the dense layers")
    parser.add_argument("--form", choices=("json", "float32"), action="append")
    parser.add_argument("--connections", type=int, action="append", help="default 1 and 32")
    parser.add_argument("--rate", type=float, default=1000.0, help="of the last race; 0: none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each server in each round")
    given = parser.parse_args(argv)
    net = chain(*map(int, given.net.split("-")))
    forms = given.form or ["json", "float32"]
    modes = [(count, None) for count in given.connections or (1, 32)]
    modes += [(32, given.rate)] if given.rate else []
    cells: dict[Cell, list[Load]] = {}
    with servers(net, given.net) as ports:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
        for form in forms:
            request = request_of(net, form)
            for _ in range(given.rounds):
                for connections, rate in modes:
                    kept = str(connections) + (f" at {rate:g}/s" if rate else "")
                    for name, port in ports.items():
                        with Client(port, request, connections) as client:
                            client.run(WARM)
                            load = client.run(given.seconds, rate)
                        cells.setdefault((form, kept, name), []).append(load)
    print("\n".join(markdown([HEADER, *sorted_lines(cells)], left=3)))
    return int(any(load.failed for loads in cells.values() for load in loads))


def sorted_lines(cells: dict[Cell, list[Load]]) -> Iterator[tuple[str, ...]]:
    """A line a cell: medians of the rounds."""
    for cell, loads in cells.items():
        rates = median(len(load.seconds) / load.took for load in loads)
        cuts = [quantiles(load.seconds, n=100) for load in loads]
        p50, p99 = (median(cut[place] * 1e6 for cut in cuts) for place in (49, 98))
        yield *cell, f"{rates:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}"


def request_of(net: Net, form: str) -> bytes:
    """A request with one row."""
    (row,) = net.inputs(1, 0)
    if form == "float32":
        return post("/predict", "application/octet-stream", row.tobytes())
    body = json.dumps({"row": [round(float(x), 6) for x in row]}).encode()
    return post("/predict", "application/json", body)


@contextmanager
def servers(net: Net, widths: str) -> Iterator[dict[str, int]]:
    """Every contestant's port, while they run."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder) / "net.json"
        instjit.save(model(net), path)
        first = min(os.sched_getaffinity(0))
        given = {"SERVER_MODEL": str(path), "SERVER_THREADS": "1", WIDTHS: widths}
        ports = {}
        for name, (factory, queue) in CONTESTANTS.items():
            ports[name] = port = free_port()
            words = ["-m", "uvicorn", "--factory", f"{PEERS}:{factory}", "--port", str(port)]
            process = subprocess.Popen(
                [sys.executable, *words, "--no-access-log", "--log-level", "warning"],
                env={**os.environ, **given, QUEUE: queue},
                preexec_fn=lambda: os.sched_setaffinity(0, {first}),
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(port, process)
        yield ports


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until a server takes connections."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"a server ended with {process.returncode}")


if __name__ == "__main__":
    sys.exit(main())
