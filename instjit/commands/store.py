"""``instjit store``: the compiled kernels on disk."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Show or empty the folder in which compiled kernels outlive a process. list
shows entries, last used first, clear removes all of them, path says where they
are ("off" where there are none). INSTJIT_STORE names another folder, or is
"off"; INSTJIT_STORE_SIZE is the most bytes to keep, 268435456 by default: what
was not used for longest goes first.

--json prints one object. path: path and size (the most bytes). list: the same,
bytes and entries, each with key, form, structure, bytes and used (seconds since
1970). clear: path, and what was removed, entries and bytes.
"""
EXAMPLE = "instjit store list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("list", "clear", "path"), help="what to do")
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print."""
    from instjit.commands.stored import cleared, listed, told

    action = {"list": listed, "clear": cleared, "path": told}[args.action]
    print(action(as_json=args.json))
    return 0
