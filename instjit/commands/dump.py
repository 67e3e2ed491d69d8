"""``instjit dump``: what the kernel is made of."""

from __future__ import annotations

import argparse
import sys

from instjit.commands.arguments import add_level, add_limits, add_model

DESCRIPTION = """\
Print the generated source of a model's kernel, or the LLVM IR or assembly it
becomes. Nothing else goes to standard output. The form of these texts may
change between versions. Source is written for any --level, the others only
for one that this CPU has.
"""
EXAMPLE = "instjit dump examples/digits/digits.json --target asm -o digits.s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    parser.add_argument(
        "--target",
        choices=("source", "cpu", "llvm", "asm"),
        default="source",
        help="which text (default: source; cpu is another word for it)",
    )
    add_level(parser, "instruction set")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to (default: standard output)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Print or write the text."""
    from instjit.replacing import check_apart, check_target, replacing

    if args.output == "-":
        sys.stdout.write(_text(args))
        return 0
    check_apart(args.output, {"MODEL": args.model})
    check_target(args.output, args.force)
    text = _text(args)
    with replacing(args.output, args.force) as file:
        file.write(text.encode())
    return 0


def _text(args: argparse.Namespace) -> str:
    import instjit
    from instjit.commands.kernel_text import source_text
    from instjit.commands.model_file import limits_of, open_model

    limits = limits_of(args)
    model = open_model(args.model, limits, check=False)
    if args.target in ("source", "cpu"):
        return source_text(model, args.level)
    return instjit.compile(model, level=args.level, limits=limits).dump(args.target)
