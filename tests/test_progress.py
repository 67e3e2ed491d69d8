from __future__ import annotations

import io
import time
from contextlib import redirect_stderr

import pytest

from instjit.progress import CLEAR, Progress, announced, bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, text: str) -> None:
    end = time.monotonic() + 10
    while text not in stream.getvalue() and time.monotonic() < end:
        time.sleep(0.005)


def test_slow_work_is_announced_and_the_line_goes_again():
    terminal = Terminal()
    with redirect_stderr(terminal), announced("working", patience=0.01):
        wait_for(terminal, "working")
    assert terminal.getvalue() == f"{CLEAR}working{CLEAR}"


def test_the_line_goes_when_the_work_fails():
    terminal = Terminal()

    def fail() -> None:
        with redirect_stderr(terminal), announced("working", patience=0):
            wait_for(terminal, "working")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert terminal.getvalue().endswith(CLEAR)


def test_quick_work_is_not_announced():
    terminal = Terminal()
    with redirect_stderr(terminal), announced("working", patience=60):
        pass
    assert terminal.getvalue() == ""


def test_nothing_is_written_to_a_pipe():
    pipe = io.StringIO()
    with redirect_stderr(pipe), announced("working", patience=0), Progress(patience=0) as progress:
        progress.update(5, 0.5)
        time.sleep(0.02)
    assert pipe.getvalue() == ""


def test_progress_shows_a_bar_and_takes_it_away():
    terminal = Terminal()
    with redirect_stderr(terminal), Progress(patience=0) as progress:
        progress.update(5, 0.5)
    assert terminal.getvalue() == f"{CLEAR}{bar(5, 0.5, 'rows')}{CLEAR}"


def test_progress_is_patient():
    terminal = Terminal()
    with redirect_stderr(terminal), Progress(patience=60) as progress:
        progress.update(5, 0.5)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("done", "fraction", "text"),
    [
        (1500, 0.5, "instjit: [###############...............]  50 %  1,500 rows"),
        (0, 0.0, "instjit: [..............................]   0 %  0 rows"),
        (7, 1.0, "instjit: [##############################] 100 %  7 rows"),
        (7, None, "instjit: 7 rows"),
    ],
)
def test_the_bar_is_as_long_as_what_is_done(done, fraction, text):
    assert bar(done, fraction, "rows") == text
