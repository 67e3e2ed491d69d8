"""Where a program's constants lie in ``k`` and ``n``: from the structure of the model alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.errors import CompileError, Problem
from instjit.kernels.multiplier import Multiplier
from instjit.kernels.packing import (
    DIRECTORY,
    LINE_FLOATS,
    Floats,
    Integers,
    PackedTable,
    aligned_floats,
    block_floats,
    pack_gemm,
    pack_table,
)
from instjit.model import Model
from instjit.program import Call, Constant, Expression, Gemm, Lookup, Program, Read, Step


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of index lists, lookups' directories, Gemm blocks and parameter vectors.

    Attributes
    ----------
    lists
        Place in ``n`` of each distinct index list.
    directories
        Place in ``n`` of each Lookup's directory, in the order of the program.
    blocks, vectors
        Place in ``k`` by number of matrix, by number of parameter vector.
    floats, integers
        Entries of ``k`` and ``n`` before the tables, whose size is not structure.
    """

    lists: dict[tuple[int, ...], int]
    directories: tuple[int, ...]
    blocks: dict[int, int]
    vectors: dict[int, int]
    floats: int
    integers: int


def layout(
    program: Program, model: Model, size: Callable[[int, int], int] = block_floats
) -> Layout:
    """Lay out what the program's steps refer to, each constant once.

    Parameters
    ----------
    program
        A program of this model.
    size
        Floats of a Gemm's block, of its outputs and depth.
    """
    lists: dict[tuple[int, ...], int] = {}
    blocks: dict[int, int] = {}
    vectors: dict[int, int] = {}
    floats = integers = 0
    for leaf in _leaves(program.steps):
        if isinstance(leaf, Read) and leaf.index.kind == "gather" and leaf.index.slots not in lists:
            lists[leaf.index.slots] = integers
            integers += len(leaf.index.slots)
        if isinstance(leaf, Constant) and leaf.vector not in vectors:
            vectors[leaf.vector] = floats
            floats += _whole_lines(len(model.parameters[leaf.vector]))
    for step in program.steps:
        if isinstance(step, Gemm) and step.weights not in blocks:
            blocks[step.weights] = floats
            floats += _whole_lines(size(step.target.count, step.source.count))
    lookups = sum(isinstance(step, Lookup) for step in program.steps)
    directories = tuple(integers + DIRECTORY * number for number in range(lookups))
    return Layout(lists, directories, blocks, vectors, floats, integers + DIRECTORY * lookups)


def bind(
    program: Program,
    model: Model,
    places: Layout,
    panel: int,
    multiplier: Multiplier | None = None,
) -> tuple[Floats, Integers]:
    """The arrays ``k`` and ``n`` for a model's numbers.

    Parameters
    ----------
    program, places
        A program of this model and its layout.
    panel
        Outputs of a full panel (``Level.panel``).
    multiplier
        What takes the wide products, None for float32.
    """
    pack = multiplier.pack if multiplier else pack_gemm
    return bind_with(program, model, places, lambda k, w, b: pack(k, w, b, panel))


def bind_with(
    program: Program,
    model: Model,
    places: Layout,
    pack: Callable[[Floats, npt.NDArray[Any], npt.NDArray[Any]], None],
) -> tuple[Floats, Integers]:
    """As ``bind``; ``pack(k, weights, bias)`` writes a Gemm's block to the head of ``k``."""
    lookups = [step for step in program.steps if isinstance(step, Lookup)]
    maps = {step.table: model.maps[step.table] for step in lookups}
    tables = {number: pack_table(m.keys_array, m.values_array) for number, m in maps.items()}
    defaults = sum(len(step.default) for step in lookups)
    k = _floats(places.floats + defaults + sum(table.values.size for table in tables.values()))
    held = sum(len(table.keys) + len(table.dense) for table in tables.values())
    n = np.zeros(places.integers + held + 1, dtype=np.int32)
    for slots, at in places.lists.items():
        n[at : at + len(slots)] = slots
    for vector, at in places.vectors.items():
        k[at : at + len(model.parameters[vector])] = model.parameters[vector]
    for weights, at in places.blocks.items():
        pack(k[at:], model.weights[weights], model.bias[weights])
    _bind_tables(lookups, tables, places, k, n)
    k.setflags(write=False)
    n.setflags(write=False)
    return k, n


def _bind_tables(
    lookups: Sequence[Lookup],
    tables: Mapping[int, PackedTable],
    places: Layout,
    k: Floats,
    n: Integers,
) -> None:
    floats, integers = places.floats, places.integers
    shared: dict[int, tuple[int, ...]] = {}
    for number, table in tables.items():
        dense_at = integers + len(table.keys)
        end = dense_at + len(table.dense)
        n[integers:dense_at] = table.keys
        n[dense_at:end] = table.dense
        k[floats : floats + table.values.size] = table.values.ravel()
        entry = (integers, len(table.keys), table.first, len(table.dense), dense_at, floats)
        shared[number] = entry
        integers, floats = end, floats + table.values.size
    for step, at in zip(lookups, places.directories, strict=True):
        n[at : at + DIRECTORY] = (*shared[step.table], floats)
        k[floats : floats + len(step.default)] = step.default
        floats += len(step.default)


def _floats(count: int) -> Floats:
    """The array ``k``; its places are written as int32 in ``n``."""
    if count >= 2**31:
        sentence = f"the model's constants take {count} floats, a kernel holds {2**31 - 1}"
        raise CompileError(Problem("TooManyConstants", sentence, fields={"floats": count}))
    return aligned_floats(count)


def _whole_lines(floats: int) -> int:
    return -(-floats // LINE_FLOATS) * LINE_FLOATS


def _leaves(steps: Iterable[Step]) -> Iterable[Expression]:
    for step in steps:
        if isinstance(step, Gemm):
            stack = [step.epilogue]
        elif isinstance(step, Lookup):
            continue
        else:
            stack = [step.value]
        while stack:
            value = stack.pop()
            if isinstance(value, Call):
                stack.extend(reversed(value.arguments))
            else:
                yield value
