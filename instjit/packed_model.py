"""A model as plain values and one block of bytes, and back: what travels in a pickle.

Equal arrays lie in the block once, in the model's own dtypes, so every bit is kept. What a dense
chain has is left out: of RMD1's 24 bytes a layer its size and its activation are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrays import SINGLE, frozen, is_ragged
from instjit.envelope import damaged
from instjit.model import Buffer, LookupTable, Model, ValidationData
from instjit.ops import OPS, Dot, Instruction
from instjit.ops.wire import Wire, wire_fields
from instjit.plain_bytes import Plain

INT32: np.dtype[Any] = np.dtype(np.int32)

EMPTY: Plain = ((), (), None, None, None, None, None, (), (), None)
"""A structure of nothing: what it ends in is left out of others."""


def packed(model: Model) -> tuple[Plain, bytes]:
    """The structure of a model, right or wrong, and the bytes of its numbers, not deflated."""
    block, floats = _Block(), np.dtype(model.dtype)
    usual, rows = _Usual(model.buffers), model.validation_data
    weights = tuple(block.add(array, floats) for array in model.weights)
    bias = tuple(block.add(array, floats) for array in model.bias)
    size = model.feature_size
    structure = (
        tuple(map(_packed_buffer, model.buffers)),
        tuple(_packed_instruction(*each) for each in enumerate(model.instructions)),
        None if floats == SINGLE else floats.name,
        model.features,
        None if size == usual.feature_size(model.features) else (size,),
        None if weights == usual.weights else weights,
        None if bias == usual.bias else bias,
        tuple(block.add(array, SINGLE) for array in model.parameters),
        tuple(
            (_packed_keys(table, block), block.add(table.values, SINGLE)) for table in model.maps
        ),
        rows and (block.add(rows.inputs, SINGLE), block.add(rows.expected_outputs, SINGLE)),
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
    sizes, instructions, dtype, features, size, weights, bias, parameters, maps, rows = whole
    block, floats = _Reading(content), np.dtype(dtype or SINGLE)
    buffers = [Buffer((one,)) if isinstance(one, int) else Buffer(*one) for one in sizes]
    usual = _Usual(buffers)
    model = Model(
        buffers,
        [_unpacked_instruction(*each) for each in enumerate(instructions)],
        [block.take(one, floats) for one in (usual.weights if weights is None else weights)],
        [block.take(one, floats) for one in (usual.bias if bias is None else bias)],
        features=features,
        feature_size=usual.feature_size(features) if size is None else size[0],
        parameters=[block.take(one, SINGLE) for one in parameters],
        maps=[_unpacked_table(keys, values, block) for keys, values in maps],
        validation_data=rows and ValidationData(*(block.take(one, SINGLE) for one in rows)),
        dtype=floats.name,
    )
    block.close()
    return model


class _Usual:
    """What a dense chain of those buffers has: a matrix and a bias from each to the next."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self._sizes = [buffer.size for buffer in buffers]
        self.weights = tuple((rows, columns) for columns, rows in pairwise(self._sizes))
        self.bias = tuple(self._sizes[1:])

    def feature_size(self, features: Any) -> int | None:
        """Columns that say no more than the first buffer; none beside names."""
        return self._sizes[0] if self._sizes and features is None else None


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


def _packed_instruction(number: int, instruction: Instruction) -> Any:
    """Its kind and fields; of a layer in a dense chain the activation alone."""
    if type(instruction) is not OPS.get(instruction.kind):
        raise TypeError(f"{type(instruction).__name__} is none of instjit's instructions")
    values = []
    for field in wire_fields(type(instruction)):
        value = getattr(instruction, field.name)
        if field.wire is Wire.ACTIVATION and value is not None:
            value = value.name
        elif field.wire is Wire.NUMBERS:  # not as floats: 0.0 equals -0.0, NaN nothing
            value = np.array(value, SINGLE).tobytes()
        values.append(value)
    if (instruction.kind, *values[:-1]) == _layer(number):
        return values[-1]
    return (instruction.kind, *values)


def _unpacked_instruction(number: int, entry: Any) -> Instruction:
    kind, *values = entry if isinstance(entry, tuple) else (*_layer(number), entry)
    record = OPS[kind]
    fields = {}
    for field, value in zip(wire_fields(record), values, strict=True):
        numbers = field.wire is Wire.NUMBERS
        fields[field.name] = np.frombuffer(value, SINGLE) if numbers else value
    return record(**fields)


def _layer(number: int) -> Plain:
    """A DOT of a dense chain, without its activation, which is the last field."""
    return Dot.kind, number, number + 1, number


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
