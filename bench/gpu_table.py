"""Entries of a device as a Markdown table, beside what the device can do at most."""

from __future__ import annotations

from bench.gpu_peaks import Peaks
from bench.jobs import Job
from bench.race import Entry
from bench.table import OURS, duration, markdown, ratio, verdict

HEADER = (
    "peer", "rows a call", "median", "min", "TFLOP/s", "of fma", "GB/s", "of copy", "x instjit",
    "max error", "ready s",
)  # fmt: skip


def table(job: Job, place: str, entries: list[Entry], peaks: Peaks) -> str:
    """One job: a row a peer, times per batch, shares of the peaks, and the ratio."""
    ours = next((entry for entry in entries if entry.peer == OURS and entry.seconds), None)
    present = [entry for entry in entries if entry.seconds]
    lines = [HEADER, *(_row(job, place, entry, ours, peaks) for entry in present)]
    where = "on the device" if place == "device" else "from the host"
    text = [f"**{job.name}, {where}** ({job.flops / 1e9:.3g} GFLOP)", "", *markdown(lines)]
    text += ["", *(f"{entry.peer}: {entry.absent}" for entry in entries if entry.absent)]
    return "\n".join([*text, verdict(entries, ours)]) + "\n"


def least_seconds(job: Job, place: str, peaks: Peaks) -> float:
    """How long the copies alone take: in the device's memory, or over the bus both ways at once."""
    taken, given = (4 * job.rows * job.widths[end] for end in (0, -1))
    if place == "device":
        return (taken + given) / peaks.copy
    return max(taken / peaks.to_device, given / peaks.to_host)


def _row(job: Job, place: str, entry: Entry, ours: Entry | None, peaks: Peaks) -> tuple[str, ...]:
    moved = 4 * job.rows * (job.widths[0] + job.widths[-1])
    return (
        f"{entry.peer} {entry.version}",
        "all" if entry.chunk == job.rows else f"{entry.chunk:,}",
        duration(entry.median),
        duration(entry.minimum),
        f"{job.flops / entry.median / 1e12:.3g}",
        f"{job.flops / entry.median / peaks.fma:.0%}",
        f"{moved / entry.median / 1e9:.3g}",
        f"{least_seconds(job, place, peaks) / entry.median:.0%}",
        f"{ratio(entry, ours):.2f}" if ours else "-",
        f"{entry.error:.1e}",
        f"{entry.ready:.2f}",
    )
