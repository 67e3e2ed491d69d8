"""The command: settings into the environment, where every worker finds them, then uvicorn."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields

import uvicorn

import instjit
from instjit.threads import available

from .settings import PREFIX, Settings

GRACE = 10
"""Seconds that requests under way have when the server is told to stop."""


def main() -> int:
    """Serve until SIGINT or SIGTERM; 1 for a model that cannot be read."""
    parser = argparse.ArgumentParser("python -m examples.server", description="Serve a model file.")
    parser.add_argument("model", help="the model file")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that share the port and the threads"
    )
    for each in fields(Settings)[1:]:
        flag = "--" + each.name.replace("_", "-")
        text = f"{each.metadata['help']} (default: {each.default:g})"
        parser.add_argument(flag, metavar="N", help=text)
    given = parser.parse_args()
    for each in fields(Settings):
        if (value := getattr(given, each.name)) is not None:
            os.environ[PREFIX + each.name.upper()] = value
    try:
        settings = Settings.of(os.environ)
    except ValueError as error:
        parser.error(str(error))
    try:
        instjit.load(settings.model)
    except (OSError, instjit.InstjitError) as error:
        print(f"{settings.model}: {error}", file=sys.stderr)
        return 1
    if not settings.threads:
        os.environ[PREFIX + "THREADS"] = str(max(1, available() // given.workers))
    uvicorn.run(
        f"{__package__}.app:create",
        factory=True,
        host=given.host,
        port=given.port,
        workers=given.workers,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
