"""What was found on a device as Markdown tables, beside what the device can do at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.gpu_peaks import Peaks
from bench.gpu_peers import OURS
from bench.gpu_race import GpuEntry
from bench.gpu_simulation import Timed
from bench.jobs import Job
from bench.table import duration, markdown, ratio

HEADER = (
    "peer", "precision", "rows a call", "median", "min", "TFLOP/s", "of fma", "GB/s", "of copy",
    "x same", "x instjit", "max error", "allowed", "ready s",
)  # fmt: skip
WHERE = {
    "device": "on the device",
    "host": "from ordinary host memory",
    "pinned": "from page-locked host memory",
}
KERNEL_HEADER = (
    "net", "precision", "form", "rows x threads", "registers", "local", "static shared",
    "dynamic shared", "scratch a block", "blocks each", "occupancy",
)  # fmt: skip
LOADED = (
    "registers", "local_bytes", "static_shared", "dynamic_shared", "scratch_bytes", "blocks_each",
)  # fmt: skip


def table(job: Job, place: str, entries: Sequence[GpuEntry], peaks: Peaks) -> str:
    """One job: a row a peer, times per batch, shares of the peaks, and the ratios.

    "x same" is the time over that of instjit at the same precision, "x instjit" over that of
    instjit in float32.
    """
    ours = {entry.precision: entry for entry in entries if entry.peer in OURS.values()}
    timed = {precision: entry for precision, entry in ours.items() if entry.seconds}
    present = sorted((e for e in entries if e.seconds), key=lambda e: [*OURS].index(e.precision))
    lines = [HEADER, *(_row(job, place, entry, timed, peaks) for entry in present)]
    text = [f"**{job.name}, {WHERE[place]}** ({job.flops / 1e9:.3g} GFLOP)", ""]
    text += markdown(lines, left=2)
    text += ["", *(f"{entry.peer}: {entry.absent}" for entry in entries if entry.absent)]
    return "\n".join([*text, *verdicts(entries, timed)]) + "\n"


def verdicts(entries: Sequence[GpuEntry], ours: dict[str, GpuEntry]) -> list[str]:
    """Ours against the best peer, for each precision that has both, and who has no time there."""
    said = []
    for precision, mine in ours.items():
        peers = [e for e in entries if e.precision == precision and e is not mine]
        best = min((e for e in peers if e.seconds), key=lambda e: e.median, default=None)
        if best is not None:
            absent = [entry.peer for entry in peers if not entry.seconds]
            whom = "the best of the peers timed" if absent else "the best peer"
            untimed = f" (no time of {', '.join(absent)})" if absent else ""
            said.append(
                f"{mine.peer} against {whom} in {precision}, {best.peer}{untimed}: "
                f"{ratio(best, mine):.2f}x by the median, {best.minimum / mine.minimum:.2f}x by "
                f"the minimum of {len(mine.seconds)} rounds"
            )
    return said or ["no ratio: it takes instjit and a peer at the same precision"]


def least_seconds(job: Job, place: str, peaks: Peaks) -> float:
    """How long the copies alone take: in the device's memory, or over the bus both ways at once."""
    taken, given = (4 * job.rows * job.widths[end] for end in (0, -1))
    if place == "device":
        return (taken + given) / peaks.copy
    return max(taken / peaks.to_device, given / peaks.to_host)


def _row(
    job: Job, place: str, entry: GpuEntry, ours: dict[str, GpuEntry], peaks: Peaks
) -> tuple[str, ...]:
    moved = 4 * job.rows * (job.widths[0] + job.widths[-1])
    ratios = (ours.get(precision) for precision in (entry.precision, "float32"))
    return (
        f"{entry.peer} {entry.version}",
        entry.precision,
        "all" if entry.chunk == job.rows else f"{entry.chunk:,}",
        duration(entry.median),
        duration(entry.minimum),
        f"{job.flops / entry.median / 1e12:.3g}",
        f"{job.flops / entry.median / peaks.fma:.0%}",
        f"{moved / entry.median / 1e9:.3g}",
        f"{least_seconds(job, place, peaks) / entry.median:.0%}",
        *(f"{ratio(entry, mine):.2f}" if mine else "-" for mine in ratios),
        f"{entry.error:.1e}",
        f"{entry.allowed:.1e}",
        f"{entry.ready:.2f}",
    )


def kernels(raced: Sequence[tuple[Job, Sequence[GpuEntry]]]) -> str:
    """What each of our kernels that were timed takes of a multiprocessor."""
    rows: dict[tuple[str, ...], None] = {}
    said: dict[str, None] = {}
    for job, entries in raced:
        for entry in entries:
            if entry.loaded:
                net = "-".join(map(str, job.widths))
                rows[_kernel_row(net, entry)] = None
                if "unknown" in entry.loaded:
                    said[f"{net}, {entry.precision}: {entry.loaded['unknown']}"] = None
    if not rows:
        return ""
    text = ["**Kernels as loaded**, memory in bytes", "", *markdown([KERNEL_HEADER, *rows], left=4)]
    return "\n".join([*text, "", *said]) + "\n"


def _kernel_row(net: str, entry: GpuEntry) -> tuple[str, ...]:
    held: dict[str, Any] = entry.loaded
    numbers = (f"{held[name]:,}" if name in held else "-" for name in LOADED)
    share = f"{held['occupancy']:.0%}" if "occupancy" in held else "-"
    return (net, entry.precision, held["form"], held["tile"], *numbers, share)


def simulation(timed: Sequence[Timed]) -> str:
    """The embed case: a table a work, best first."""
    text = []
    for work in dict.fromkeys(entry.work for entry in timed):
        entries = [entry for entry in timed if entry.work == work]
        present = sorted((e for e in entries if e.seconds), key=lambda entry: entry.median)
        lines = [("way", "median", "min", f"million {entries[0].unit} a second", "x best", "")]
        for entry in present:
            rate = f"{entry.amount / entry.median / 1e6:.4g}"
            times = f"{entry.median / present[0].median:.2f}"
            least = duration(min(entry.seconds))
            lines.append((entry.name, duration(entry.median), least, rate, times, entry.note))
        text += [f"**Embedded: {work}**", "", *markdown(lines), ""]
        text += [*(f"{e.name}: {e.absent}" for e in entries if e.absent), ""]
    return "\n".join(text)
