"""What ``instjit convert`` does."""

from __future__ import annotations

import argparse

from instjit.commands.model_file import limits_of, named_after, source
from instjit.commands.text import complain, printable
from instjit.convert import Conversion, loaded, prepare
from instjit.counted import count
from instjit.errors import FormatError, InputError, ModelError, Problem
from instjit.load import target_format
from instjit.replacing import check_apart, check_target, replacing


def convert_file(args: argparse.Namespace) -> int:
    """Write OUT, and say what it is and what it lacks; gives the exit code."""
    if args.output == "-":
        raise InputError(Problem("Usage", "OUT is a file: give it a name, not -"))
    conversion = _conversion(args)
    with replacing(args.output, args.force) as file:
        file.write(conversion.content)
    for phrase in conversion.lost:
        complain(f"{args.output}: {conversion.format} has no place for {phrase}")
    proof = f"{count(conversion.rows, 'random row')} with the same bits"
    size = count(len(conversion.content), "byte")
    print(f"{printable(args.output)}: {conversion.format}, {size}, {proof}")
    return 0


def _conversion(args: argparse.Namespace) -> Conversion:
    """Everything but the writing."""
    limits = limits_of(args)
    try:
        codec = target_format(args.output, args.to)
    except FormatError as error:  # about a name, not a file
        raise InputError(Problem("Usage", f"{error}, or --to")) from error
    check_apart(args.output, {"IN": args.model})
    check_target(args.output, args.force)
    with named_after(args.model):
        model, extras = loaded(
            source(args.model), format=args.source_format, check=not args.no_check, limits=limits
        )
    with named_after(args.model):
        try:
            return prepare(codec, model, extras, strict=args.strict, limits=limits)
        except FormatError as error:
            raise ModelError(error.problems) from error  # IN could be read: OUT is the trouble
