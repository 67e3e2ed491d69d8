"""What ``instjit inspect`` does with a file: the container, then the model in it."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import instjit
from instjit.commands.facts_text import fact_lines
from instjit.commands.model_file import is_over_a_limit, limits_of, named_after, read_file
from instjit.commands.model_text import model_blocks, model_facts
from instjit.commands.text import complain, printable
from instjit.counted import count
from instjit.errors import SHOWN_PROBLEMS, FormatError, InstjitError
from instjit.formats import Format
from instjit.formats.limits import Limits
from instjit.model import Model
from instjit.preview import aligned


@dataclass(frozen=True, slots=True)
class Seen:
    """A file: what its format tells about it, and the model or why there is none."""

    file: str
    format: str
    file_bytes: int
    container: dict[str, Any]
    model: Model | None
    error: InstjitError | None


def show(args: argparse.Namespace) -> int:
    """Print; gives the exit code.

    Raises
    ------
    FormatError, ModelError
        There is nothing to show.
    """
    seen = _seen(args.model, limits_of(args))
    print(_as_json(seen) if args.json else _as_text(seen, args.cost))
    if seen.error is None:
        return 0
    for problem in seen.error.problems[:SHOWN_PROBLEMS]:
        complain(problem.message)
    return 3 if is_over_a_limit(seen.error) else 1


def _seen(path: str, limits: Limits) -> Seen:
    codec, content = read_file(path, limits)
    model, error, container = None, None, {}
    try:
        with named_after(path):
            model = instjit.load(content, check=False, format=codec.name, limits=limits)
    except InstjitError as found:
        error = found
        container = _container(codec, content, limits)
        if not container:
            raise
    else:
        container = codec.describe(content, limits)
    return Seen(path, codec.name, len(content), container, model, error)


def _container(codec: Format, content: bytes, limits: Limits) -> dict[str, Any]:
    """What can be told about a file whose model cannot be loaded; empty for nothing."""
    try:
        return codec.describe(content, limits)
    except FormatError:
        return {}


def _as_json(seen: Seen) -> str:
    problems = seen.error.problems if seen.error is not None else ()
    return json.dumps(
        {
            "file": seen.file,
            "format": seen.format,
            "file_bytes": seen.file_bytes,
            **({} if seen.model is None else model_facts(seen.model)),
            "container": seen.container,
            "problems": [
                {"kind": p.kind, "message": p.message, "instruction": p.instruction}
                for p in problems
            ],
        },
        indent=2,
    )


def _as_text(seen: Seen, with_cost: bool) -> str:
    head = [
        ["file", printable(seen.file)],
        ["format", f"{seen.format}, {count(seen.file_bytes, 'byte')}"],
    ]
    facts = [["container", *(f"  {line}" for line in fact_lines(seen.container))]]
    if seen.model is None:
        head.append(["model", "none that can be loaded"])
        blocks = [aligned(head, frozenset({0, 1})), *facts]
    else:
        blocks = model_blocks(seen.model, head, with_cost)
        blocks[1:1] = facts if seen.container else []
    return "\n\n".join("\n".join(block) for block in blocks)
