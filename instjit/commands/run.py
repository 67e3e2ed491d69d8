"""``instjit run``: rows from a file or a stream through the kernel."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from instjit.commands.arguments import (
    add_level,
    add_limits,
    add_model,
    positive,
    precision,
    share,
    span,
    tolerance,
)

DESCRIPTION = """\
Run rows through a model's kernel, a chunk of bounded size at a time.

Rows come from .npy, .npz (the array X, or the only one), .csv, .parquet,
.arrow or .feather, or a stream that holds npy, CSV or Arrow's stream format.
The columns of a CSV file with a header, of Parquet and of Arrow are found by
feature name in any order (name[0], name[1], ... for the feature name[k], or one
Arrow column "name" of lists), and columns that the model does not take are left
out. Without a header, or for a model without features, they count by position.
Parquet and Arrow need pyarrow: pip install 'instjit[arrow]'.

Outputs go to .npy, .npz (array y), .csv, .parquet, .arrow or .feather, or as
CSV to standard output.
Without -o, a terminal, or a run with --expect, is shown the first rows only.

--expect takes a file of labels (one column of classes; the prediction is the
largest output, or 1 for a single output above 0.5) or of outputs. It prints
the accuracy, or the largest error. The exit code is 1 when the error is over
--tolerance, the accuracy under --min-accuracy, or there are no rows to
compare; without a bound any other accuracy is good. Outputs are written all
the same. --rows selects rows of both files.

--json prints one object: model (digest), rows, columns (names of the outputs),
output (path or null), precision, seconds (compile, run) and expected, which is
null, or kind "labels", rows, right, accuracy (null of 0 rows), bound
(--min-accuracy or null), passed, or kind "outputs", rows, largest_error (null
when infinite or of 0 rows), row and column of it, tolerance, passed.
"""
EXAMPLE = "instjit run examples/digits/digits.json -i examples/digits/rows.csv -o outputs.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    add = parser.add_argument
    add("-i", "--input", metavar="IN", help="rows (default: standard input, if it is no terminal)")
    add("-o", "--output", metavar="OUT", help="outputs; - for CSV on standard output")
    add("--force", action="store_true", help="replace OUT, which may be no file that is read")
    add("--rows", type=span, default=(0, None), metavar="A:B", help="rows A up to B of both files")
    add("--slots", type=span, metavar="A:B", help="slots A up to B of all buffers, not the output")
    add("--no-check", action="store_true", help="do not run the model's own validation rows first")
    add("--json", action="store_true", help="print a summary as JSON; outputs only go to OUT")
    _add_comparison(parser.add_argument_group("comparison").add_argument)
    _add_format(parser.add_argument_group("CSV and Arrow input").add_argument)
    machine = parser.add_argument_group("machine")
    machine.add_argument("--threads", type=positive, metavar="N", help="at most N threads")
    add_level(machine, "instruction set")
    what = (
        "how wide products are computed: float32, bf16x6, bf16x3, bf16, or auto:1e-5 for the "
        "fastest within 1e-5 of float64 on the model's validation rows (default: float32)"
    )
    machine.add_argument("--precision", type=precision, default="float32", metavar="P", help=what)
    what = "memory of a chunk (default 64 MiB)"
    machine.add_argument("--chunk-bytes", type=positive, metavar="N", help=what)
    add_limits(parser)


def _add_comparison(add: Callable[..., object]) -> None:
    add("--expect", metavar="FILE", help="labels or outputs to compare with")
    what = "what FILE holds (default: by its content)"
    add("--expect-as", choices=("labels", "outputs"), help=what)
    what = "largest good error (default 1e-5)"
    add("--tolerance", type=tolerance, default=1e-5, metavar="T", help=what)
    what = "least good share of right labels, 0 to 1"
    add("--min-accuracy", type=share, metavar="A", help=what)


def _add_format(add: Callable[..., object]) -> None:
    what = "whether the first line holds names (default: when it is not all numbers)"
    add("--header", choices=("auto", "yes", "no"), default="auto", help=what)
    what = "what an empty cell or a null is (default: an error)"
    add("--missing", choices=("error", "nan"), default="error", help=what)


def execute(args: argparse.Namespace) -> int:
    """Run; 1 when the comparison fails."""
    from instjit.commands.run_report import report
    from instjit.commands.run_rows import run

    return report(args, run(args))
