"""Takes the body of a request off the wire, within a bound of bytes and of time."""

from __future__ import annotations

import anyio
from starlette.requests import Request

from .refused import Refused
from .settings import Settings

CLOSE = {"Connection": "close"}
"""What is left of the body is not read, so the connection is of no more use."""


async def body_of(request: Request, settings: Settings) -> bytes:
    """All bytes of a body.

    A ``Content-Length`` over the bound is refused at once; one that lies, or none, does not help:
    the pieces are counted as they come.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > settings.body_bytes:
        raise _too_long(settings)
    pieces, size = [], 0
    try:
        with anyio.fail_after(settings.body_seconds):
            async for piece in request.stream():
                size += len(piece)
                if size > settings.body_bytes:
                    raise _too_long(settings)
                pieces.append(piece)
    except TimeoutError:
        message = f"the body took longer than {settings.body_seconds:g} seconds"
        raise Refused(408, "BodyTimeout", message, CLOSE) from None
    return b"".join(pieces)


def _too_long(settings: Settings) -> Refused:
    message = f"the body is longer than {settings.body_bytes} bytes"
    return Refused(413, "BodyTooLong", message, CLOSE)
