"""``instjit inspect``: what a model holds."""

from __future__ import annotations

import argparse

from instjit.commands.arguments import add_level, add_model

DESCRIPTION = """\
Show what a model holds: buffers, instructions, features, cost, and what is
remarkable about it (slots that are read before they are written, numbers that
are not finite, features without names). Nothing is compiled.

--json prints one object:
  file, digest
  input_size, output_size, required_memory (slots of all buffers)
  parameters (numbers in all weights, biases, parameters and maps)
  features (names, or null)
  buffers: shape, dtype, size, start
  instructions: kind, operands (by their names in files), parents (numbers of
    the instructions it waits for), cost
  cost: multiply_adds, operations, moved, constants, flops of a row
  is_parallelizable, validation_rows
  remarks: kind, message
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


def execute(args: argparse.Namespace) -> int:
    """Print; a model with problems is an error."""
    from instjit.commands.model_file import open_model

    model = open_model(args.model, check=False)
    if args.source:
        from instjit.commands.kernel_text import source_text

        print(source_text(model, args.level), end="")
    elif args.dot:
        from instjit.commands.graph_text import dot

        print(dot(model), end="")
    else:
        from instjit.commands.model_text import summary_json, summary_text

        print(
            summary_json(model, args.model)
            if args.json
            else summary_text(model, args.model, args.cost)
        )
    return 0
