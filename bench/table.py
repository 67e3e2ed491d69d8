"""Entries as Markdown tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.entry import BF16, OURS, Entry, best_peer, own, ratio
from bench.peaks import Peaks
from bench.race import Race

__all__ = ["OURS", "duration", "markdown", "ratio", "record", "summary", "table", "verdict"]

HEADER = (
    "peer", "setting", "rows a call", "median", "min", "GFLOP/s", "of fma", "of copy",
    "x instjit", "max error", "memory", "ready s",
)  # fmt: skip
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
BEYOND_CACHES = 2**26  # bytes of input and output from which the share of a copy means something


def table(race: Race, entries: list[Entry], peaks: Peaks) -> str:
    """One race: a row a peer, times per batch (per row where rows go one by one), and the ratio."""
    ours = own(entries)
    lines = [HEADER, *(_row(race, entry, ours, peaks) for entry in entries if entry.seconds)]
    work = f"{race.flops / 1e9:.3g} GFLOP, {size(race.bytes)} in and out"
    part = f"; {race.held:,} rows are timed, times are scaled" if race.held < race.rows else ""
    text = [f"**{race.name}** ({work}{part})", "", *markdown(lines, left=2)]
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


def summary(results: Sequence[tuple[Race, list[Entry]]]) -> str:
    """Every net and batch with instjit's ratio to its best peer, those below 1 marked."""
    batches = list(dict.fromkeys(race.rows for race, _ in results))
    cells: dict[str, dict[int, str]] = {}
    below = total = 0
    for race, entries in results:
        ours, best = own(entries), best_peer(entries)
        if ours is None or best is None:
            continue
        lead = ratio(best, ours)
        total, below = total + 1, below + (lead < 1)
        text = f"{lead:.2f}x {best.peer}"
        cells.setdefault(race.net.name, {})[race.rows] = f"**< 1: {text}**" if lead < 1 else text
    if not total:
        return "no ratio: it takes instjit and a peer\n"
    header = ("net", *(f"{rows:,} row{'s' * (rows > 1)}" for rows in batches))
    rows = [(net, *(row.get(batch, "") for batch in batches)) for net, row in cells.items()]
    said = f"{below} of {total} below 1.0" if below else f"all {total} at 1.0 or above"
    return "\n".join(
        ["**Ratio to the best peer**", "", *markdown([header, *rows]), "", f"{said}", ""]
    )


def single_rows(results: Sequence[tuple[Race, list[Entry]]]) -> str:
    """What a row of the larger net takes beyond one of the smaller, next to reading its weights."""
    if len(results) != 2:
        return ""
    (small, few), (large, many) = sorted(results, key=lambda result: result[0].net.flops)
    reads = next((entry for entry in many if entry.peer == "read loop" and entry.seconds), None)
    less, more = own(few), own(many)
    if reads is None or less is None or more is None:
        return ""
    beyond = more.median / large.rows - less.median / small.rows
    read = reads.median / large.rows
    return (
        f"{large.net.name} takes {duration(beyond)} a row more than {small.net.name}; reading its "
        f"constants takes {duration(read)}: {beyond / read:.2f}x\n"
    )


def record(race: Race, entries: list[Entry]) -> dict[str, Any]:
    """One race with every round's seconds, for ``--json``."""
    ours, best = own(entries), best_peer(entries)
    return {
        "job": race.name,
        "net": race.net.name,
        "rows": race.rows,
        "held": race.held,
        "flops": race.flops,
        "bytes": race.bytes,
        "one_by_one": race.single,
        "best_peer": best.peer if best else None,
        "ratio": ratio(best, ours) if ours and best else None,
        "entries": [
            {**vars(entry), "median": entry.median, "minimum": entry.minimum}
            if entry.seconds
            else vars(entry)
            for entry in entries
        ],
    }


def _row(race: Race, entry: Entry, ours: Entry | None, peaks: Peaks) -> tuple[str, ...]:
    share = race.rows if race.single else 1
    copied = race.held / race.rows * race.bytes >= BEYOND_CACHES
    return (
        f"{entry.peer} {entry.version}",
        entry.setting,
        "all" if entry.chunk == race.held else f"{entry.chunk:,}",
        duration(entry.median / share),
        duration(entry.minimum / share),
        f"{race.flops / entry.median / 1e9:.3g}" if race.flops else "-",
        f"{race.flops / entry.median / peaks.fma:.1%}" if race.flops else "-",
        f"{race.bytes / entry.median / peaks.copy:.0%}" if copied else "-",
        f"{ratio(entry, ours):.2f}" if ours else "-",
        f"{entry.error:.1e}" if entry.checked else "-",
        "-" if entry.memory is None else size(entry.memory),
        f"{entry.ready:.2f}",
    )


def duration(seconds: float) -> str:
    scale, unit = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    scale, unit = next((unit for unit in SIZES if count >= 0.9995 * unit[0]), (1, "B"))
    return f"{count / scale:.3g} {unit}"


def verdict(entries: list[Entry], ours: Entry | None) -> str:
    best = best_peer(entries)
    if ours is None or best is None:
        return "no ratio: it takes instjit and a peer"
    said = (
        f"instjit against the best peer, {best.peer}: {ratio(best, ours):.2f}x by the median, "
        f"{best.minimum / ours.minimum:.2f}x by the minimum of {len(ours.seconds)} rounds"
    )
    narrow = [entry for entry in entries if entry.peer.endswith(BF16) and entry.seconds]
    mine = next((entry for entry in narrow if entry.is_ours), None)
    if mine is None:
        return said
    lines = [said, f"instjit bf16 against instjit: {ratio(ours, mine):.2f}x"]
    lines += [
        f"instjit bf16 against {entry.peer}: {ratio(entry, mine):.2f}x"
        for entry in narrow
        if not entry.is_ours
    ]
    return "\n".join(lines)
