"""``instjit validate``: every problem of every file."""

from __future__ import annotations

import argparse

from instjit.commands.arguments import tolerance

DESCRIPTION = """\
Check models: everything that is wrong with their structure, then the
validation rows they may hold, in instjit's NumPy reference, whose results have
the kernel's bits. One line for each file, its problems below.

--json prints a list with an object for each file: file, passed, error (null,
"format" or "model"), validation_rows (how many were run; null when the model
has other problems), and problems and remarks, each with kind, message and
instruction (a number or null).
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


def execute(args: argparse.Namespace) -> int:
    """Print; 3 when a file is unreadable, else 1 when a model is wrong."""
    from instjit.commands.validation import validate_files

    return validate_files(args)
