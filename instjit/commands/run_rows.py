"""What ``instjit run`` does between its arguments and its report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

import instjit
from instjit.commands.model_file import limits_of, open_model
from instjit.commands.text import complain
from instjit.comparison import Accuracy, Comparison, LargestError
from instjit.counted import count
from instjit.errors import InputError, Problem
from instjit.features import output_names
from instjit.inputs import wrong_width
from instjit.kernel import Kernel
from instjit.model import Model
from instjit.preview import Preview
from instjit.progress import Progress
from instjit.replacing import check_apart, check_target
from instjit.rowfiles import create_rows, open_rows
from instjit.rowfiles.rows import CHUNK_BYTES, Array, Rows
from instjit.rowfiles.writing import CsvWriter, RowWriter, checked_suffix

PIECE_FLOPS = 4_000_000_000
"""Work between two looks at Ctrl-C and at the progress bar: about 0.1 s of one core."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    ``preview`` is set when nothing else showed the outputs, ``result`` when there was a comparison.
    """

    kernel: Kernel
    names: tuple[str, ...]
    rows: int
    compile_seconds: float
    run_seconds: float
    preview: Preview | None
    result: Accuracy | LargestError | None


def run(args: argparse.Namespace) -> Outcome:
    """Run rows through a kernel; everything that can be checked is, before the model is compiled.

    Parameters
    ----------
    args
        The options of ``instjit run``.

    Raises
    ------
    InstjitError, OSError
        Nothing has been left behind under the output's name then.
    """
    _check_arguments(args)
    chunk_bytes = args.chunk_bytes or CHUNK_BYTES
    limits = limits_of(args)
    model = open_model(args.model, limits, check=not args.no_check)
    slots = _slots(args.slots, model)
    names = _output_names(model, slots)
    with ExitStack() as stack:
        rows = _open_input(stack, args, model, chunk_bytes)
        feed = _open_expected(stack, args, len(names), chunk_bytes)
        begin = time.perf_counter()
        options = {"threads": args.threads, "level": args.level, "precision": args.precision}
        kernel = instjit.compile(model, limits=limits, **options)
        compiled = time.perf_counter()
        preview = Preview(names, args.rows[0]) if _wants_preview(args) else None
        writer = (
            None if preview or (args.output is None and args.json) else _writer(stack, args, names)
        )
        done = 0
        for outputs in _outputs(kernel, rows, args.rows, slots, chunk_bytes):
            expected = None if feed is None else feed.compare(outputs)
            if preview is not None:
                preview.add(outputs, expected)
            if writer is not None:
                writer.write(outputs)
            done += len(outputs)
        result = None if feed is None else feed.result()
    seconds = compiled - begin, time.perf_counter() - compiled
    return Outcome(kernel, names, done, *seconds, preview, result)


class Expected:
    """What ``--expect`` holds, read in step with the outputs.

    Raises
    ------
    InputError
        ExpectedWidth: it is neither labels nor outputs.
    """

    def __init__(self, rows: Rows, width: int, args: argparse.Namespace) -> None:
        self._name = rows.name
        self._chunks = rows.chunks(*args.rows)
        self._rest: Array = np.empty((0, rows.width))
        self._comparison = Comparison(width, rows.width, args.expect_as)
        self._rows = 0

    def compare(self, outputs: Array) -> Array:
        """Compare some outputs; gives what was expected for them."""
        expected = self._take(len(outputs))
        if len(expected) < len(outputs):
            has = count(self._rows + len(expected), "row")
            raise self._mismatch(f"{has}, there are more outputs")
        self._comparison.add(outputs, expected)
        self._rows += len(outputs)
        return expected

    def result(self) -> Accuracy | LargestError:
        """The outcome, once all outputs have been compared."""
        if len(self._take(1)):
            raise self._mismatch(f"more rows than the {count(self._rows, 'output')}")
        return self._comparison.result()

    def _take(self, count: int) -> Array:
        parts, missing = [self._rest[:count]], count - len(self._rest)
        self._rest = self._rest[count:]
        while missing > 0 and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk[:missing])
            self._rest = chunk[missing:]
            missing -= len(chunk)
        return np.concatenate(parts)

    def _mismatch(self, what: str) -> InputError:
        return InputError(Problem("RowCountMismatch", f"{self._name} has {what}"))


def _check_arguments(args: argparse.Namespace) -> None:
    if args.input is None and sys.stdin.isatty():
        raise _usage("no rows: give -i FILE, or rows on standard input")
    if [args.model, args.input or "-", args.expect].count("-") > 1:
        raise _usage("standard input can be only one of MODEL, -i and --expect")
    if args.json and args.output == "-":
        raise _usage("--json and -o - both want standard output")
    if args.min_accuracy is not None and args.expect is None:
        raise _usage("--min-accuracy needs --expect")
    if args.output not in (None, "-"):
        checked_suffix(args.output)
        sources = {"MODEL": args.model, "-i": args.input or "-", "--expect": args.expect}
        check_apart(args.output, sources)
        check_target(args.output, args.force)


def _usage(sentence: str) -> InputError:
    return InputError(Problem("Usage", sentence))


def _slots(span: tuple[int, int | None] | None, model: Model) -> tuple[int, int] | None:
    if span is None:
        return None
    last = model.required_memory
    start, stop = span[0], last if span[1] is None else span[1]
    if not start < stop <= last:
        raise _usage(f"--slots {start}:{stop} is empty or ends behind the model's {last} slots")
    return start, stop


def _output_names(model: Model, slots: tuple[int, int] | None) -> tuple[str, ...]:
    if slots is not None:
        return tuple(f"slot_{slot}" for slot in range(*slots))
    return output_names(model.output_size)


def _open_input(stack: ExitStack, args: argparse.Namespace, model: Model, chunk_bytes: int) -> Rows:
    rows = stack.enter_context(
        open_rows(
            args.input or "-",
            features=model.features or (),
            width=model.input_size,
            header={"auto": None, "yes": True, "no": False}[args.header],
            empty_is_nan=args.missing == "nan",
            chunk_bytes=chunk_bytes,
        )
    )
    if rows.width != model.input_size:
        raise wrong_width(model, rows.width, rows.name)
    start = args.rows[0]
    if rows.count is not None and start > 0 and start >= rows.count:
        raise _beyond(rows, start)
    for note in rows.notes:
        complain(note)
    return rows


def _beyond(rows: Rows, start: int) -> InputError:
    has = "fewer" if rows.count is None else count(rows.count, "row")
    sentence = f"--rows starts at row {start}, counted from 0; {rows.name} has {has}"
    return InputError(Problem("RowsBeyondEnd", sentence, fields={"start": start}))


def _open_expected(
    stack: ExitStack, args: argparse.Namespace, width: int, chunk_bytes: int
) -> Expected | None:
    if args.expect is None:
        return None
    rows = stack.enter_context(open_rows(args.expect, array="y", chunk_bytes=chunk_bytes))
    return Expected(rows, width, args)


def _wants_preview(args: argparse.Namespace) -> bool:
    """Whether a person looks on: nobody wants a thousand lines before the accuracy."""
    if args.output is not None or args.json:
        return False
    return args.expect is not None or sys.stdout.isatty()


def _writer(stack: ExitStack, args: argparse.Namespace, names: tuple[str, ...]) -> RowWriter:
    if args.output in (None, "-"):
        sys.stdout.flush()
        return CsvWriter(sys.stdout.buffer, names)
    return stack.enter_context(create_rows(args.output, names, force=args.force))


def _outputs(
    kernel: Kernel,
    rows: Rows,
    span: tuple[int, int | None],
    slots: tuple[int, int] | None,
    chunk_bytes: int,
) -> Iterator[Array]:
    width = kernel.output_size if slots is None else slots[1] - slots[0]
    height = min(chunk_bytes // (4 * width), max(512, PIECE_FLOPS // max(1, kernel.cost.flops)))
    done = 0
    with Progress() as progress:
        for chunk in rows.chunks(*span):
            for start in range(0, len(chunk), max(1, height)):
                piece = chunk[start : start + max(1, height)]
                yield kernel.predict(piece, slots=slots)
                done += len(piece)
                progress.update(done, rows.fraction())
    if done == 0 and span[0] > 0:
        raise _beyond(rows, span[0])
