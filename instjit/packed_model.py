"""A model as plain values and one block of bytes, and back: what travels in a pickle.

Equal arrays lie in the block once, in the model's own dtypes, so every bit is kept; the block is
deflated where that makes it a quarter smaller, which is so where a JSON file is smaller than its
numbers in float32: zeros, and numbers of one digit or two.
"""

from __future__ import annotations

import zlib
from typing import Any, TypeAlias

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrays import SINGLE, frozen, is_ragged
from instjit.errors import FormatError, Problem
from instjit.model import Buffer, LookupTable, Model, ValidationData
from instjit.ops import OPS, Instruction
from instjit.ops.wire import Wire, wire_fields

Plain: TypeAlias = "tuple[Any, ...]"
"""Integers, strings, bytes, None and tuples of them: hashable, and equal where the models are."""

INT32: np.dtype[Any] = np.dtype(np.int32)

PROBED, PIECE = 2**16, 2**12
"""Bytes of a block that are deflated to see whether that pays, and of a piece of a larger one."""

PAYS = 0.75
LEVEL = 1

EMPTY: Plain = ((), (), (), (), None, None, (), (), None, None)
"""A structure of nothing: what it ends in is left out of others."""


def packed(model: Model) -> tuple[Plain, bytes]:
    """The structure of a model, right or wrong, and the bytes of its numbers, not deflated."""
    block, floats = _Block(), np.dtype(model.dtype)
    rows = model.validation_data
    structure = (
        tuple(map(_packed_buffer, model.buffers)),
        tuple(map(_packed_instruction, model.instructions)),
        tuple(block.add(array, floats) for array in model.weights),
        tuple(block.add(array, floats) for array in model.bias),
        model.features,
        model.feature_size,
        tuple(block.add(array, SINGLE) for array in model.parameters),
        tuple(
            (_packed_keys(table, block), block.add(table.values, SINGLE)) for table in model.maps
        ),
        rows and (block.add(rows.inputs, SINGLE), block.add(rows.expected_outputs, SINGLE)),
        None if floats == SINGLE else floats.name,
    )
    return _trimmed(structure), block.content()


def unpacked(structure: Plain, content: bytes) -> Model:
    """The model again; its arrays are views of ``content``.

    Raises
    ------
    FormatError
        DamagedPickle: ``content`` is shorter or longer than the structure says.
    """
    whole = (*structure, *EMPTY[len(structure) :])
    buffers, instructions, weights, bias, features, size, parameters, maps, rows, dtype = whole
    block, floats = _Reading(content), np.dtype(dtype or SINGLE)
    model = Model(
        [Buffer((one,)) if isinstance(one, int) else Buffer(*one) for one in buffers],
        [_unpacked_instruction(*one) for one in instructions],
        [block.take(one, floats) for one in weights],
        [block.take(one, floats) for one in bias],
        features=features,
        feature_size=size,
        parameters=[block.take(one, SINGLE) for one in parameters],
        maps=[_unpacked_table(keys, values, block) for keys, values in maps],
        validation_data=rows and ValidationData(*(block.take(one, SINGLE) for one in rows)),
        dtype=floats.name,
    )
    block.close()
    return model


def deflated(content: bytes) -> bytes | None:
    """The block deflated, None where that does not pay."""
    probe = content
    if len(content) > PROBED:
        step = len(content) // (PROBED // PIECE)
        probe = b"".join(content[at : at + PIECE] for at in range(0, len(content), step))
    if len(zlib.compress(probe, LEVEL)) > PAYS * len(probe):
        return None
    return zlib.compress(content, LEVEL)


def inflated(content: bytes) -> bytes:
    """The block again; FormatError (DamagedPickle) where it is none."""
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise damaged(str(error)) from error


def damaged(what: str) -> FormatError:
    """The error for a pickle that does not hold what it says."""
    return FormatError(Problem("DamagedPickle", f"this pickle is damaged: {what}"))


class _Block:
    """Bytes of arrays one after the other, equal ones once."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Any, ...], int] = {}

    def add(self, array: Any, dtype: np.dtype[Any]) -> Any:
        """What stands for an array: its length or shape when it is new, else (its number,)."""
        if is_ragged(array):
            return ("ragged", *(self.add(row, dtype) for row in array))
        key = array.tobytes(), array.shape, dtype
        if key in self._parts:
            return (self._parts[key],)
        self._parts[key] = len(self._parts)
        return array.shape if array.ndim == 2 else len(array)

    def content(self) -> bytes:
        return b"".join(part for part, *_ in self._parts)


class _Reading:
    """Takes the arrays out again, in the same order."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._known: list[FloatArray] = []

    def take(self, entry: Any, dtype: np.dtype[Any]) -> Any:
        if isinstance(entry, tuple) and entry[:1] == ("ragged",):
            return [self.take(row, dtype) for row in entry[1:]]
        if isinstance(entry, tuple) and len(entry) == 1:
            return self._known[entry[0]]
        shape = entry if isinstance(entry, tuple) else (entry,)
        try:
            array: Any = np.ndarray(shape, dtype, self._content, self._at)
        except (TypeError, ValueError) as error:
            raise damaged(f"its numbers end after {len(self._content)} bytes") from error
        self._at += array.nbytes
        self._known.append(frozen(array))
        return self._known[-1]

    def close(self) -> None:
        if self._at != len(self._content):
            raise damaged(f"it has {len(self._content)} bytes of numbers, expected {self._at}")


def _trimmed(structure: Plain) -> Plain:
    count = len(structure)
    while count and structure[count - 1] == EMPTY[count - 1]:
        count -= 1
    return structure[:count]


def _packed_buffer(buffer: Buffer) -> Any:
    plain = buffer == Buffer((buffer.size,))
    return buffer.size if plain else (buffer.shape, buffer.dtype)


def _packed_instruction(instruction: Instruction) -> Plain:
    values = []
    for field in wire_fields(type(instruction)):
        value = getattr(instruction, field.name)
        if field.wire is Wire.ACTIVATION and value is not None:
            value = value.name
        elif field.wire is Wire.NUMBERS:  # not as floats: 0.0 equals -0.0, NaN nothing
            value = np.array(value, SINGLE).tobytes()
        values.append(value)
    return (instruction.kind, *values)


def _unpacked_instruction(kind: str, *values: Any) -> Instruction:
    record = OPS[kind]
    fields = {}
    for field, value in zip(wire_fields(record), values, strict=True):
        numbers = field.wire is Wire.NUMBERS
        fields[field.name] = np.frombuffer(value, SINGLE) if numbers else value
    return record(**fields)


def _packed_keys(table: LookupTable, block: _Block) -> Any:
    """A number for an array of int32; the keys themselves where a wrong one is no number."""
    if all(isinstance(key, int) for key in table.keys):
        return block.add(np.array(table.keys, INT32), INT32)
    return table.keys


def _unpacked_table(keys: Any, values: Any, block: _Reading) -> LookupTable:
    alias = isinstance(keys, tuple) and len(keys) == 1 and isinstance(keys[0], int)
    if alias or not isinstance(keys, tuple):
        keys = block.take(keys, INT32).tolist()
    return LookupTable(keys, block.take(values, SINGLE))
