"""What ``instjit inspect`` does with a file: the container, then the model in it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import instjit
from instjit.commands.facts_text import fact_lines
from instjit.commands.json_text import pieces
from instjit.commands.model_file import is_over_a_limit, limits_of, named_after, read_file
from instjit.commands.model_text import model_blocks, model_facts
from instjit.commands.text import complain, printable
from instjit.counted import count
from instjit.errors import SHOWN_PROBLEMS, FormatError, InstjitError
from instjit.formats import Format
from instjit.formats.limits import Limits
from instjit.model import Model
from instjit.preview import aligned


def show(args: argparse.Namespace) -> int:
    """Print; gives the exit code.

    Raises
    ------
    FormatError, ModelError
        There is nothing to show.
    """
    limits = limits_of(args)
    codec, content = read_file(args.model, limits)
    file = File(args.model, codec, content, limits)
    error = _print_json(file) if args.json else _print_text(file, args.cost)
    if error is None:
        return 0
    for problem in error.problems[:SHOWN_PROBLEMS]:
        complain(problem.message)
    return 3 if is_over_a_limit(error) else 1


@dataclass(frozen=True, slots=True)
class File:
    """A file that is read; what it holds is told by its model and by its format."""

    path: str
    codec: Format
    content: bytes
    limits: Limits

    def model(self) -> Model | InstjitError:
        """The model, or why there is none."""
        try:
            with named_after(self.path):
                return instjit.load(
                    self.content, check=False, format=self.codec.name, limits=self.limits
                )
        except InstjitError as error:
            return error

    def container(self) -> dict[str, Any]:
        """What its format tells of it, whether it has a model or not; empty for nothing."""
        try:
            return self.codec.describe(self.content, self.limits)
        except FormatError:
            return {}


def _print_json(file: File) -> InstjitError | None:
    """Print all facts one by one; gives why there is no model."""
    model = file.model()
    head = {
        "file": file.path,
        "format": file.codec.name,
        "file_bytes": len(file.content),
    }
    if isinstance(model, InstjitError):
        container = file.container()
        if not container:
            raise model
        problems = [
            {"kind": p.kind, "message": p.message, "instruction": p.instruction}
            for p in model.problems
        ]
        error, rest = model, iter({"container": container, "problems": problems}.items())
    else:
        error, rest = None, _of_model(model_facts(model), file)
    del model  # the facts alone hold it, up to the last one
    for piece in pieces(chain(head.items(), rest)):
        sys.stdout.write(piece)
    sys.stdout.write("\n")
    return error


def _of_model(facts: Iterator[tuple[str, Any]], file: File) -> Iterator[tuple[str, Any]]:
    yield from facts
    yield "container", file.container()  # now that the memory of the model is free
    yield "problems", []


def _print_text(file: File, with_cost: bool) -> InstjitError | None:
    """Print for people; gives why there is no model."""
    facts = fact_lines(file.container())  # before there is a model, which takes memory too
    model = file.model()
    head = [
        ["file", printable(file.path)],
        ["format", f"{file.codec.name}, {count(len(file.content), 'byte')}"],
    ]
    container = ["container", *(f"  {line}" for line in facts)]
    if isinstance(model, InstjitError):
        if not facts:
            raise model
        head.append(["model", "none that can be loaded"])
        blocks = [aligned(head, frozenset({0, 1})), container]
    else:
        blocks = model_blocks(model, head, with_cost)
        blocks[1:1] = [container] if facts else []
    print("\n\n".join("\n".join(block) for block in blocks))
    return model if isinstance(model, InstjitError) else None
