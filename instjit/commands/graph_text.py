"""The dependency graph of a model in the Graphviz language."""

from __future__ import annotations

import instjit
from instjit.model import Model


def dot(model: Model) -> str:
    """Text for ``dot -Tsvg``; an arrow for every instruction that waits for another.

    It holds numbers and instruction names only, nothing else from the file.
    """
    graph = instjit.graph(model)
    lines = ["digraph model {", "  rankdir=TB;", "  node [shape=box, fontname=monospace];"]
    lines += [f'  input [label="input\\n{model.input_size}", shape=oval];']
    for number, instruction in enumerate(model.instructions):
        size = model.buffers[instruction.output].size
        label = f"{number}: {instruction.kind}\\nbuffer {instruction.output} ({size})"
        lines.append(f'  i{number} [label="{label}"];')
    lines += [f'  output [label="output\\n{model.output_size}", shape=oval];']
    for number, node in enumerate(graph.nodes):
        lines += [f"  i{parent} -> i{number};" for parent in node.parents]
    lines += [f"  input -> i{number};" for number in sorted(_input_readers(model))]
    lines += [f"  i{number} -> output;" for number in graph.last_writers[-1]]
    return "\n".join([*lines, "}"]) + "\n"


def _input_readers(model: Model) -> set[int]:
    """Instructions that read an input buffer before any instruction writes all of it."""
    starts = model.buffer_starts
    fresh = {b for b, start in enumerate(starts) if start < model.input_size}
    readers: set[int] = set()
    for number, instruction in enumerate(model.instructions):
        if fresh & set(instruction.reads()):
            readers.add(number)
        if not instruction.partial:
            fresh.discard(instruction.output)
    return readers
