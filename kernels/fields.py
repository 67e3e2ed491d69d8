"""Fields of the int64 arrays by which Python and machine code speak to one another."""

from __future__ import annotations

PIECES = 64
"""Claims of each thread in a long batch or a section: what one that loses its core can hold up."""

FORM = (
    "tiles", "row", "wide_row", "pool", "k", "n", "scratch", "lanes", "width_in", "width_out",
    "few", "near", "most", "ended", "granted", "tile_bytes", "longest", "longest_shared",
)  # fmt: skip
"""Of a kernel. ``pool``: address of ``pool.CURRENT``. ``scratch``: address of a tile's. ``few``: up
to so many rows that no whole tile takes go one by one. ``near``: rows that go without a look at
other threads; ``most``: those for which no thread is woken. ``ended``: when the last of those
between was done, in nanoseconds; ``granted``: threads of the last shared batch (``sharing``), which
takes ``tile_bytes`` of scratch each and has ``longest`` rows at most on one thread, on several
``longest_shared``."""

JOB = ("code", "total", "grain", "claimed", "workers", "seats")
"""The head of a job's fields. ``code``: address of ``f(job, first, last, worker)``, for units first
.. last. ``claimed`` units start at what is done, ``workers`` that have begun at 0; ``seats``
are those of workers beside the caller."""

BATCH = (
    *JOB,
    "tiles", "row", "wide_row", "tiled", "lanes", "x", "y", "rows", "width_in", "width_out",
    "shared", "start", "stop", "k", "n", "scratch", "scratch_bytes",
)  # fmt: skip
"""``tiles``, ``row``, ``wide_row``: addresses of a kernel's code; one of the last two is 0, or both
where all units are tiles. ``rows``: those of ``x`` and ``y``; a last tile that reaches past them
overlaps the one before."""

PHASED = (
    *JOB,
    "helpers", "count", "units", "pairs", "phases", "phase",
    "x", "y", "rows", "width_in", "width_out", "k", "n", "scratch",
)  # fmt: skip
"""Of a batch that goes through ``count`` phases. ``units``, ``pairs``: addresses of how many units
each has, and how many of these are two spans of all tiles. ``phases``: address of a kernel's code;
``phase``: which one is open. ``helpers``: ``seats`` of each."""

LINE = 8
POOL = {
    "ticket": 0, "job": 1, "active": LINE, "sleeping": 2 * LINE,
    "mutex": 3 * LINE, "condition": 5 * LINE,
    "busy": 7 * LINE, "count": 7 * LINE + 1, "seats": 7 * LINE + 2, "share": 7 * LINE + 3,
    "alone": 7 * LINE + 4, "batch": 7 * LINE + 5,
    "scratch": 7 * LINE + 6, "scratch_bytes": 7 * LINE + 7,
}  # fmt: skip
"""Places of a pool's fields. The mutex and the condition are objects of POSIX threads, 128 bytes
each. ``count``: threads that have been started; ``seats``: those that whoever took the pool wants
beside itself; ``share``, ``alone``, ``batch``: addresses of machine code; ``scratch``: memory of
whoever took it."""

POOL_WORDS = 8 * LINE
