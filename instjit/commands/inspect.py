"""``instjit inspect``: what a model file holds."""

from __future__ import annotations

import argparse

from instjit.commands.arguments import add_level, add_limits, add_model

DESCRIPTION = """\
Show what a model file of any format holds: its header and what else stands in
it, then buffers, instructions, features, cost, and what is remarkable about the
model (slots that are read before they are written, numbers that are not finite,
features without names). Nothing is compiled.

A container without a model that loads is shown all the same. Why it has none
stands on standard error, and the exit code is 1, or 3 when it is over a limit.

--json prints one object:
  file, format (instmodel, rmd1 or rnn0), file_bytes
  digest (of the model, whatever file it is in)
  input_size, output_size, required_memory (slots of all buffers)
  parameters (numbers in all weights, biases, parameters and maps)
  dtype (of weights and biases: float32 or float64)
  features (names, or null)
  buffers: shape, dtype, size, start
  instructions: kind, operands (by their names in files), parents (numbers of
    the instructions it waits for), cost
  cost: multiply_adds, operations, moved, constants, flops of a row, and of the
    whole model also parameter_bytes and row_bytes (memory of all buffers)
  is_parallelizable, validation_rows
  remarks: kind, message
  container: what stands in the file besides; its keys depend on the format,
    there are none for instmodel
  problems: kind, message, instruction; why there is no model
Where there are problems, the keys are file, format, file_bytes, container and
problems.
"""
EXAMPLE = "instjit inspect examples/digits/digits.json --cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_model(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything as JSON")
    form.add_argument("--source", action="store_true", help="the generated source")
    form.add_argument("--dot", action="store_true", help="the dependency graph as Graphviz text")
    parser.add_argument(
        "--cost", action="store_true", help="cost of every instruction in the table"
    )
    add_level(parser, "instruction set of --source")
    add_limits(parser)


def execute(args: argparse.Namespace) -> int:
    """Print; a model with problems is an error."""
    from instjit.commands.model_file import limits_of, open_model

    if args.source:
        from instjit.commands.kernel_text import source_text

        print(source_text(open_model(args.model, limits_of(args), check=False), args.level), end="")
        return 0
    if args.dot:
        from instjit.commands.graph_text import dot

        print(dot(open_model(args.model, limits_of(args), check=False)), end="")
        return 0
    from instjit.commands.inspection import show

    return show(args)
