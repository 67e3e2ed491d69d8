"""``instjit info``: what this machine offers."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Show versions, the CPU as instjit sees it, and the threads it may use. Worth
adding to a bug report.

--json prints one object: instjit, python, numba, llvmlite, numpy, orjson
(versions), cpu (as LLVM calls it), level (instruction set), lanes (rows of a
tile at that level), bf16 (the unit that --precision uses: amx, avx512_bf16 or
none), l2_bytes and threads (that this process may use).
"""
EXAMPLE = "instjit info --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print."""
    import json

    from instjit.commands.machine import describe

    facts = describe()
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        print("\n".join(f"{name:{width}}  {value}" for name, value in facts.items()))
    return 0
