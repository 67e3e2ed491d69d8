"""Model -> canonical JSON: fixed key order, no spaces, shortest decimals, unset fields left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from instjit.arithmetic import FloatArray
from instjit.arrays import is_ragged
from instjit.errors import FormatError, Problem
from instjit.formats.extras import NONE, Extras
from instjit.formats.finite import not_finite, not_finite_in_map
from instjit.model import LookupTable, Model
from instjit.ops import Instruction
from instjit.ops.activation import Activation
from instjit.ops.wire import Wire, wire_fields

_OPTIONS = (
    orjson.OPT_SERIALIZE_NUMPY
)  # float32 arrays: the shortest decimal of the float32, not of the double


def encode(model: Model, extras: Extras = NONE) -> bytes:
    """Canonical JSON of a model; ``decode`` gives the same model back, in float32.

    Parameters
    ----------
    model
        A model without problems.
    extras
        Not held by this format.

    Raises
    ------
    FormatError
        ``NonFiniteWeights`` or ``NonFiniteNumber`` for what JSON cannot hold: NaN and infinity.
    """
    model = model.rounded
    problems = tuple(_unwritable(model))
    if problems:
        raise FormatError(problems)
    document: dict[str, Any] = {}
    if model.features is not None:
        document["features"] = model.features
    if model.feature_size is not None:
        document["feature_size"] = model.feature_size
    document["buffer_sizes"] = [buffer.size for buffer in model.buffers]
    document["instructions"] = [_instruction(each) for each in model.instructions]
    document["weights"] = [_matrix(matrix) for matrix in model.weights]
    document["bias"] = model.bias
    if model.parameters:
        document["parameters"] = model.parameters
    if model.maps:
        document["maps"] = [_map(table) for table in model.maps]
    if model.validation_data is not None:
        document["validation_data"] = {
            "inputs": _matrix(model.validation_data.inputs),
            "expected_outputs": _matrix(model.validation_data.expected_outputs),
        }
    return orjson.dumps(document, option=_OPTIONS)


def _instruction(instruction: Instruction) -> dict[str, Any]:
    document: dict[str, Any] = {"type": instruction.kind}
    for field in wire_fields(type(instruction)):
        value = getattr(instruction, field.name)
        if value is None:
            continue
        if field.wire is Wire.NUMBERS:
            value = _vector(value)
        document[field.name] = value.value if isinstance(value, Activation) else value
    return document


def _matrix(array: FloatArray) -> Any:
    return list(array) if is_ragged(array) or not array.size else array


def _map(table: LookupTable) -> dict[str, FloatArray]:
    return {str(key): values for key, values in zip(table.keys, table.values, strict=True)}


def _vector(values: tuple[float, ...]) -> FloatArray:
    return np.array(values, dtype=np.float32)


def _unwritable(model: Model) -> Iterator[Problem]:
    for name, arrays in (("weights", model.weights), ("bias", model.bias)):
        for number, array in enumerate(arrays):
            yield from not_finite(array, f"{name}[{number}]", "NonFiniteWeights")
    for number, array in enumerate(model.parameters):
        yield from not_finite(array, f"parameters[{number}]", "NonFiniteNumber")
    for number, table in enumerate(model.maps):
        yield from not_finite_in_map(table, f"maps[{number}]")
    for number, instruction in enumerate(model.instructions):
        for field in wire_fields(type(instruction)):
            if field.wire is Wire.NUMBERS:
                values = _vector(getattr(instruction, field.name))
                path = f"instructions[{number}].{field.name}"
                yield from not_finite(values, path, "NonFiniteNumber")
    if model.validation_data is not None:
        for name in ("inputs", "expected_outputs"):
            array = getattr(model.validation_data, name)
            yield from not_finite(array, f"validation_data.{name}", "NonFiniteNumber")
