"""Entries as a Markdown table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.jobs import Job
from bench.race import Entry

OURS = "instjit"
HEADER = ("peer", "rows a call", "median", "min", "GFLOP/s", "x instjit", "max error", "ready s")
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def table(job: Job, entries: list[Entry]) -> str:
    """One job: a row a peer, times per batch (per row where rows go one by one), and the ratio."""
    ours = next((entry for entry in entries if entry.peer == OURS and entry.seconds), None)
    lines = [HEADER, *(_row(job, entry, ours) for entry in entries if entry.seconds)]
    text = [f"**{job.name}** ({job.flops / 1e9:.3g} GFLOP)", "", *markdown(lines)]
    text += ["", *(f"{entry.peer}: {entry.absent}" for entry in entries if entry.absent)]
    return "\n".join([*text, verdict(entries, ours)]) + "\n"


def markdown(lines: Sequence[tuple[str, ...]], left: int = 1) -> list[str]:
    """Lines of a Markdown table of the header and the rows; ``left`` columns start at the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = tuple("-" * width for width in widths)
    text = []
    for line in (lines[0], rule, *lines[1:]):
        cells = [cell.ljust(width) for cell, width in zip(line[:left], widths, strict=False)]
        cells += [cell.rjust(w) for cell, w in zip(line[left:], widths[left:], strict=True)]
        text.append(f"| {' | '.join(cells)} |")
    return text


def record(job: Job, entries: list[Entry]) -> dict[str, Any]:
    """One job with every round's seconds, for ``--json``."""
    best = _best(entries)
    return {
        "job": job.name,
        "rows": job.rows,
        "flops": job.flops,
        "one_by_one": job.one_by_one,
        "best_peer": best.peer if best else None,
        "entries": [
            {**vars(entry), "median": entry.median, "minimum": entry.minimum}
            if entry.seconds
            else vars(entry)
            for entry in entries
        ],
    }


def _row(job: Job, entry: Entry, ours: Entry | None) -> tuple[str, ...]:
    share = job.rows if job.one_by_one else 1
    return (
        f"{entry.peer} {entry.version}",
        "all" if entry.chunk == job.rows else f"{entry.chunk:,}",
        duration(entry.median / share),
        duration(entry.minimum / share),
        f"{job.flops / entry.median / 1e9:.3g}",
        f"{ratio(entry, ours):.2f}" if ours else "-",
        f"{entry.error:.1e}",
        f"{entry.ready:.2f}",
    )


def ratio(entry: Entry, ours: Entry) -> float:
    """Median of the rounds' ratios: the two times of a round share the machine's mood."""
    pairs = zip(entry.seconds, ours.seconds, strict=False)  # a peer that failed midway has fewer
    return median(theirs / mine for theirs, mine in pairs)


def duration(seconds: float) -> str:
    scale, unit = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def _best(entries: list[Entry]) -> Entry | None:
    peers = [entry for entry in entries if entry.peer != OURS and entry.seconds]
    return min(peers, key=lambda entry: entry.median, default=None)


def verdict(entries: list[Entry], ours: Entry | None) -> str:
    best = _best(entries)
    if ours is None or best is None:
        return "no ratio: it takes instjit and a peer"
    return (
        f"instjit against the best peer, {best.peer}: {ratio(best, ours):.2f}x by the median, "
        f"{best.minimum / ours.minimum:.2f}x by the minimum of {len(ours.seconds)} rounds"
    )
