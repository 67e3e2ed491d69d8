"""``python -m bench``: the table of ratios. Run it from the root of the checkout."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from bench.jobs import JOBS
from bench.peers import PEERS
from bench.race import race
from bench.table import record, table

ROUNDS, QUICK_ROUNDS = 11, 3


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, three rounds")
    parser.add_argument("--json", action="store_true", help="every round's seconds, as JSON")
    parser.add_argument("--job", default="", help="only jobs whose name contains this")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only these peers")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(argv)


def cpu() -> str:
    """Name the processor, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main() -> None:
    """Race the chosen peers over the chosen jobs."""
    options = arguments()
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    machine = {"cpu": cpu(), "threads": options.threads, "python": platform.python_version()}
    records = []
    if not options.json:
        print(f"{machine['cpu']}, {options.threads} threads, Python {machine['python']}\n")
    for job in JOBS:
        if options.job not in job.name:
            continue
        job = job.quick() if options.quick else job
        entries = race(job, options.peer or list(PEERS), rounds, options.threads)
        if options.json:
            records.append(record(job, entries))
        else:
            print(table(job, entries), flush=True)
    if options.json:
        print(json.dumps({**machine, "rounds": rounds, "jobs": records}, indent=1))


if __name__ == "__main__":
    main()
