"""A part of the bench in a process of its own, which may crash or hang without taking the rest.

A part is a generator function that yields messages. Its parent reads them as they come, and ends
the process when it says nothing for too long. What a part is about to do, it says before.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

Message = tuple[str, dict[str, Any]]

DOING = "doing"
"""Message: what comes next, its ``name``."""

DIED = "died"
"""Last message of a part that did not come to its end: the ``reason``."""

_END = "end"
STARTING = 60.0  # seconds until the first message: imports may be slow
ENDING = 10.0  # seconds that a killed process may take


@dataclass(frozen=True)
class Part:
    """A generator function ("module:name"), its arguments, its longest silence in seconds."""

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    silence: float = 60.0

    def given(self, **arguments: Any) -> Part:
        """The same with other arguments besides."""
        return replace(self, arguments=self.arguments | arguments)


def messages(part: Part, deadline: float) -> Iterator[Message]:
    """What a part says; a crash, silence or the deadline (``time.monotonic``) end it as DIED."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, part.function, part.arguments))
    process.start()
    theirs.close()
    patience = max(STARTING, part.silence)
    try:
        while True:
            allowed = max(0.0, min(patience, deadline - time.monotonic()))
            patience = part.silence
            if not ours.poll(allowed):
                yield DIED, {"reason": f"ended after {allowed:.0f} s without a word"}
                return
            kind, fields = ours.recv()
            if kind == _END:
                return
            yield kind, fields
            if kind == DIED:
                return
    except (EOFError, OSError):
        process.join(ENDING)
        yield DIED, {"reason": f"its process ended with code {process.exitcode}"}
    finally:
        process.kill()
        process.join(ENDING)


def described(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def works() -> bool:
    """Whether the device still answers: after some errors nothing in the process does."""
    from numba import cuda

    try:
        cuda.synchronize()
    except Exception:
        return False
    return True


def _serve(pipe: Connection, function: str, arguments: dict[str, Any]) -> None:
    warnings.simplefilter("ignore")  # numba.cuda warns of its own imports
    module, _, name = function.partition(":")
    try:
        for message in getattr(import_module(module), name)(**arguments):
            pipe.send(message)
        pipe.send((_END, {}))
    except Exception as error:
        pipe.send((DIED, {"reason": described(error)}))
