"""Argument types that several verbs share."""

from __future__ import annotations

import argparse

LEVELS = ("avx512", "avx2", "neon", "generic")


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL, a path or "-"."""
    parser.add_argument("model", metavar="MODEL", help="model file, - for standard input")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """--limit."""
    parser.add_argument(
        "--limit",
        type=limit,
        action="append",
        default=[],
        metavar="NAME=N",
        help="another bound on what a file may ask for, as weights=20000000; the names are those "
        "of instjit.Limits",
    )


def add_level(parser: argparse._ActionsContainer, what: str) -> None:
    """--level."""
    parser.add_argument("--level", choices=LEVELS, help=f"{what} (default: what this CPU has)")


def precision(text: str) -> str:
    """A precision by name, or ``auto:`` and a budget, which ``instjit.compile`` looks at."""
    names = ("float32", "bf16x6", "bf16x3", "bf16")
    if text not in names and not text.startswith("auto:"):
        known = ", ".join(names)
        raise argparse.ArgumentTypeError(f"expected one of {known} or auto:1e-5, got {text!r}")
    return text


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number


def capability(text: str) -> tuple[int, int]:
    """A compute capability, ``90``, ``9.0`` or ``100``: (major, minor)."""
    major, dot, minor = text.partition(".")
    digits = major + minor if dot else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) < 2 or (dot and len(minor) != 1):
        raise argparse.ArgumentTypeError(f"expected a compute capability such as 90, got {text!r}")
    return int(digits[:-1]), int(digits[-1])


def limit(text: str) -> tuple[str, int]:
    """``NAME=N``, a bound of ``instjit.Limits``."""
    from dataclasses import fields

    from instjit.formats.limits import Limits  # here: it brings NumPy, which --help does without

    name, _, number = text.partition("=")
    known = [field.name for field in fields(Limits)]
    if name not in known:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, got {name!r}")
    return name, positive(number)


def tolerance(text: str) -> float:
    """A number >= 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return number


def share(text: str) -> float:
    """A number from 0 to 1."""
    number = tolerance(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return number


def span(text: str) -> tuple[int, int | None]:
    """``A:B``, ``A:`` or ``:B``: from A up to but without B, both from 0."""
    start, colon, stop = text.partition(":")
    parts = [part for part in (start, stop) if part]
    if not colon or any(not (part.isascii() and part.isdigit()) for part in parts):
        raise argparse.ArgumentTypeError(f"expected A:B, two numbers from 0, got {text!r}")
    first, last = int(start or 0), int(stop) if stop else None
    if last is not None and last <= first:
        raise argparse.ArgumentTypeError(f"{text!r} ends where it starts or before")
    return first, last
