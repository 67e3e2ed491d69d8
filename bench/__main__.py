"""``python -m bench``: instjit against its peers on every shape of net, from the checkout."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import nets
from bench.contestants import MODES, PEERS, SINGLE
from bench.entry import OURS, READ_LOOP, Entry
from bench.peaks import Peaks, measured
from bench.plot import svg
from bench.race import Race, races
from bench.scaling import NET, ROWS, Scaling, scaling
from bench.table import record, single_rows, summary, table

ROUNDS, QUICK_ROUNDS = 5, 3
QUICK_SHARE = 0.05  # of the memory and the work of a batch that are timed
SLOW_TO_START = ("torch.compile", "TensorFlow")
SINGLE_ROWS = 4096
JOB, SINGLE_JOB, SCALING = "batch", "single", "scaling"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_ROUNDS} rounds, batches cut shorter, without {' and '.join(SLOW_TO_START)}",
    )
    parser.add_argument("--job", default="", help="only nets whose name contains this")
    parser.add_argument("--batch", type=int, action="append", help="only so many rows")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only these peers")
    parser.add_argument("--only", choices=(JOB, SINGLE_JOB, SCALING), help="default all")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", metavar="FILE", help="all figures as JSON; - is stdout")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the ratios")
    return parser.parse_args(argv)


def cpu() -> str:
    """Name the processor, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def several_races(options: argparse.Namespace) -> Iterator[list[Race]]:
    """The chosen races, those of one net together."""
    share = QUICK_SHARE if options.quick else 1.0
    for name, make in nets.NETS.items():
        batches = [rows for rows in options.batch or nets.BATCHES if options.only in (None, JOB)]
        if batches and options.job in name:
            net = make()
            yield [Race.of(net, rows, share) for rows in batches]
    for name, make in nets.SINGLE.items():
        if options.only in (None, SINGLE_JOB) and not options.batch and options.job in name:
            yield [Race(make(), SINGLE_ROWS, SINGLE_ROWS, single=True)]


def peers_of(several: list[Race], options: argparse.Namespace) -> list[str]:
    """Instjit in each precision, and the chosen peers."""
    if several[0].single:
        chosen = options.peer or PEERS
        ways = [name for name in SINGLE if name.split(",")[0] in chosen]
        return [*(name for name in SINGLE if name.split(",")[0] == OURS), *ways, READ_LOOP]
    skipped = SLOW_TO_START if options.quick else ()
    return [*MODES, *(options.peer or (peer for peer in PEERS if peer not in skipped))]


def thread_scaling(options: argparse.Namespace) -> Scaling | None:
    """How instjit scales, where that is asked for and there are threads to scale to."""
    wanted = options.only == SCALING or (options.only is None and options.job in NET)
    if options.threads == 1 or not wanted:
        return None
    return scaling(options.threads, int(ROWS * (QUICK_SHARE if options.quick else 1)))


def run(
    options: argparse.Namespace,
) -> tuple[Peaks, Scaling | None, list[tuple[Race, list[Entry]]]]:
    """Race the chosen peers over the chosen nets; tables are printed as they come."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    peaks = measured(options.threads)
    out = sys.stderr if options.json == "-" else sys.stdout
    print(
        f"{cpu()}, {options.threads} threads, Python {platform.python_version()}; measured: "
        f"fma {peaks.fma / 1e9:.0f} GFLOP/s, copy {peaks.copy / 1e9:.1f} GB/s read and written\n",
        file=out,
        flush=True,
    )
    scaled = thread_scaling(options)
    if scaled:
        print(f"{scaled}\n", file=out, flush=True)
    results = []
    for several in several_races(options):
        for race, entries in races(several, peers_of(several, options), rounds, options.threads):
            results.append((race, entries))
            print(table(race, entries, peaks), file=out, flush=True)
    batches = [result for result in results if not result[0].single]
    if batches:
        print(summary(batches), file=out)
    print(single_rows([result for result in results if result[0].single]), end="", file=out)
    return peaks, scaled, results


def document(
    options: argparse.Namespace,
    peaks: Peaks,
    scaled: Scaling | None,
    results: list[tuple[Race, list[Entry]]],
) -> dict[str, Any]:
    """All that was measured, for ``--json``."""
    return {
        "cpu": cpu(),
        "threads": options.threads,
        "python": platform.python_version(),
        "peaks": vars(peaks),
        "scaling": vars(scaled) | {"share": scaled.share} if scaled else None,
        "jobs": [record(race, entries) for race, entries in results],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = arguments(argv)
    began = time.perf_counter()
    peaks, scaled, results = run(options)
    if options.json:
        text = json.dumps(document(options, peaks, scaled, results), indent=1)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(f"{text}\n")
    if options.plot:
        Path(options.plot).write_text(svg(results, cpu(), options.threads))
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
