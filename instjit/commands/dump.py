"""``instjit dump``: what the kernel is made of."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from instjit.commands.arguments import add_level, add_limits, add_model, capability

if TYPE_CHECKING:
    from instjit.formats.limits import Limits
    from instjit.model import Model

DESCRIPTION = """\
Print the generated source of a model's kernel, or the LLVM IR or assembly it
becomes. Nothing else goes to standard output. The form of these texts may
change between versions. Source is written for any --level, the others only
for one that this CPU has. cuda-source is the text for the GPU, ptx what it
becomes for a compute capability; neither needs a GPU or a driver. --constants
writes what a host program launches the ptx with: block size and constants.
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
        help="compute capability that ptx is for, 80 or later (default: 90); ptx that takes more "
        "than 99 KB of shared memory is for that one alone, other ptx for later ones as well",
    )
    parser.add_argument(
        "--portable",
        action="store_true",
        help="with ptx: take no more than the 99 KB of shared memory that all later devices have",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bf16x6", "bf16x3", "bf16", "tf32"),
        help="how wide products are computed (default: float32): tf32 for cuda-source and ptx "
        "alone, bf16x6 not for them, the others where this CPU has a unit",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to (default: standard output)"
    )
    parser.add_argument(
        "--constants",
        metavar="FILE",
        help="with ptx: also write the launch sizes and the packed constants to FILE, in binary",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Print or write the text."""
    from instjit.replacing import check_apart, check_target

    _check_options(args)
    files = [path for path in (args.output, args.constants) if path not in ("-", None)]
    for path in files:
        check_apart(path, {"MODEL": args.model})
        check_target(path, args.force)
    text, constants = _contents(args)
    if args.constants is not None:
        _write(args.constants, constants, args.force)
    if args.output == "-":
        sys.stdout.write(text)
    else:
        _write(args.output, text.encode(), args.force)
    return 0


def _write(path: str, content: bytes, force: bool) -> None:
    from instjit.replacing import replacing

    with replacing(path, force) as file:
        file.write(content)


def _contents(args: argparse.Namespace) -> tuple[str, bytes]:
    """The text, and the constants where they are asked for."""
    import instjit
    from instjit.commands.kernel_text import source_text
    from instjit.commands.model_file import limits_of, open_model

    limits = limits_of(args)
    model = open_model(args.model, limits, check=False)
    precision = args.precision or "float32"
    as_source = args.target in ("source", "cpu")
    if as_source and precision == "float32":
        return source_text(model, args.level), b""
    if args.target not in CUDA_TARGETS:
        kernel = instjit.compile(model, level=args.level, precision=precision, limits=limits)
        return kernel.source.text if as_source else kernel.dump(args.target), b""
    return _cuda_contents(args, model, precision, limits)


def _cuda_contents(
    args: argparse.Namespace, model: Model, precision: str, limits: Limits
) -> tuple[str, bytes]:
    import instjit

    kernel = instjit.compile(model, target="cuda", precision=precision, limits=limits)
    if args.target == "cuda-source":
        return kernel.source.text, b""
    cc = args.cc or (9, 0)
    return kernel.dump("ptx", cc, args.portable), kernel.dump_constants(cc, args.portable)


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what does not go with the target."""
    from instjit.errors import InputError, Problem

    for name in ("cc", "constants", "portable"):
        if getattr(args, name) not in (None, False) and args.target != "ptx":
            sentence = f"--{name} is for --target ptx, not {args.target}"
            raise InputError(Problem("UnknownForm", sentence))
    if args.constants == "-":
        raise InputError(Problem("UnknownForm", "--constants takes a file, not standard output"))
    if args.constants and os.path.realpath(args.constants) == os.path.realpath(args.output):
        sentence = f"{args.output}: the output is the same file as --constants"
        raise InputError(Problem("OutputIsInput", sentence, fields={"path": args.output}))
    if args.level is not None and args.target in CUDA_TARGETS:
        raise InputError(Problem("UnknownForm", f"--level is not for --target {args.target}"))
