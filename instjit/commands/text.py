"""What is safe and pleasant to print."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def printable(text: str) -> str:
    """The text with everything that a terminal could obey, or cannot show, written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"instjit: {printable(text)}", file=sys.stderr)


def coloured(text: str, good: bool, file: TextIO) -> str:
    """Green or red text for a terminal, unless ``NO_COLOR`` is set."""
    if not file.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{32 if good else 31}m{text}\x1b[0m"
