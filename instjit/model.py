"""The model: frozen data, and the figures that follow from it.

It knows nothing of files, numba or threads, and it may be wrong: ``instjit.validate`` tells.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.arrays import SINGLE, array_bytes, frozen, integer, matrix, vector
from instjit.features import total_width
from instjit.model_arguments import (
    arrays_of,
    feature_names,
    float_type,
    instructions_of,
    invalid,
    listed,
)
from instjit.unlocked import cached_property

if TYPE_CHECKING:
    from instjit.ops.instruction import Instruction

INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Buffer:
    """A named region: its shape for one row, and the dtype of its slots."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Slots of the buffer."""
        return math.prod(self.shape)


class LookupTable:
    """A map from integer ids to vectors.

    Parameters
    ----------
    entries
        Keys and their vectors. Keys are ints, or strings that spell an int32 (``"7"``, ``"+7"``,
        ``"007"``); a key that does neither is kept as the string it is, for ``instjit.validate`` to
        report.
    vectors
        The vectors, when ``entries`` are the keys alone.

    Attributes
    ----------
    keys
        The keys as given, in order.
    values
        (entries, size) float32, or rows of unequal length (``arrays.is_ragged``).
    """

    __slots__ = ("__dict__", "keys", "values")

    keys: tuple[int | str, ...]
    values: FloatArray

    def __init__(
        self, entries: Mapping[Any, Any] | Iterable[Any] = (), vectors: Any = None
    ) -> None:
        keys = listed(entries.items() if isinstance(entries, Mapping) else entries, "map")
        if vectors is None:
            if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in keys):
                raise invalid("map: expected a dict, or pairs of a key and its vector")
            keys, vectors = tuple(key for key, _ in keys), [value for _, value in keys]
        object.__setattr__(self, "keys", tuple(map(_map_key, keys)))
        object.__setattr__(self, "values", matrix(vectors, "map"))
        if len(self.keys) != len(self.values):
            raise invalid(f"map: {len(self.keys)} keys for {len(self.values)} vectors")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a LookupTable is frozen: {name} cannot be set")

    def __repr__(self) -> str:
        return f"LookupTable({len(self.keys)} entries)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LookupTable):
            return NotImplemented
        return list(self.content()) == list(other.content())

    def __hash__(self) -> int:
        return hash(self.keys)

    def __reduce__(self) -> tuple[Any, ...]:
        return LookupTable, (self.keys, self.values)

    def content(self) -> Iterator[bytes]:
        """Everything the table holds, for digests."""
        yield repr(self.keys).encode()
        yield from array_bytes(self.values)

    @cached_property
    def keys_array(self) -> npt.NDArray[np.int32]:
        """The keys, int32, ascending: for a table without problems."""
        return frozen(np.array(sorted(int(key) for key in self.keys), dtype=np.int32))

    @cached_property
    def values_array(self) -> FloatArray:
        """The vectors in the order of ``keys_array``: (entries, size) float32."""
        order = np.argsort(np.array(self.keys, dtype=np.int64), kind="stable")
        return frozen(self.values[order])


