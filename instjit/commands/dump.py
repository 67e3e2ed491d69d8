"""``instjit dump``: what the kernel is made of."""

from __future__ import annotations

import argparse
import sys

from instjit.commands.arguments import add_level, add_limits, add_model, capability

DESCRIPTION = """\
Print the generated source of a model's kernel, or the LLVM IR or assembly it
becomes. Nothing else goes to standard output. The form of these texts may
change between versions. Source is written for any --level, the others only
for one that this CPU has. cuda-source is the text for the GPU, ptx what it
becomes for a compute capability; neither needs a GPU or a driver.
"""
CUDA_TARGETS = ("cuda-source", "ptx")
EXAMPLE = "instjit dump examples/digits/digits.json --target asm -o digits.s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    parser.add_argument(
        "--target",
        choices=("source", "cpu", "llvm", "asm", *CUDA_TARGETS),
        default="source",
        help="which text (default: source; cpu is another word for it)",
    )
    add_level(parser, "instruction set")
    parser.add_argument(
        "--cc",
        type=capability,
        metavar="CC",
        help="compute capability that ptx is for, 80 or later (default: 90)",
    )
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
    from instjit.errors import InputError, Problem

    if args.cc is not None and args.target != "ptx":
        sentence = f"--cc is for --target ptx, not {args.target}"
        raise InputError(Problem("UnknownForm", sentence))
    if args.level is not None and args.target in CUDA_TARGETS:
        raise InputError(Problem("UnknownForm", f"--level is not for --target {args.target}"))
    limits = limits_of(args)
    model = open_model(args.model, limits, check=False)
    if args.target in ("source", "cpu"):
        return source_text(model, args.level)
    if args.target in CUDA_TARGETS:
        kernel = instjit.compile(model, target="cuda", limits=limits)
        return kernel.source.text if args.target != "ptx" else kernel.dump("ptx", args.cc or (9, 0))
    return instjit.compile(model, level=args.level, limits=limits).dump(args.target)
