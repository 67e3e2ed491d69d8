"""``instjit validate``: every problem of every file."""

from __future__ import annotations

import argparse

from instjit.commands.arguments import add_limits, tolerance

DESCRIPTION = """\
Check model files: everything that is wrong with their structure, then the
validation rows they may hold, in instjit's NumPy reference, whose results have
the kernel's bits. One line for each file, its problems below.

A container must also stand up to the scanner of the crate that made its format:
one without a benchmark record, or of another version, loads and runs, but fails
here. --limit lets in files that are over a bound, with rows that take long too:
--limit validation_operations=1000000000 for ten times the time.

--strict refuses remarks too, but not features without names in a file of a
format that has no place for names.

--json prints a list with an object for each file: file, format (null when it is
none or cannot be read), passed, error (null, "format", "model", or "container"
for one that only the scanner refuses), validation_rows (how many were run; null
when the model has other problems), and problems and remarks, each with kind,
message and instruction (a number or null).
"""
EXAMPLE = "instjit validate examples/digits/digits.json --strict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="model files, - for standard input"
    )
    parser.add_argument(
        "--atol",
        type=tolerance,
        default=1e-5,
        metavar="T",
        help="largest good difference from a validation row's outputs (default 1e-5)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="remarks, as inspect lists them, are problems too"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Print; 3 when a file is unreadable, else 1 when a model is wrong."""
    from instjit.commands.validation import validate_files

    return validate_files(args)
