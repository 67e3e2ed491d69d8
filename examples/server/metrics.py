"""What a worker counts, as text for Prometheus."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

SECONDS = tuple(base * 10**power for power in (-5, -4, -3, -2, -1) for base in (5, 10, 25))
ROWS = tuple(2**power for power in range(13))


class Histogram:
    """Counts of values up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, label: str) -> Iterator[str]:
        """Its samples."""
        *up_to, total = accumulate(self._counts)
        for bound, count in zip(self._bounds, up_to, strict=True):
            yield f'{name}_bucket{{{label},le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{{label},le="+Inf"}} {total}'
        yield f"{name}_sum{{{label}}} {self._sum:g}"
        yield f"{name}_count{{{label}}} {total}"


class Metrics:
    """Of one worker process: a scrape meets any of them, so the samples name theirs."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.rows = 0
        self.waiting = 0
        self.seconds = Histogram(SECONDS)
        self.batches = Histogram(ROWS)

    def text(self) -> str:
        """All samples in the text format 0.0.4."""
        return "\n".join((*self._lines(), ""))

    def _lines(self) -> Iterator[str]:
        label = f'worker="{os.getpid()}"'
        yield from _head("server_requests_total", "counter", "Answers of /predict by status.")
        for status, count in sorted(self.answers.items()):
            yield f'server_requests_total{{{label},status="{status}"}} {count}'
        yield from _head("server_errors_total", "counter", "Refused requests by kind.")
        for kind, count in sorted(self.errors.items()):
            yield f'server_errors_total{{{label},kind="{kind}"}} {count}'
        yield from _head("server_rows_total", "counter", "Rows worked out.")
        yield f"server_rows_total{{{label}}} {self.rows}"
        yield from _head("server_rows_waiting", "gauge", "Rows that wait for a batch.")
        yield f"server_rows_waiting{{{label}}} {self.waiting}"
        yield from _head("server_request_seconds", "histogram", "From headers to answer.")
        yield from self.seconds.lines("server_request_seconds", label)
        yield from _head("server_batch_rows", "histogram", "Rows of a batch.")
        yield from self.batches.lines("server_batch_rows", label)


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
