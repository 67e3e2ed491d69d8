"""What ``instjit run`` says at the end."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

from instjit.commands.run_rows import Outcome
from instjit.commands.text import coloured
from instjit.comparison import Accuracy, LargestError
from instjit.counted import count


def report(args: argparse.Namespace, outcome: Outcome) -> int:
    """Print the outcome; exit code 1 when the comparison failed."""
    result = outcome.result
    passed = result is None or _passed(args, result)
    if args.json:
        print(json.dumps(_summary(args, outcome, passed)))
        return 0 if passed else 1
    # Outputs on standard output are all that may stand there.
    file = sys.stdout if outcome.preview or args.output not in (None, "-") else sys.stderr
    if outcome.preview and outcome.rows:
        print(outcome.preview.table(isinstance(result, Accuracy)), file=file)
    if result is not None or file is sys.stdout:
        print(_timing(args, outcome), file=file)
    if result is not None:
        print(coloured(_verdict(args, result, passed), passed, file), file=file)
    return 0 if passed else 1


def _passed(args: argparse.Namespace, result: Accuracy | LargestError) -> bool:
    if not result.rows:
        return False
    if isinstance(result, Accuracy):
        return args.min_accuracy is None or result.accuracy >= args.min_accuracy
    return bool(result.error <= args.tolerance)


def _timing(args: argparse.Namespace, outcome: Outcome) -> str:
    rate = outcome.rows / outcome.run_seconds if outcome.run_seconds > 0 else 0.0
    where = f" -> {args.output}" if args.output not in (None, "-") else ""
    precision = outcome.kernel.precision
    worked_out = "" if precision == "float32" else f" in {precision}"
    return (
        f"{count(outcome.rows, 'row')}{where}{worked_out} in {outcome.run_seconds:.3g} s "
        f"({rate:,.0f} a second), compiled in {outcome.compile_seconds:.2g} s"
    )


def _verdict(args: argparse.Namespace, result: Accuracy | LargestError, passed: bool) -> str:
    if not result.rows:
        return "0 rows were compared, which shows nothing"
    if isinstance(result, Accuracy):
        bound = "" if passed else f", less than {args.min_accuracy:g}"
        right = f"{result.right:,} of {count(result.rows, 'row')} right"
        return f"accuracy {result.accuracy:.4f}: {right}{bound}"
    place = f" in row {args.rows[0] + result.row}, output {result.column}" if result.error else ""
    bound = "within" if passed else "over"
    return f"largest error {result.error:.3g}{place}: {bound} the tolerance of {args.tolerance:g}"


def _summary(args: argparse.Namespace, outcome: Outcome, passed: bool) -> dict[str, Any]:
    return {
        "model": outcome.kernel.model.digest,
        "rows": outcome.rows,
        "columns": outcome.names,
        "output": args.output,
        "precision": outcome.kernel.precision,
        "seconds": {"compile": outcome.compile_seconds, "run": outcome.run_seconds},
        "expected": None if outcome.result is None else _compared(args, outcome.result, passed),
    }


def _compared(
    args: argparse.Namespace, result: Accuracy | LargestError, passed: bool
) -> dict[str, Any]:
    if isinstance(result, Accuracy):
        return {
            "kind": "labels",
            "rows": result.rows,
            "right": result.right,
            "accuracy": result.accuracy if result.rows else None,
            "bound": args.min_accuracy,
            "passed": passed,
        }
    return {
        "kind": "outputs",
        "rows": result.rows,
        "largest_error": result.error if math.isfinite(result.error) else None,
        "row": args.rows[0] + result.row,
        "column": result.column,
        "tolerance": args.tolerance,
        "passed": passed,
    }