@dataclass(frozen=True, init=False, eq=False)
class ValidationData:
    """Rows of input and the outputs that the model's author saw for them."""

    inputs: FloatArray
    expected_outputs: FloatArray

    def __init__(self, inputs: Any, expected_outputs: Any) -> None:
        object.__setattr__(self, "inputs", matrix(inputs, "validation inputs"))
        object.__setattr__(self, "expected_outputs", matrix(expected_outputs, "expected outputs"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ValidationData):
            return NotImplemented
        return list(self.content()) == list(other.content())

    def __hash__(self) -> int:
        return hash(tuple(self.content()))

    def __reduce__(self) -> tuple[Any, ...]:
        return ValidationData, (self.inputs, self.expected_outputs)

    def content(self) -> Iterator[bytes]:
        """Everything the rows hold, for digests."""
        yield from array_bytes(self.inputs)
        yield from array_bytes(self.expected_outputs)


BufferLike: TypeAlias = "Buffer | int | Sequence[int]"
MapLike: TypeAlias = "LookupTable | Mapping[Any, Any]"


@dataclass(frozen=True, init=False, eq=False)
class Model:
    """An instruction model.

    Parameters
    ----------
    buffers
        Sizes, or ``Buffer`` records. The leading ones take the input, the last one is the output.
    instructions
        What to do, in order (``instjit.Dot`` and the other instruction classes).
    weights
        Matrices, each [outputs][inputs].
    bias
        One vector for each matrix; zeros when left out.
    parameters, maps
        Vectors and id maps (``LookupTable`` or a mapping) that instructions refer to by number.
    features
        Names of the input columns; ``name[k]`` stands for k columns. Empty: as many columns as the
        leading buffers that are read before they are written.
    feature_size
        Number of input columns; ``features`` or this must be given.
    validation_data
        ``ValidationData`` or the pair (inputs, expected_outputs).
    dtype
        "float32", or "float64" to keep weights and biases in that, as an RMD1 file may hold them.
        Kernels compute in float32 and round them once; ``reference.run64`` uses them as they are.

    Numbers become read-only arrays. Models are equal when all they hold is, NaN by its bits.
    """

    buffers: tuple[Buffer, ...]
    instructions: tuple[Instruction, ...]
    weights: tuple[FloatArray, ...]
    bias: tuple[FloatArray, ...]
    parameters: tuple[FloatArray, ...]
    maps: tuple[LookupTable, ...]
    features: tuple[str, ...] | None
    feature_size: int | None
    validation_data: ValidationData | None
    dtype: str

    def __init__(
        self,
        buffers: Iterable[BufferLike],
        instructions: Iterable[Instruction],
        weights: Iterable[Any] = (),
        bias: Iterable[Any] | None = None,
        *,
        parameters: Iterable[Any] = (),
        maps: Iterable[MapLike] = (),
        features: Iterable[str] | None = None,
        feature_size: int | None = None,
        validation_data: ValidationData | tuple[Any, Any] | None = None,
        dtype: str = "float32",
    ) -> None:
        floats = float_type(dtype)
        matrices = arrays_of(matrix, weights, "weights", floats)
        if bias is None:
            bias = [np.zeros(len(weight)) for weight in matrices]
        if validation_data is not None and not isinstance(validation_data, ValidationData):
            pair = listed(validation_data, "validation_data")
            if len(pair) != 2:
                raise invalid(f"validation_data: expected inputs and outputs, got {len(pair)}")
            validation_data = ValidationData(*pair)
        for name, value in {
            "buffers": _buffers(buffers),
            "instructions": instructions_of(instructions),
            "weights": matrices,
            "bias": arrays_of(vector, bias, "bias", floats),
            "parameters": arrays_of(vector, parameters, "parameters", SINGLE),
            "maps": tuple(
                m if isinstance(m, LookupTable) else LookupTable(m) for m in listed(maps, "maps")
            ),
            "features": None if features is None else feature_names(features),
            "feature_size": None if feature_size is None else integer(feature_size, "feature_size"),
            "validation_data": validation_data,
            "dtype": floats.name,
        }.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_logistic_regression(
        cls, weights: Mapping[str, float], order: Sequence[str] | None = None
    ) -> Model:
        """A sigmoid of a weighted sum; see ``instjit.compose.from_logistic_regression``."""
        from instjit.compose import (
            from_logistic_regression,  # compose builds models, so it stands above
        )

        return from_logistic_regression(weights, order)

    @cached_property
    def buffer_starts(self) -> tuple[int, ...]:
        """First slot of every buffer in the flat layout, one after the other."""
        starts, total = [], 0
        for buffer in self.buffers:
            starts.append(total)
            total += buffer.size
        return tuple(starts)

    @cached_property
    def required_memory(self) -> int:
        """Slots of all buffers."""
        return sum(buffer.size for buffer in self.buffers)

    @property
    def output_size(self) -> int:
        """Slots of the last buffer, which is the output."""
        return self.buffers[-1].size

    @property
    def output_start(self) -> int:
        """First slot of the output in the flat layout."""
        return self.buffer_starts[-1]

    @cached_property
    def input_size(self) -> int:
        """Columns of a row of input."""
        if self.feature_size is not None:
            return self.feature_size
        return total_width(self.features) if self.features else self._inferred_width()

    @cached_property
    def rounded(self) -> Model:
        """The same model with float32 constants, each rounded once; itself when it has no others.

        It lives as long as the model does.
        """
        if self.dtype == "float32":
            return self
        fields = [getattr(self, name) for name in self.__dataclass_fields__]
        return _rebuild(*fields[:-1], "float32")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything the model holds, as 64 hex digits."""
        digest = hashlib.sha256()
        for part in self._content():
            digest.update(
                len(part).to_bytes(8, "little")
            )  # so that no two models run together alike
            digest.update(part)
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        count = len(self.instructions)
        shape = f"{self.input_size} -> {self.output_size}" if self.buffers else "no buffers"
        return f"Model({shape}, {count} instruction{'s' * (count != 1)}, 0x{self.digest[:8]})"

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, _: Any) -> Model:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from instjit.portable import reduced  # which packs models, so it stands above

        try:
            return reduced(self)
        except (TypeError, OverflowError):  # a buffer or an instruction of another make
            return _rebuild, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def _content(self) -> Iterator[bytes]:
        more = () if self.dtype == "float32" else (self.dtype,)  # arrays tell, where there are any
        yield repr((self.buffers, self.features, self.feature_size, *more)).encode()
        for instruction in self.instructions:
            yield repr(instruction).encode()
        for arrays in (self.weights, self.bias, self.parameters):
            yield str(len(arrays)).encode()
            for array in arrays:
                yield from array_bytes(array)
        for table in self.maps:
            yield from table.content()
        if self.validation_data is not None:
            yield from self.validation_data.content()

    def _inferred_width(self) -> int:
        """Slots of the leading buffers up to the last that is read before it is written."""
        if self.features is None or not self.buffers:
            return 0
        last, written = 0, set[int]()
        for instruction in self.instructions:
            first_read = set(instruction.reads()) - written
            last = max([last, *(b for b in first_read if b < len(self.buffers))])
            written.add(instruction.output)
        return sum(buffer.size for buffer in self.buffers[: last + 1])


def _buffers(values: Any) -> tuple[Buffer, ...]:
    """Equal ones are one object: a file may hold 65,536."""
    made: dict[Buffer, Buffer] = {}
    each = (_buffer(buffer, k) for k, buffer in enumerate(listed(values, "buffers")))
    return tuple(made.setdefault(buffer, buffer) for buffer in each)


def _buffer(buffer: Any, number: int) -> Buffer:
    name = f"buffer {number}"
    shape = buffer.shape if isinstance(buffer, Buffer) else buffer
    several = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else shape
    several = several if isinstance(several, tuple) else (several,)
    made = Buffer(tuple(integer(size, name) for size in several))
    integer(made.size, name)
    return Buffer(made.shape, buffer.dtype) if isinstance(buffer, Buffer) else made


def _map_key(key: Any) -> int | str:
    if isinstance(key, int) and key.bit_length() > 64:
        return hex(key)  # str refuses more than 4,300 digits
    text = str(key)
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and len(digits) < 4000 and int(text) in INT32:
        return int(text)
    return text


def _rebuild(*fields: Any) -> Model:
    positional = 4  # buffers, instructions, weights, bias
    names = list(Model.__dataclass_fields__)[positional:]
    return Model(*fields[:positional], **dict(zip(names, fields[positional:], strict=True)))
