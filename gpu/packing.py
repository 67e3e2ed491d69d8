"""Models -> one float32 array, for ``instjit.gpu.predict``; ``opcodes`` tells what stands where."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Any, TypeAlias
from typing import Literal as OneOf

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.errors import CompileError, InputError, Problem
from instjit.gpu import opcodes
from instjit.load import load
from instjit.model import Model
from instjit.population import Population, alike, joined
from instjit.validate import check

Modelish: TypeAlias = "Model | str | os.PathLike[str] | bytes | IO[bytes] | dict[str, Any]"

MOST = 2**31 - 1
"""Most words of a model and most slots of its compute buffer: both are counted in int32."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Several models in one array.

    Attributes
    ----------
    words
        float32, one model after the other; integers as their raw bits. Copy it as bytes or as
        float32, and never compute with it.
    offsets
        The first word of each model, in the order in which they were given.
    """

    words: FloatArray
    offsets: tuple[int, ...]

    @property
    def compute_buffer_size(self) -> int:
        """Slots of a compute buffer that is large enough for each of the models."""
        places = np.array(self.offsets, np.int64) + opcodes.COMPUTE_SIZE
        return int(self.words.view(np.int32)[places].max(initial=0))


def pack(models: Iterable[Modelish] | Population, *, max_compute_buffer: int = MOST) -> Packed:
    """Write models into one array of words.

    Parameters
    ----------
    models
        Models, or what ``instjit.load`` takes. A model that comes several times is written once.
        Models in a row that differ in their numbers alone are checked and laid out once; of an
        ``instjit.Population``, which holds those numbers in arrays, none is built.
    max_compute_buffer
        Slots that the caller's compute buffers have, to be told here of a model that needs more.

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load`` and ``instjit.validate``.
    CompileError
        ComputeBufferTooLarge. TooManyWords: a model takes more than 2^31 - 1.
    InputError
        InputType: one model and not several.
    """
    one = isinstance(models, Model | str | bytes | os.PathLike | dict) or hasattr(models, "read")
    if one or not isinstance(models, Iterable):
        sentence = f"pack takes several models, as in a list, not one {type(models).__name__}"
        raise InputError(Problem("InputType", sentence))
    slots = min(max_compute_buffer, MOST)
    if isinstance(models, Population):
        form = _form(models.model, slots)
        count = len(models) * form.count
        return Packed(_written([(form, models)]), tuple(range(0, count, form.count)))
    runs, place_of = _runs(models, slots)
    joint = [(form, joined(several)) for form, several in runs]
    starts = _starts(joint)
    return Packed(_written(joint), tuple(starts[place] for place in place_of))


Run: TypeAlias = "tuple[Words, list[Model]]"


def _runs(models: Iterable[Modelish], slots: int) -> tuple[list[Run], list[int]]:
    """Distinct models, those in a row that are alike together, and which of them each one is.

    A model is checked where it begins a run; the others are found to be right by being like it.
    """
    runs: list[Run] = []
    numbers: dict[int, int] = {}
    kept: list[Any] = []  # so that no two of them have the same id
    for source in models:
        kept.append(source)
        if id(source) in numbers:
            continue
        numbers[id(source)] = len(numbers)
        model = source if isinstance(source, Model) else load(source)
        if not runs or not alike(runs[-1][1][0], model):
            check(model)
            runs.append((_form(model, slots), []))
        runs[-1][1].append(model)
    return runs, [numbers[id(source)] for source in kept]


def _form(model: Model, slots: int) -> Words:
    """The instructions of a model that is found to be right."""
    words = Words(model)
    for instruction in model.instructions:
        instruction.pack(words)
    _within("ComputeBufferTooLarge", "slots of compute buffer", words.compute_size, slots)
    _within("TooManyWords", "words", words.count, MOST)
    return words


def _starts(runs: Sequence[tuple[Words, Population]]) -> list[int]:
    """The first word of each model."""
    counts = (form.count for form, models in runs for _ in range(len(models)))
    return list(accumulate(counts, initial=0))


def _written(runs: Sequence[tuple[Words, Population]]) -> FloatArray:
    words = np.empty(sum(form.count * len(models) for form, models in runs), np.float32)
    at = 0
    for form, models in runs:
        end = at + form.count * len(models)
        form.write(words[at:end].reshape(len(models), form.count), models)
        at = end
    return words


def _within(kind: str, what: str, required: int, most: int) -> None:
    if required > most:
        sentence = f"the model takes {required} {what}, the limit is {most}"
        fields = {"required": required, "max_size": most}
        raise CompileError(Problem(kind, sentence, fields=fields))


class Words:
    """What an instruction's ``pack`` writes to: the instructions and lists of like models.

    Every method but ``write`` appends one instruction; buffers, weights, parameters and maps are
    given by their numbers.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._instructions: list[tuple[int, ...]] = []
        self._lists: list[npt.NDArray[Any]] = []
        self._listed = 0
        self._scratch = 0
        self._tables: dict[int, int] = {}
        self._matrices = _offsets(m.size + len(m) for m in model.weights)
        self._vectors = _offsets(map(len, model.parameters))

    @property
    def compute_size(self) -> int:
        """Slots of the compute buffer."""
        return self.model.required_memory + self._scratch

    @property
    def count(self) -> int:
        """Words of the model."""
        constants = self._matrices[-1] + self._vectors[-1] + self._listed
        return opcodes.HEADER + opcodes.INSTRUCTION * len(self._instructions) + constants

    # -- instructions ------------------------------------------------------------------------------

    def product(self, weights: int, source: int, target: int, activation: str = "") -> None:
        """``target = activation(weights @ source + bias)``; the activation as in ``CODES``."""
        at, code = self._matrices[weights], opcodes.CODES[activation]
        self._append(opcodes.PRODUCT, source, target, at, self._size(source), code)

    def gate(self, weights: int, key: int, query: int, target: int) -> None:
        """``target = softmax(weights @ key + bias) * query``."""
        waiting = self._waiting(target, (key, query), self._size(target))
        at, keys = self._matrices[weights], self._size(key)
        self._append(opcodes.GATE, key, target, at, keys, self._start(query), waiting)

    def activation(self, buffer: int, name: str) -> None:
        """``buffer = activation(buffer)``."""
        self._append(opcodes.ACTIVATION, buffer, buffer, 0, 0, opcodes.CODES[name])

    def vector(self, kind: OneOf["add", "mul"], buffer: int, parameters: int) -> None:
        """``buffer = buffer . parameters``."""
        at, fixed = self._vectors[parameters], int(self._fixed(parameters, buffer))
        opcode = {"add": opcodes.ADD, "mul": opcodes.MULTIPLY}[kind]
        self._append(opcode, buffer, buffer, at, fixed)

    def clip(self, buffer: int, lower: int | None, upper: int | None) -> None:
        """``buffer = min(max(buffer, lower), upper)``, None being no bound."""
        flags, at = 0, [0, 0]
        bounds = (lower, opcodes.LOWER, opcodes.LOWER_FIXED), (
            upper, opcodes.UPPER, opcodes.UPPER_FIXED,
        )  # fmt: skip
        for number, (vector, there, fixed) in enumerate(bounds):
            if vector is not None:
                at[number] = self._vectors[vector]
                flags |= there | (fixed if self._fixed(vector, buffer) else 0)
        self._append(opcodes.CLIP, buffer, buffer, *at, flags)

    def copy(self, source: int, target: int, at: int) -> None:
        """``target[at + k] = source[k]`` for every slot of the source."""
        output, size = self._start(target) + at, self._size(source)
        self._instruction(opcodes.COPY, self._start(source), output, size)

    def gather(self, source: int, target: int, slots: Sequence[int]) -> None:
        """``target[k] = source[slots[k]]``; the slots are not negative."""
        waiting = self._waiting(target, (source,), len(slots))
        at = self._list(np.array(slots, np.int64))
        begin, end = self._start(source), self._start(target)
        self._instruction(opcodes.GATHER, begin, end, len(slots), at, 0, 0, waiting)

    def lookup(
        self, table: int, default: Sequence[float], source: tuple[int, int], target: tuple[int, int]
    ) -> None:
        """The row of values of the key in ``source``, a buffer and a slot of it, at ``target``."""
        if table not in self._tables:
            held = self.model.maps[table]
            self._tables[table] = self._list(held.keys_array)
            self._list(np.ascontiguousarray(held.values_array).ravel())
        entries, at = len(self.model.maps[table].keys), self._tables[table]
        missing = self._list(np.array(default, np.float32))
        begin, end = (self._start(buffer) + slot for buffer, slot in (source, target))
        self._instruction(opcodes.LOOKUP, begin, end, len(default), at, entries, missing)

    def join(self, kind: OneOf["add", "mul"], inputs: Sequence[int], target: int) -> None:
        """``target = (inputs[0] . inputs[1]) . inputs[2] ...``."""
        opcode = {"add": opcodes.ADD_BUFFERS, "mul": opcodes.MULTIPLY_BUFFERS}[kind]
        at = self._list(np.array([self._start(buffer) for buffer in inputs], np.int64))
        self._append(opcode, inputs[0], target, at, len(inputs))

    def heads(self, kind: OneOf["add", "mul"], inputs: Sequence[int], target: int) -> None:
        """``target[h * every + k] = data[h * every + k] . heads[h]``; inputs are data and heads."""
        data, heads = inputs
        opcode = {"add": opcodes.ADD_HEADS, "mul": opcodes.MULTIPLY_HEADS}[kind]
        every = self._size(data) // self._size(heads)
        self._append(opcode, data, target, self._start(heads), every)

    def sum(self, source: int, target: int) -> None:
        """``target[0] = sum of source``."""
        begin, end = self._start(source), self._start(target)
        self._instruction(opcodes.SUM, begin, end, self._size(source))

    # -- words -------------------------------------------------------------------------------------

    @np.errstate(over="ignore")  # a float64 weight beyond float32 is infinity there
    def write(self, words: FloatArray, models: Population) -> None:
        """Write models of this structure to an array of (models, ``count``)."""
        model, bits = self.model, words.view(np.int32)
        weights_at = opcodes.HEADER + opcodes.INSTRUCTION * len(self._instructions)
        weights, parameters = self._matrices[-1], self._vectors[-1]
        bits[:, : opcodes.HEADER] = (
            opcodes.MAGIC, opcodes.VERSION,
            model.input_size, model.output_size, self.compute_size,
            len(self._instructions), opcodes.HEADER,
            weights_at, weights, weights_at + weights, parameters,
            model.output_start, self.count,
        )  # fmt: skip
        bits[:, opcodes.HEADER : weights_at] = np.array(self._instructions, np.int32).ravel()
        arrays: list[npt.NDArray[Any]] = []
        for matrix, bias in zip(models.weights, models.bias, strict=True):
            _, outputs, inputs = matrix.shape
            arrays += [matrix.reshape(len(models), outputs * inputs), bias]
        arrays += [*models.parameters, *self._lists]
        at = weights_at
        for array in arrays:
            held = words if array.dtype.kind == "f" else bits
            end = at + array.shape[-1]
            held[:, at:end] = array
            at = end

    def _append(self, opcode: int, source: int, target: int, *fields: int) -> None:
        """An instruction over two whole buffers, the size being the target's."""
        begin, end = self._start(source), self._start(target)
        self._instruction(opcode, begin, end, self._size(target), *fields)

    def _instruction(self, *fields: int) -> None:
        self._instructions.append(fields + (0,) * (opcodes.INSTRUCTION - len(fields)))

    def _waiting(self, target: int, inputs: Sequence[int], slots: int) -> int:
        """Where ``slots`` results wait while the inputs are still read."""
        if target not in inputs:
            return self._start(target)
        self._scratch = max(self._scratch, slots)
        return self.model.required_memory

    def _list(self, values: npt.NDArray[Any]) -> int:
        at = self._listed
        self._lists.append(values)
        self._listed += values.size
        return at

    def _fixed(self, vector: int, buffer: int) -> bool:
        return len(self.model.parameters[vector]) == 1 != self._size(buffer)

    def _start(self, buffer: int) -> int:
        return self.model.buffer_starts[buffer]

    def _size(self, buffer: int) -> int:
        return self.model.buffers[buffer].size


def _offsets(sizes: Iterable[int]) -> tuple[int, ...]:
    """Where each part starts when they stand one after the other, and where the last one ends."""
    return tuple(accumulate(sizes, initial=0))
