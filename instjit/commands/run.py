"""``instjit run``: rows from a file or a stream through the kernel.

``--json`` prints one object: ``model`` (digest), ``rows``, ``columns`` (names of the outputs),
``output`` (path or null), ``seconds`` (``compile`` and ``run``), and ``expected``, which is null, or

- for labels: ``kind`` "labels", ``rows``, ``right``, ``accuracy``, ``bound`` (``--min-accuracy`` or
  null), ``passed``
- for outputs: ``kind`` "outputs", ``rows``, ``largest_error`` (null when infinite), ``row`` and
  ``column`` of it, ``tolerance``, ``passed``
"""

from __future__ import annotations

import argparse

from instjit.commands.arguments import add_level, add_model, positive, share, span, tolerance

DESCRIPTION = """\
Run rows through a model's kernel, a chunk of bounded size at a time.

Rows come from .npy, .npz (the array X, or the only one), .csv, or a stream (npy or CSV). The columns
of a CSV file with a header are found by feature name in any order (name[0], name[1], ... for the
feature name[k]), and columns that the model does not take are left out; without a header they count
by position.

Outputs go to .npy, .npz (array y) or .csv, or as CSV to standard output. Without -o, a terminal, or
a run with --expect, is shown the first rows only.

--expect takes a file of labels (one column of classes: the largest output, or a single output above
0.5, is the prediction) or of outputs. It prints the accuracy, or the largest error; the exit code is
1 when the error is over --tolerance or the accuracy under --min-accuracy (without a bound, any
accuracy is good). Outputs are written all the same. --rows selects the same rows of FILE.
"""
EXAMPLE = "instjit run examples/digits/digits.json -i examples/digits/rows.csv -o outputs.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    add = parser.add_argument
    add("-i", "--input", metavar="IN", help="rows (default: standard input, if it is no terminal)")
    add("-o", "--output", metavar="OUT", help="outputs; - for CSV on standard output")
    add(
        "--rows",
        type=span,
        metavar="A:B",
        default=(0, None),
        help="rows A up to B of IN and --expect",
    )
    add(
        "--slots", type=span, metavar="A:B", help="these slots of all buffers instead of the output"
    )
    add("--threads", type=positive, metavar="N", help="at most N threads")
    add_level(parser, "instruction set")
    add(
        "--header",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether CSV starts with names",
    )
    add("--missing", choices=("error", "nan"), default="error", help="what an empty CSV cell is")
    add("--no-check", action="store_true", help="do not run the model's own validation rows first")
    add("--force", action="store_true", help="replace OUT")
    expect = parser.add_argument_group("comparison")
    add = expect.add_argument
    add("--expect", metavar="FILE", help="labels or outputs to compare with")
    add(
        "--expect-as",
        choices=("labels", "outputs"),
        help="what FILE holds (default: by its content)",
    )
    add(
        "--tolerance",
        type=tolerance,
        default=1e-5,
        metavar="T",
        help="largest good error (default 1e-5)",
    )
    add("--min-accuracy", type=share, metavar="A", help="least good share of right labels, 0 to 1")
    parser.add_argument(
        "--json", action="store_true", help="print a summary as JSON; outputs only go to OUT"
    )


def execute(args: argparse.Namespace) -> int:
    """Run; 1 when the comparison fails."""
    from instjit.commands.run_report import report
    from instjit.commands.run_rows import run

    return report(args, run(args))
