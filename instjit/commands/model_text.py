"""What ``instjit inspect`` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import instjit
from instjit.commands.text import printable
from instjit.cost import Cost, ModelCost
from instjit.counted import count
from instjit.errors import Problem
from instjit.graph import is_parallelizable, parents
from instjit.model import Model
from instjit.ops import Instruction
from instjit.ops.wire import wire_fields
from instjit.preview import aligned
from instjit.remarks import remarks

SHOWN_NAMES = 8
LONGEST_OPERAND = 24
SHOWN_ROWS = 200
"""Of buffers and of instructions."""
COST = tuple(field.name for field in dataclasses.fields(Cost))


def model_facts(model: Model) -> Iterator[tuple[str, Any]]:
    """The part of the object that ``instjit.commands.inspect`` describes that is the model's.

    What can fail is done here; the long lists are iterators.
    """
    return _facts(model, instjit.cost(model), is_parallelizable(model), remarks(model))


def _facts(
    model: Model, work: ModelCost, parallel: bool, found: tuple[Problem, ...]
) -> Iterator[tuple[str, Any]]:
    yield "digest", model.digest
    yield "input_size", model.input_size
    yield "output_size", model.output_size
    yield "required_memory", model.required_memory
    yield "parameters", work.parameters
    yield "dtype", model.dtype
    yield "features", model.features
    yield (
        "buffers",
        (
            {"shape": each.shape, "dtype": each.dtype, "size": each.size, "start": start}
            for each, start in zip(model.buffers, model.buffer_starts, strict=True)
        ),
    )
    yield (
        "instructions",
        (
            {
                "kind": each.kind,
                "operands": operands(each),
                "parents": above,
                "cost": _cost(each.cost(model)),
            }
            for each, above in zip(model.instructions, parents(model), strict=True)
        ),
    )
    sizes = {"parameter_bytes": work.parameter_bytes, "row_bytes": work.row_bytes}
    yield "cost", {**_cost(work.row), **sizes}
    yield "is_parallelizable", parallel
    yield "validation_rows", _validation_rows(model)
    yield "remarks", [{"kind": each.kind, "message": each.message} for each in found]


def model_blocks(model: Model, head: list[list[str]], with_cost: bool) -> list[list[str]]:
    """The same for people: blocks of lines, the first with ``head`` in front."""
    found = remarks(model)
    buffers = aligned(_buffers(model), frozenset({1}))
    instructions = aligned(_instructions(model, with_cost), frozenset({1, 2, 3}))
    blocks = [
        aligned([*head, *_head(model)], frozenset({0, 1})),
        ["buffers", *_indented([*buffers, *_more(model.buffers)])],
        ["instructions", *_indented([*instructions, *_more(model.instructions)])],
        ["remarks", *(f"  {printable(remark.message)}" for remark in found)] if found else [],
    ]
    return [block for block in blocks if block]


def operands(instruction: Instruction) -> dict[str, Any]:
    """Fields of an instruction by their wire names, those that are left out missing."""
    values = {f.name: getattr(instruction, f.name) for f in wire_fields(type(instruction))}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _head(model: Model) -> list[list[str]]:
    names = [printable(name) for name in model.features or ()]
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    shown = ", ".join(names[:SHOWN_NAMES]) + more if names else "without names"
    work = instjit.cost(model)
    parallel = "some instructions are" if is_parallelizable(model) else "no two are"
    slots = f"{count(model.required_memory, 'slot')} in {count(len(model.buffers), 'buffer')}"
    parameters = f"{count(work.parameters, 'number')} in {model.dtype}"
    return [
        ["digest", f"0x{model.digest}"],
        ["input", f"{count(model.input_size, 'column')}: {shown}"],
        ["output", count(model.output_size, "column")],
        ["parameters", f"{parameters}, {count(work.parameter_bytes, 'byte')}"],
        [
            "a row",
            f"{work.multiply_adds:,} multiply-adds, {work.operations:,} other operations, "
            f"{work.moved:,} slots moved",
        ],
        ["memory", f"{slots}, {count(work.row_bytes, 'byte')} a row"],
        ["independent", f"{parallel} independent of each other"],
        ["validation", count(_validation_rows(model), "row")],
    ]


def _buffers(model: Model) -> list[list[str]]:
    rows = [["#", "shape", "start", "role"]]
    shown = zip(model.buffers[:SHOWN_ROWS], model.buffer_starts, strict=False)
    for number, (buffer, start) in enumerate(shown):
        roles = ["input"] if start < model.input_size and buffer.size else []
        roles += ["output"] if number == len(model.buffers) - 1 else []
        shape = " x ".join(map(str, buffer.shape))
        rows.append([str(number), shape, str(start), " and ".join(roles)])
    return rows


def _instructions(model: Model, with_cost: bool) -> list[list[str]]:
    rows = [["#", "kind", "from -> to", "operands"]]
    if with_cost:
        rows[0] += ["multiply-adds", "operations", "moved", "constants"]
    for number, each in enumerate(model.instructions[:SHOWN_ROWS]):
        buffers = ", ".join(map(str, each.reads()))
        shown = [
            f"{field.name} {_short(getattr(each, field.name))}"
            for field in wire_fields(type(each))
            if field.refers_to != "buffers" and getattr(each, field.name) is not None
        ]
        rows.append([str(number), each.kind, f"{buffers} -> {each.output}", ", ".join(shown)])
        if with_cost:
            rows[-1] += [f"{value:,}" for value in dataclasses.astuple(each.cost(model))]
    return rows


def _short(value: Any) -> str:
    text = str(_plain(value))
    return text if len(text) <= LONGEST_OPERAND else f"{len(value)} of them"


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    return getattr(value, "name", value)


def _cost(cost: Cost) -> dict[str, int]:
    return {**{name: getattr(cost, name) for name in COST}, "flops": cost.flops}


def _validation_rows(model: Model) -> int:
    return 0 if model.validation_data is None else len(model.validation_data.inputs)


def _more(rows: Sequence[Any]) -> list[str]:
    hidden = len(rows) - SHOWN_ROWS
    return [f"... and {hidden:,} more, --json lists all"] if hidden > 0 else []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
