"""What a person waiting at a terminal is told, on standard error, and only after a second.

Nothing is written when standard error is no terminal.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds before anything is said."""

BAR = 30
CLEAR = "\r\x1b[K"


@contextmanager
def announced(text: str, patience: float = PATIENCE) -> Iterator[None]:
    """Show a line while the body runs, from ``patience`` seconds on; it goes when the body ends."""
    if not sys.stderr.isatty():
        yield
        return
    shown = threading.Event()

    def show() -> None:
        shown.set()
        _show(text)

    timer = threading.Timer(patience, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            _show("")


class Progress:
    """A bar with the share that is done and the rows so far.

    Parameters
    ----------
    label
        What is counted.
    patience
        Seconds before the bar appears.
    """

    def __init__(self, label: str = "rows", patience: float = PATIENCE) -> None:
        self._label = label
        self._next = time.monotonic() + patience
        self._visible = False
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._visible:
            _show("")

    def update(self, done: int, fraction: float | None) -> None:
        """Tell how many are done, and which share that is if it is known."""
        now = time.monotonic()
        if not self._terminal or now < self._next:
            return
        self._next = now + 0.1
        self._visible = True
        _show(bar(done, fraction, self._label))


def bar(done: int, fraction: float | None, label: str) -> str:
    """The text of a progress bar; without a known share only the number."""
    if fraction is None:
        return f"instjit: {done:,} {label}"
    full = int(BAR * min(1.0, fraction))
    return f"instjit: [{'#' * full}{'.' * (BAR - full)}] {100 * fraction:3.0f} %  {done:,} {label}"


def _show(text: str) -> None:
    sys.stderr.write(CLEAR + text)
    sys.stderr.flush()
