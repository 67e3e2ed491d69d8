"""``instjit convert``: a model file into another format."""

from __future__ import annotations

import argparse

from instjit.commands.arguments import add_limits

FORMATS = ("instmodel", "rmd1", "rnn0")

DESCRIPTION = r"""
Write a model file in another format, or in the canonical form of its own.

  instmodel  .json        instructions as JSON
  rmd1       .rmd1        a dense chain: DOT with ReLU, sigmoid, tanh or nothing
  rnn0       .rnn, .rnn0  the same as named blobs of a container, with digests

The format of IN is found from its content, that of OUT from its suffix. Before
OUT appears its bytes are read again, and both models must give the same bits on
random rows, NaN, infinities and subnormals among them.

What OUT has no place for is listed on standard error, one thing a line; with
--strict nothing is written then, and the exit code is 1. It is 1 as well for a
model that the format cannot hold at all: the first instruction that stands in
the way is named.
""".lstrip()
EXAMPLE = "instjit convert examples/simulation/policy.json policy.rmd1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", metavar="IN", help="model file, - for standard input")
    add("output", metavar="OUT", help="file to write, which may not be IN")
    add("--from", dest="source_format", choices=FORMATS, help="format of IN")
    add("--to", choices=FORMATS, help="format of OUT")
    add("--strict", action="store_true", help="refuse to leave anything out")
    add("--force", action="store_true", help="replace OUT")
    add("--no-check", action="store_true", help="do not run the model's own validation rows first")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Write; 1 when the format cannot hold the model."""
    from instjit.commands.conversion import convert_file

    return convert_file(args)
