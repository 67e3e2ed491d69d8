"""What ``instjit validate`` does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import instjit
from instjit.commands.model_file import is_over_a_limit, limits_of, read_file, with_name
from instjit.commands.text import coloured, printable
from instjit.counted import count
from instjit.errors import FormatError, InstjitError, Problem
from instjit.formats import Format
from instjit.formats.limits import Limits
from instjit.remarks import remarks
from instjit.validation_rows import validation_problems


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a file, what is remarkable, and how many rows ran (None: it cannot).

    ``container`` are the problems that its format's own rules have with a file that loads.
    ``remarks`` are empty when nobody asks for them; ``refused`` are those that --strict refuses.
    """

    file: str
    problems: tuple[Problem, ...] = ()
    container: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()
    format: str | None = None
    rows: int | None = None
    unreadable: bool = False

    @property
    def passed(self) -> bool:
        """Whether the file is good."""
        return not (self.problems or self.container or self.refused)


def validate_files(args: argparse.Namespace) -> int:
    """Print a verdict for each file; gives the exit code."""
    verdicts = []
    limits = limits_of(args)
    for file in args.models:
        verdict = judge(file, args, limits)
        verdicts.append(verdict)
        if not args.json:
            print("\n".join(_lines(verdict)), flush=True)
    if args.json:
        print(json.dumps([_plain(verdict) for verdict in verdicts], indent=2))
    if any(verdict.unreadable for verdict in verdicts):
        return 3
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def judge(file: str, args: argparse.Namespace, limits: Limits) -> Verdict:
    """Ask the file's format, load the model, and run its validation rows."""
    try:
        codec, content = read_file(file, limits)
    except InstjitError as error:
        return Verdict(file, error.problems, unreadable=True)
    scanned = codec.scan(content, limits)
    try:
        model = instjit.load(content, check=False, format=codec.name, limits=limits)
    except InstjitError as error:
        told = tuple(problem.message for problem in error.problems)
        return Verdict(
            file,
            tuple(with_name(problem, file) for problem in error.problems),
            tuple(each for each in scanned if not each.message.endswith(told)),
            format=codec.name,
            unreadable=isinstance(error, FormatError) or is_over_a_limit(error),
        )
    data = model.validation_data
    found = remarks(model) if args.strict or args.json else ()
    return Verdict(
        file,
        validation_problems(model, args.atol, operations=limits.validation_operations),
        scanned,
        found,
        tuple(each for each in found if args.strict and _is_avoidable(each, codec)),
        codec.name,
        0 if data is None else len(data.inputs),
    )


def _is_avoidable(remark: Problem, codec: Format) -> bool:
    """Whether another file of the format could do without what is remarked on."""
    return remark.kind != "NoFeatureNames" or "features" in codec.holds


def _lines(verdict: Verdict) -> Sequence[str]:
    name = printable(verdict.file)
    shown = verdict.problems + verdict.container + verdict.refused
    prefix = f"{verdict.file}: "
    below = [f"  {printable(problem.message.removeprefix(prefix))}" for problem in shown]
    if not verdict.passed:
        return [coloured(f"{name}: {count(len(shown), 'problem')}", False, sys.stdout), *below]
    ran = (
        f"{count(verdict.rows or 0, 'validation row')} run"
        if verdict.rows
        else "no validation rows"
    )
    return [coloured(f"{name}: good, {ran}", True, sys.stdout)]


def _plain(verdict: Verdict) -> dict[str, Any]:
    kind = "format" if verdict.unreadable else "model"
    return {
        "file": verdict.file,
        "format": verdict.format,
        "passed": verdict.passed,
        "error": kind if verdict.problems else "container" if verdict.container else None,
        "validation_rows": verdict.rows,
        "problems": [_problem(problem) for problem in verdict.problems + verdict.container],
        "remarks": [_problem(remark) for remark in verdict.remarks],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    fields = {"kind": problem.kind, "message": problem.message}
    return {**fields, "instruction": problem.instruction}
