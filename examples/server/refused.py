"""A request that is not answered with outputs."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """Ends a request with a status, a kind for programs and a sentence for people."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})
