"""What can be set, by an environment variable ``SERVER_<NAME>`` or an option of the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "SERVER_"


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits of one worker process; ``model`` is the path of the file."""

    model: str
    threads: int = _setting(0, "threads of a batch, 0 for as many as the process may use")
    body_bytes: int = _setting(4 << 20, "bytes of a body at most")
    body_seconds: float = _setting(10.0, "seconds a body may take to arrive")
    rows: int = _setting(4096, "rows of a request at most")
    batch_rows: int = _setting(256, "rows from which requests are not put together any more")
    wait_ms: float = _setting(0.0, "milliseconds a request waits for others, 0 for none")
    queue_rows: int = _setting(16384, "rows that may wait; above it requests are refused")

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment.

        Raises
        ------
        ValueError
            A variable holds no number of at least 0, ``SERVER_MODEL`` is missing, or fewer rows may
            wait than a request may have.
        """
        given: dict[str, Any] = {}
        for each in fields(cls):
            text = environment.get(PREFIX + each.name.upper())
            if text is not None:
                whole = type(each.default) is int
                given[each.name] = _number(each.name, text, whole) if each.metadata else text
        if not given.get("model"):
            raise ValueError(f"{PREFIX}MODEL must be the path of a model file")
        settings = cls(**given)
        if settings.queue_rows < settings.rows:
            message = f"{settings.queue_rows}, is less than those of a request, {settings.rows}"
            raise ValueError(f"queue_rows, {message}")
        return settings


def _number(name: str, text: str, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        what = "a whole number" if whole else "a number"
        raise ValueError(f"{name} must be {what} of at least 0, got {text!r}")
    return value
