"""The JSON instruction model: bytes or a parsed dict -> Model.

What it guarantees is the shape of the file; every fault in that is one ``ParseError`` problem with
the place it stands at. What the model means is for ``instjit.validate``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from instjit.arithmetic import FloatArray
from instjit.arrays import INTEGERS, matrix, vector
from instjit.collecting import MOST_COUNTED, Collected, refuse
from instjit.errors import FormatError, ModelError, Problem
from instjit.formats.duplicates import duplicate_keys
from instjit.formats.finite import not_finite, not_finite_in_map
from instjit.formats.json_memory import SPARE, count_marks, parsed_bytes
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.plain_rows import are_plain, may_hold_bools
from instjit.model import LookupTable, Model, ValidationData
from instjit.ops import OPS, Activation, Instruction
from instjit.ops.wire import Wire, WireField, wire_fields

_MISSING = object()
_NUMBERS = frozenset({int, float})
_SHOWN = 40


def sniff(head: bytes) -> bool:
    """Whether a file that begins with these bytes may be JSON."""
    return head.lstrip(b" \t\r\n")[:1] in (b"{", b"[")


def decode(source: bytes | Mapping[str, Any], limits: Limits = DEFAULT) -> Model:
    """Read a model.

    Parameters
    ----------
    source
        UTF-8 JSON, or what ``json.loads`` makes of it (int map keys and NumPy arrays are fine
        there).
    limits
        Bounds on what is built.

    Raises
    ------
    FormatError
        ``ParseError`` for the shape of the JSON, ``NonFiniteWeights`` and ``NonFiniteNumber`` for
        numbers that are infinite in float32, ``LimitExceeded``; with every problem that was found.
    """
    if not isinstance(source, bytes):
        return _Decoder(limits, bools=True).model(source)
    document = parse(source, limits)
    return _Decoder(limits, bools=may_hold_bools(source)).model(document)


def parse(text: bytes, limits: Limits) -> Any:
    """The document of a JSON text.

    Raises
    ------
    FormatError
        LimitExceeded, before anything is built; ParseError, for keys that stand twice too.
    """
    _check_size(text, limits)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FormatError(Problem("ParseError", f"not valid JSON: {error}")) from None
    refuse(
        Problem(
            "ParseError",
            f"byte {place}: key {_shown(key)} stands twice in one object",
            fields={"key": key, "offset": place},
        )
        for key, place in duplicate_keys(text)
    )
    return document


def _check_size(text: bytes, limits: Limits) -> None:
    """LimitExceeded for a text that is long, or would be large once it is parsed."""
    if len(text) > limits.json_bytes:
        raise FormatError(_over("bytes of JSON", len(text), limits.json_bytes))
    marks = count_marks(text)
    for name, actual, most in (
        ("JSON lists and objects", marks.containers, limits.json_lists),
        ("JSON values", marks.values, limits.json_values),
    ):
        if actual > most:
            raise FormatError(_over(name, actual, most))
    most = limits.json_growth * len(text) + SPARE
    needed = parsed_bytes(text, marks, most)
    if needed > most:
        message = f"the parsed JSON would take {needed} bytes of memory, the limit is {most}"
        fields = {"name": "bytes of parsed JSON", "actual": needed, "max": most}
        raise FormatError(Problem("LimitExceeded", message, fields=fields))


class _Decoder:
    """Walks a parsed document and collects problems; no value is built from a faulty part."""

    def __init__(self, limits: Limits, *, bools: bool) -> None:
        self.limits = limits
        self.bools = bools
        self.unequal_rows = 0
        self.faults = Collected()

    def model(self, document: Any) -> Model:
        if not isinstance(document, Mapping):
            raise FormatError(_parse_error("", "an object", document))
        most = self.limits
        names = self._optional(document, "features", self._names)
        feature_size = self._optional(document, "feature_size", self._index)
        sizes = self._part(document, "buffer_sizes", self._index, most.buffers)
        instructions = self._part(document, "instructions", self._instruction, most.instructions)
        weights = self._part(document, "weights", self._matrix, most.arrays)
        bias = self._part(document, "bias", self._weights_vector, most.arrays)
        parameters = self._part(document, "parameters", self._vector, most.arrays, required=False)
        maps = self._part(document, "maps", self._map, most.maps, required=False)
        validation_data = self._optional(document, "validation_data", self._validation_data)
        if self.faults.count:
            raise FormatError(self.faults.problems())
        return Model(
            sizes,
            instructions,
            weights,
            bias,
            parameters=parameters,
            maps=maps,
            features=names,
            feature_size=feature_size,
            validation_data=validation_data,
        )

    def _fault(self, path: str, wanted: str, value: Any) -> None:
        self.faults.add(_parse_error(path, wanted, value))

    def _bounded(self, name: str, actual: int, most: int) -> None:
        if actual > most:
            self.faults.add(_over(name, actual, most))

    def _optional(self, document: Mapping[str, Any], key: str, read: Any) -> Any:
        value = document.get(key)
        return None if value is None else read(value, key)

    def _part(
        self, document: Mapping[str, Any], key: str, read: Any, most: int, required: bool = True
    ) -> list[Any]:
        value = _required(document, key)
        if not required and (value is None or value is _MISSING):
            return []
        if isinstance(value, Sequence) and len(value) > most:
            self.faults.add(_over(f"entries of {key}", len(value), most))
            return []
        return self._list(value, key, read)

    def _list(self, value: Any, path: str, read: Any) -> list[Any]:
        if isinstance(value, np.ndarray):
            value = list(value)
        if not isinstance(value, list | tuple):
            self._fault(path, "a list", value)
            return []
        found = []
        for number, item in enumerate(value):
            if self.faults.count >= MOST_COUNTED:
                break  # the rest would not be looked at
            found.append(read(item, f"{path}[{number}]"))
        return found

    def _integers(self, value: Any, path: str, read: Any, lowest: int) -> list[int]:
        """A list of 64-bit integers from ``lowest`` on; ``read`` finds the place of a fault."""
        plain = type(value) is list and set(map(type, value)) == {int}
        if plain and min(value) >= lowest and max(value) in INTEGERS:
            whole: list[int] = value
            return whole
        return self._list(value, path, read)

    def _index(self, value: Any, path: str) -> int:
        number = self._slot(value, path, Wire.INDEX.value)
        if number < 0:
            self._fault(path, Wire.INDEX.value, value)
            return 0
        return number

    def _slot(self, value: Any, path: str, wanted: str = "an integer") -> int:
        number = _integer(value)
        if number is None or number not in INTEGERS:
            self._fault(path, wanted if number is None else f"{wanted}, of 64 bits", value)
            return 0
        return number

    def _names(self, value: Any, path: str) -> list[str]:
        if isinstance(value, list | tuple) and len(value) > self.limits.slots:
            self.faults.add(_over(f"entries of {path}", len(value), self.limits.slots))
            return []  # each takes a slot or more
        return self._list(value, path, self._name)

    def _name(self, value: Any, path: str) -> str:
        if not isinstance(value, str):
            self._fault(path, "a string", value)
            return ""
        try:
            size = len(value.encode())
        except UnicodeEncodeError:  # a lone surrogate, which JSON text cannot hold
            self._fault(path, "a string of valid Unicode", value)
            return ""
        self._bounded(f"bytes in {path}", size, self.limits.name_bytes)
        return value

    def _vector(self, value: Any, path: str, kind: str = "NonFiniteNumber") -> FloatArray:
        array = self._array(vector, self._numbers(value, path), path)
        self.faults.extend(not_finite(array, path, kind))
        return array

    def _weights_vector(self, value: Any, path: str) -> FloatArray:
        return self._vector(value, path, "NonFiniteWeights")

    def _matrix(self, value: Any, path: str, kind: str = "NonFiniteWeights") -> FloatArray:
        if not (isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "iuf"):
            if not are_plain(value, bools=self.bools):
                value = self._list(value, path, self._numbers)
            value = value if self._rows_are_few(value, path) else []
        array = self._array(matrix, value, path)
        self.faults.extend(not_finite(array, path, kind))
        return array

    def _slot_numbers(self, value: Any, path: str) -> FloatArray:
        """A number for each of a few slots; as Python floats, which take ten times their text."""
        if isinstance(value, Sequence) and len(value) > self.limits.slots:
            self.faults.add(_over(f"entries of {path}", len(value), self.limits.slots))
            return vector([])
        return self._vector(value, path)

    def _rows_are_few(self, rows: Any, path: str) -> bool:
        """Rows of unequal length are a fault; each is an array of its own until that is told."""
        if len({len(row) for row in rows}) > 1:
            self.unequal_rows += len(rows)
        fine = self.unequal_rows <= self.limits.unequal_rows
        if not fine:
            name = f"rows of unequal length up to {path}"
            self.faults.add(_over(name, self.unequal_rows, self.limits.unequal_rows))
        return fine

    def _array(self, freeze: Callable[[Any], FloatArray], numbers: Any, path: str) -> FloatArray:
        try:
            return freeze(numbers)
        except ModelError:  # a Python integer beyond float64; JSON text cannot hold one
            self._fault(path, "numbers of the size of a float", numbers)
            return freeze([])

    def _numbers(self, value: Any, path: str) -> Any:
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf":
            return value
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            self._fault(path, Wire.NUMBERS.value, value)
            return []
        if not set(map(type, value)) <= _NUMBERS:
            return self._list(value, path, self._number)
        return value

    def _number(self, value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            self._fault(path, "a number", value)
            return 0.0
        try:
            return float(value)
        except OverflowError:
            self._fault(path, "a number of the size of a float", value)
            return 0.0

    def _map(self, value: Any, path: str) -> LookupTable:
        if not isinstance(value, Mapping):
            self._fault(path, "an object of ids and lists of numbers", value)
            return LookupTable()
        self._bounded(f"entries of {path}", len(value), self.limits.map_entries)
        rows: list[Any] = list(value.values())
        if not are_plain(rows, bools=self.bools):
            rows = [self._numbers(entry, f"{path}.{_shown(key)}") for key, entry in value.items()]
        values = self._array(matrix, rows if self._rows_are_few(rows, path) else [], path)
        if len(values) < len(rows):
            return LookupTable()
        table = LookupTable(tuple(value), values)
        self.faults.extend(not_finite_in_map(table, path))
        return table

    def _validation_data(self, value: Any, path: str) -> ValidationData | None:
        if not isinstance(value, Mapping):
            self._fault(path, "an object with inputs and expected_outputs", value)
            return None
        inputs, outputs = (
            self._matrix(_required(value, key), f"{path}.{key}", "NonFiniteNumber")
            for key in ("inputs", "expected_outputs")
        )
        return ValidationData(inputs, outputs)

    def _instruction(self, value: Any, path: str) -> Instruction | None:
        if not isinstance(value, Mapping):
            self._fault(path, "an object", value)
            return None
        kind = _required(value, "type")
        record = OPS.get(kind) if isinstance(kind, str) else None
        if record is None:
            self._fault(f"{path}.type", "the name of an instruction", kind)
            return None
        before = self.faults.count
        operands = {field.name: self._operand(value, path, field) for field in wire_fields(record)}
        return record(**operands) if self.faults.count == before else None

    def _operand(self, document: Mapping[str, Any], path: str, field: WireField) -> Any:
        value = _required(document, field.name)
        if field.optional and (value is _MISSING or value is None):
            return None
        path = f"{path}.{field.name}"
        match field.wire:
            case Wire.INDEX:
                return self._index(value, path)
            case Wire.INDEXES:
                return self._integers(value, path, self._index, 0)
            case Wire.SLOTS:
                return self._integers(value, path, self._slot, INTEGERS.start)
            case Wire.NUMBERS:
                return self._slot_numbers(value, path)
            case Wire.ACTIVATION:
                return self._activation(value, path)

    def _activation(self, value: Any, path: str) -> Activation | None:
        if isinstance(value, str) and value in Activation.__members__:
            return Activation[value]
        self._fault(path, f"one of {', '.join(Activation.__members__)}", value)
        return None


def _required(document: Mapping[str, Any], key: str) -> Any:
    return document.get(key, _MISSING)


def _integer(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _parse_error(path: str, wanted: str, value: Any) -> Problem:
    where = path or "the document"
    got = "nothing" if value is _MISSING else _shown(value)
    message = f"{where}: expected {wanted}, got {got}"
    return Problem("ParseError", message, fields={"path": path})


def _over(name: str, actual: int, most: int) -> Problem:
    message = f"the file holds {actual} {name}, the limit is {most}"
    return Problem("LimitExceeded", message, fields={"name": name, "actual": actual, "max": most})


def _shown(value: Any) -> str:
    """A value as a few characters of a sentence, whatever it holds."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value not in INTEGERS:
        return f"an integer of {value.bit_length()} bits"  # str refuses more than 4,300 digits
    text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
