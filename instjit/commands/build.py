"""``instjit build``: a model as a C library."""

from __future__ import annotations

import argparse
from pathlib import Path

from instjit.commands.arguments import add_limits

DESCRIPTION = """\
Make a C library of a model: -o libnet.so gives libnet.so, net.h with its
functions, net.pc for pkg-config and net-config.cmake. The library needs the C
and the mathematics library and nothing else, and has the bits of "instjit run".
It takes a C compiler (CC, cc, gcc or clang) to make one. --generic makes a
library without a model, which loads RMD1 files when it runs.
"""
EXAMPLE = "instjit build examples/digits/digits.json -o libdigits.so --cpu v4,v3,v2"
FORMS = ("shared", "object", "header", "llvm", "asm", "c")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="model file, - for standard input"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="what to write")
    parser.add_argument(
        "--emit",
        choices=FORMS,
        default="shared",
        help="a shared library (the default), object code with the C file to compile with it, the "
        "header alone, LLVM IR, assembly, or the kernel as C99 for any compiler",
    )
    parser.add_argument(
        "--cpu",
        metavar="CPU",
        help="native, x86-64-v2, x86-64-v3 or x86-64-v4 (v2, v3, v4 for short), several of them "
        "with a comma between, among which the library chooses when it runs, or another that LLVM "
        "knows (default: native; with --generic v4,v3,v2)",
    )
    parser.add_argument(
        "--target", metavar="TRIPLE", help="another platform, such as aarch64-linux-gnu"
    )
    parser.add_argument("--name", help="prefix of the functions (default: from the name of FILE)")
    parser.add_argument(
        "--generic", action="store_true", help="no model: a library that loads RMD1 files"
    )
    parser.add_argument("--force", action="store_true", help="replace files")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Write the files and name them on standard error."""
    from instjit.commands.text import complain
    from instjit.library.generic import build_generic
    from instjit.replacing import check_apart

    _check_options(args)
    check_apart(args.output, {"MODEL": args.model})
    asked = {} if args.cpu is None else {"cpu": args.cpu}
    if args.generic:
        files = build_generic(args.output, name=args.name, force=args.force, **asked)
    else:
        files = _of_a_model(args, asked)
    complain(f"wrote {', '.join(path.name for path in files)}")
    return 0


def _of_a_model(args: argparse.Namespace, asked: dict[str, str]) -> list[Path]:
    from instjit.commands.model_file import limits_of, open_model
    from instjit.library.build import build

    limits = limits_of(args)
    return build(
        open_model(args.model, limits, check=False),
        args.output,
        emit=args.emit,
        target=args.target,
        name=args.name,
        force=args.force,
        limits=limits,
        **asked,
    )


def _check_options(args: argparse.Namespace) -> None:
    from instjit.errors import InputError, Problem

    if args.generic == (args.model is not None):
        sentence = (
            "build takes a MODEL, or --generic, not both"
            if args.generic
            else "build takes a MODEL, or --generic"
        )
        raise InputError(Problem("UnknownForm", sentence))
    if args.generic and (args.emit != "shared" or args.target is not None):
        raise InputError(
            Problem("UnknownForm", "--generic makes a shared library for this platform")
        )
