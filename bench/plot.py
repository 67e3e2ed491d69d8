"""The ratios as an SVG: a line a net, a column a batch, a bar for the lead, dots for peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import log10

from bench.entry import Entry, best_peer, own, ratio
from bench.race import Race

LOW, HIGH = 0.5, 100.0  # ratios at the ends of an axis, which is logarithmic
TICKS = (1, 10, 100)
NAMES, COLUMN, GAP, LINE, TOP, BOTTOM = 190, 170, 46, 24, 84, 64  # pixels
LEAD, BEHIND, INK, FAINT, GRID, PAPER = (
    "#0b7a75", "#c2452d", "#1f2933", "#6b7785", "#dde3ea", "#ffffff",
)  # fmt: skip
COLOURS = (
    "#8a6fb5", "#d9902f", "#4a7fc1", "#c05a8a", "#7a8f2f", "#5b6770", "#b08d57", "#3aa0a0",
)  # fmt: skip
FONT = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif'"


def svg(results: Sequence[tuple[Race, list[Entry]]], cpu: str, threads: int) -> str:
    """Draw every batch that instjit and a peer ran; single rows are left out."""
    cells = {
        (race.net.name, race.rows): entries
        for race, entries in results
        if not race.single and own(entries) and best_peer(entries)
    }
    nets = list(dict.fromkeys(net for net, _ in cells))
    batches = sorted({rows for _, rows in cells})
    peers = list(dict.fromkeys(e.peer for entries in cells.values() for e in entries))
    colours = dict(zip((p for p in peers if not Entry(p).is_ours), COLOURS, strict=False))
    width = NAMES + len(batches) * (COLUMN + GAP) + GAP
    height = TOP + len(nets) * LINE + BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' {FONT}>",
        f"<rect width='{width}' height='{height}' rx='8' fill='{PAPER}'/>",
        _text(16, 26, "How many times faster than its peers instjit is", 15, INK, weight=600),
        _text(16, 44, f"float32, {threads} threads, {cpu}", 11, FAINT),
        *(part for k, rows in enumerate(batches) for part in _column(k, rows, len(nets))),
    ]
    for line, net in enumerate(nets):
        y = TOP + line * LINE + LINE / 2
        parts.append(_text(NAMES - 10, y + 4, net, 12, INK, anchor="end"))
        for k, rows in enumerate(batches):
            parts += _cell(_left(k), y, cells.get((net, rows), []), colours)
    parts += [*_legend(colours, height - 18), "</svg>"]
    return "\n".join(parts) + "\n"


def _left(column: int) -> float:
    return NAMES + column * (COLUMN + GAP)


def _at(left: float, value: float) -> float:
    """Where on the axis a ratio lies, inside its ends."""
    share = log10(min(max(value, LOW), HIGH) / LOW) / log10(HIGH / LOW)
    return round(left + share * COLUMN, 1)


def _column(column: int, rows: int, lines: int) -> Iterator[str]:
    left, end = _left(column), TOP + lines * LINE
    yield _text(left, TOP - 20, f"{rows:,} row{'s' * (rows > 1)}", 12, INK, weight=600)
    for tick in TICKS:
        x = _at(left, tick)
        stroke = f"stroke='{INK if tick == 1 else GRID}' stroke-width='1'"
        yield f"<line x1='{x}' x2='{x}' y1='{TOP - 2}' y2='{end}' {stroke}/>"
        yield _text(x, end + 14, f"{tick}x", 10, FAINT, anchor="middle")


def _cell(left: float, y: float, entries: list[Entry], colours: dict[str, str]) -> Iterator[str]:
    ours, best = own(entries), best_peer(entries)
    if ours is None or best is None:
        return
    lead = ratio(best, ours)
    start, end = sorted((_at(left, 1), _at(left, lead)))
    fill = LEAD if lead >= 1 else BEHIND
    yield (
        f"<rect x='{start}' y='{y - 6}' width='{max(1.5, end - start):.1f}' height='12' "
        f"fill='{fill}'><title>{lead:.2f}x {escape(best.peer)}</title></rect>"
    )
    for entry in entries:
        if entry.seconds and entry.peer in colours:
            times = ratio(entry, ours)
            yield (
                f"<circle cx='{_at(left, times)}' cy='{y}' r='3.5' fill='{colours[entry.peer]}' "
                f"stroke='{PAPER}'><title>{escape(entry.peer)} {times:.2f}x</title></circle>"
            )
    digits = 2 if lead < 9.995 else 1 if lead < 99.95 else 0
    yield _text(left + COLUMN + 6, y + 4, f"{lead:.{digits}f}", 10, fill, weight=600)


def _legend(colours: dict[str, str], y: float) -> Iterator[str]:
    yield f"<rect x='16' y='{y - 9}' width='18' height='10' fill='{LEAD}'/>"
    yield _text(40, y, "lead over the best peer", 11, INK)
    x = 184.0
    for peer, colour in colours.items():
        yield f"<circle cx='{x}' cy='{y - 4}' r='4' fill='{colour}'/>"
        yield _text(x + 9, y, peer, 11, INK)
        x += 26 + 6.6 * len(peer)


def _text(
    x: float, y: float, text: str, size: int, fill: str, *, anchor: str = "start", weight: int = 400
) -> str:
    style = f"font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='{fill}'"
    return f"<text x='{x}' y='{y}' {style}>{escape(text)}</text>"
