"""The command line: which verb, and what its errors mean for the exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

VERBS = {
    "inspect": "what a model holds; compiles nothing",
    "validate": "every problem of a model, then its embedded validation rows",
    "dump": "the generated source, LLVM IR, assembly or PTX",
    "run": "rows from .npy, .npz, .csv or a stream through the kernel",
    "build": "a C library of a model, or its parts",
    "convert": "a model file into another format, proven to give the same bits",
    "store": "the compiled kernels on disk: list, clear, path",
    "info": "instruction-set level, threads, versions",
}
EPILOG = """\
results go to standard output, everything else to standard error
exit codes: 0 good, 1 the model or a comparison is wrong, or a format cannot
hold the model, 2 usage, 3 a file is unreadable or over a limit, 4 an optional
part is missing, 130 interrupted, 141 the reader of the output is gone

example:
  instjit run examples/digits/digits.json -i examples/digits/rows.csv \\
      --expect examples/digits/labels.csv
"""
GOOD, WRONG, USAGE, UNREADABLE, MISSING, INTERRUPTED, NO_READER = 0, 1, 2, 3, 4, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv
        The arguments; those of the process by default.

    Returns
    -------
    The exit code.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None:
        signal.signal(signal.SIGTERM, _terminated)
    try:
        args = _parser(words).parse_args(words)
    except SystemExit as stop:  # argparse has printed what there is to say
        return int(stop.code or 0)
    try:
        code = int(args.execute(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter's own flush complains
        return NO_READER
    except (Exception, MemoryError) as error:
        return _failed(error)
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    import instjit

    parser = argparse.ArgumentParser(
        prog="instjit",
        description="Compile instruction models and run them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"instjit {instjit.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, summary in VERBS.items():
        if verb in words:
            _add_verb(verbs, verb, summary)
        else:
            verbs.add_parser(verb, help=summary)
    return parser


def _add_verb(verbs: Any, verb: str, summary: str) -> None:
    """Only the verbs that the words name are imported, so that ``--help`` is quick."""
    module = import_module(f"instjit.commands.{verb}")
    parser = verbs.add_parser(
        verb,
        help=summary,
        description=module.DESCRIPTION,
        epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.set_defaults(execute=module.execute)


def _failed(error: BaseException) -> int:
    """One line for each problem, and the exit code; any other error is a fault of instjit."""
    from instjit.commands.model_file import is_over_a_limit
    from instjit.commands.text import complain
    from instjit.counted import count
    from instjit.errors import SHOWN_PROBLEMS, CompileError, FormatError, InputError, InstjitError

    if isinstance(error, InstjitError):
        for problem in error.problems[:SHOWN_PROBLEMS]:
            complain(problem.message)
        if len(error.problems) > SHOWN_PROBLEMS:
            complain(f"and {count(len(error.problems) - SHOWN_PROBLEMS, 'more problem')}")
        if isinstance(error, FormatError) or is_over_a_limit(error):
            return UNREADABLE
        if error.kind in ("NoCuda", "MissingPackage"):
            return MISSING
        return USAGE if isinstance(error, InputError | CompileError) else WRONG
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename is not None else ""
        complain(f"{name}{error.strerror or error}")
        return UNREADABLE
    if isinstance(error, MemoryError):
        complain("there is not enough memory")
        return UNREADABLE
    if isinstance(error, ImportError) and error.name:
        package = error.name.partition(".")[0]
        complain(f"{package} is not installed: pip install {package}")
        return MISSING
    raise error


def _terminated(*_: object) -> None:
    """Let a killed run take its unfinished output with it."""
    sys.exit(128 + signal.SIGTERM)
