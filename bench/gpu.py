"""``python -m bench.gpu``: bits and speed of CUDA kernels, where there is a device.

Run it from the root of the checkout, with instjit[cuda] and whichever of Torch, CuPy and
onnxruntime-gpu is there. First outputs are checked: bits of many models in every form, arrays of
every library, streams and threads, tensor cores. Then jobs are timed, on rows that lie on the
device and on rows that come from the host, and models inside the user's own kernels. Every part has
a process of its own and a limit; what was found is printed, and written to ``--json``, as it comes.
Exit code 1: something was wrong, or was not checked; 4: there is no device. ``--simulate`` runs all
of it at tiny sizes under Numba's simulator, to see that it runs; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import gpu_check, gpu_table, gpu_timing
from bench.gpu_about import ABOUT
from bench.gpu_part import DIED, Part, messages
from bench.gpu_peaks import MEASURED, Peaks
from bench.gpu_peers import PEERS
from bench.gpu_race import GpuEntry
from bench.jobs import Job

GOOD, WRONG, MISSING = 0, 1, 4
ROUNDS, QUICK_ROUNDS = 9, 5
MODELS, QUICK_MODELS, TINY_MODELS = 100, 20, 3
LIMIT, QUICK_LIMIT = 460.0, 165.0
CHECKS_SHARE = 0.45  # of the limit that checks may take
UNKNOWN = Peaks(*[float("nan")] * 4)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--simulate", action="store_true", help="tiny sizes, without a device")
    parser.add_argument("--only", choices=("check", "time"), help="one part alone")
    parser.add_argument("--quick", action="store_true", help="fewer models, jobs and rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as JSON")
    parser.add_argument("--limit", type=float, help=f"seconds in all, default {LIMIT:.0f}")
    parser.add_argument("--models", type=int, help=f"random models, default {MODELS}")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only these peers")
    parser.add_argument("--job", default="", help="only jobs whose name contains this")
    options = parser.parse_args(argv)
    chosen = (QUICK_MODELS, QUICK_ROUNDS, QUICK_LIMIT) if options.quick else (MODELS, ROUNDS, LIMIT)
    if options.simulate:
        chosen = (TINY_MODELS, *chosen[1:])
    for name, value in zip(("models", "rounds", "limit"), chosen, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


class Run:
    """One run of the command: what was found so far, and until when there is time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        self.deadline = self.began + options.limit
        self.right = True
        self.peaks = UNKNOWN
        given = {name: str(value) for name, value in vars(options).items()}
        self.record: dict[str, Any] = {"options": given, "checks": [], "jobs": [], "embedded": []}
        self._raced: list[tuple[Job, Sequence[GpuEntry]]] = []

    def about(self) -> None:
        """Say what the kernels run on."""
        self._one_message("bench.gpu_about:about", ABOUT)
        found = self.record.get(ABOUT, {})
        self.say(", ".join(f"{name} {value}" for name, value in found.items()))

    def check(self) -> None:
        """Check outputs, and say what was wrong."""
        parts = gpu_check.parts(self.options.simulate, self.options.models)
        deadline = self.began + CHECKS_SHARE * self.options.limit
        workers = max(1, min(len(parts), (os.cpu_count() or 1) * 3 // 4))
        total = gpu_check.Found()
        with ThreadPoolExecutor(workers) as pool:
            started = {pool.submit(gpu_check.overseen, part, deadline): part for part in parts}
            for future in as_completed(started):
                found, names = future.result(), started[future].arguments["names"]
                self.record["checks"].append({"families": names, **asdict(found)})
                for line in found.wrong:
                    print(f"WRONG {line}")
                for line in found.left_out:
                    print(f"left out {line}")
                for line in found.unchecked:
                    print(f"NOT CHECKED {line}")
                total.checks += found.checks
                total.wrong += found.wrong
                total.unchecked += found.unchecked
                self.save()
        self.right &= total.good
        verdict = f"{len(total.wrong)} wrong" if total.wrong else "all right"
        self.say(f"{total.checks} checks, {time.monotonic() - self.began:.0f} s: {verdict}")

    def time(self) -> None:
        """Print the peaks and a table for each job, and the embed case."""
        self._one_message("bench.gpu_peaks:peaks", MEASURED)
        if MEASURED in self.record:
            self.peaks = Peaks(**self.record[MEASURED])
            self.say(str(self.peaks))
        contests = self._contests()
        for contest in contests[: gpu_timing.QUICK]:
            self._race(contest)
        if not self.options.job:
            self._embedded()
        for contest in contests[gpu_timing.QUICK :]:
            self._race(contest)
        self.say(gpu_table.kernels(self._raced))

    def say(self, text: str) -> None:
        """Print a paragraph, and keep the record."""
        if text:
            print(f"{text.rstrip()}\n", flush=True)
        self.save()

    def save(self) -> None:
        """Write what is known so far."""
        self.record["seconds"] = time.monotonic() - self.began
        if self.options.json is not None:
            self.options.json.write_text(json.dumps(self.record, indent=1) + "\n")

    def _contests(self) -> list[gpu_timing.Contest]:
        chosen: tuple[gpu_timing.Contest, ...] = gpu_timing.CONTESTS
        if self.options.simulate:
            chosen = gpu_timing.TINY
        if self.options.quick:
            chosen = tuple(contest.quick() for contest in chosen[: gpu_timing.QUICK])
        return [contest for contest in chosen if self.options.job in contest.job.name]

    def _race(self, contest: gpu_timing.Contest) -> None:
        job, options = contest.job, self.options
        peers = contest.without(options.peer or PEERS)
        races = gpu_timing.raced(contest, peers, options.rounds, options.simulate, self.deadline)
        for place, entries, reason in races:
            fields = {"job": job.name, "place": place, "flops": job.flops, "reason": reason}
            self.record["jobs"].append({**fields, "entries": [asdict(entry) for entry in entries]})
            if reason:
                self._not_timed(f"{job.name}, {gpu_table.WHERE[place]}", reason)
                continue
            self._raced.append((job, entries))
            self.right &= not gpu_timing.failed_ours(entries)
            self.say(gpu_table.table(job, place, entries, self.peaks))

    def _embedded(self) -> None:
        options = self.options
        compilers = not options.quick
        timed, reason = gpu_timing.embedded(
            options.rounds, compilers, options.simulate, self.deadline
        )
        self.record["embedded"] = [asdict(entry) for entry in timed]
        self.right &= not gpu_timing.failed_ours(timed)
        self.say(gpu_table.simulation(timed))
        if reason:
            self._not_timed("the embed case", reason)

    def _not_timed(self, name: str, reason: str) -> None:
        self.right = False
        self.say(f"NOT TIMED {name}: {reason}")

    def _one_message(self, function: str, wanted: str) -> None:
        """Record the one thing that a part finds."""
        part = Part(function, {"simulated": self.options.simulate})
        for kind, fields in messages(part, self.deadline):
            if kind == wanted:
                self.record[wanted] = fields
            elif kind == DIED:
                self._not_timed(wanted, fields["reason"])


def main(argv: Sequence[str] | None = None) -> int:
    """Check, then time."""
    options = arguments(argv)
    if options.simulate:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when numba is imported, here and in parts
    warnings.simplefilter("ignore")  # numba.cuda warns of its own imports
    from instjit.errors import CompileError
    from instjit.gpu import device

    try:
        device.require()
    except CompileError as error:
        print(error, file=sys.stderr)
        return MISSING
    run = Run(options)
    run.about()
    if options.only != "time":
        run.check()
    if options.only != "check":
        run.time()
    return GOOD if run.right else WRONG


if __name__ == "__main__":
    code = main()
    if multiprocessing.active_children():  # one that is stuck in the driver cannot be waited for
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
