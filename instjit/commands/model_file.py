"""The MODEL argument -> a model, its problems named after the file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from instjit.errors import InstjitError, Problem

if TYPE_CHECKING:
    import argparse

    from instjit.formats import Format
    from instjit.formats.limits import Limits
    from instjit.model import Model

OVER_A_LIMIT = {"LimitExceeded", "WeightSizeExceedsLimit", "ComputationBufferSizeExceedsLimit"}


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits with every --limit."""
    from instjit.formats.limits import DEFAULT

    return replace(DEFAULT, **dict(args.limit))


def open_model(path: str, limits: Limits, *, check: bool = True) -> Model:
    """Load a model, from standard input for "-".

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load``, every message with the file's name in front.
    """
    import instjit

    with named_after(path):
        return instjit.load(source(path), check=check, limits=limits)


def read_file(path: str, limits: Limits) -> tuple[Format, bytes]:
    """A file's format and bytes, which are read once whatever is asked of them afterwards.

    Raises
    ------
    FormatError
        Unreadable, LimitExceeded, UnknownFormat, with the file's name in front.
    """
    from instjit.content import content_of
    from instjit.formats import sniff

    with named_after(path):
        content = content_of(source(path), limits)
        return sniff(content), content


def source(path: str) -> str | IO[bytes]:
    """What ``instjit.load`` takes for an argument: standard input for "-"."""
    return sys.stdin.buffer if path == "-" else path


@contextmanager
def named_after(path: str) -> Iterator[None]:
    """Put the file's name in front of the message of every problem."""
    try:
        yield
    except InstjitError as error:
        raise type(error)(with_name(problem, path) for problem in error.problems) from error


def is_over_a_limit(error: InstjitError) -> bool:
    """Whether a file asks for more than it may."""
    return any(problem.kind in OVER_A_LIMIT for problem in error.problems)


def with_name(problem: Problem, path: str) -> Problem:
    """The problem with the file's name in front of its message, once."""
    name = "standard input" if path == "-" else path
    if problem.message.startswith(f"{name}:"):
        return problem
    return replace(problem, message=f"{name}: {problem.message}")
