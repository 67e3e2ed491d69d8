"""Many models of one structure: one model, and the numbers of all of them in arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.arrays import SINGLE
from instjit.errors import InputError, ModelError, Problem
from instjit.inputs import unfit
from instjit.model import Model
from instjit.validate import check


class Population(Sequence[Model]):
    """Models that differ in their weights, biases and parameters alone.

    A sequence of models, each of which is built when it is asked for. ``gpu.pack`` and
    ``Kernel.constants_of`` take the arrays as they are: a population of 100,000 small nets is one
    step of NumPy, where 100,000 models are seconds.

    Parameters
    ----------
    model
        The structure: buffers, instructions, features, maps and the shapes of all constants.
    weights
        For each matrix of the model an array (models, outputs, inputs); left out, all models have
        the weights of ``model``.
    bias
        For each matrix (models, outputs).
    parameters
        For each vector of the model (models, size).

    Weights and biases get the dtype of the model, parameters float32; an array that has it and is
    C-contiguous is kept without a copy, so leave it as it is.

    Attributes
    ----------
    model, weights, bias, parameters
        As above; the arrays are read-only.

    Raises
    ------
    ModelError
        The model has problems. InvalidArray: no numbers, as text, dates, complex or masked ones.
    InputError
        InputType: no model, or no list of arrays. PopulationMismatch: nothing given, other shapes
        than those of the model, or arrays for another count of models than the others.
    """

    __slots__ = ("_count", "bias", "model", "parameters", "weights")

    def __init__(
        self,
        model: Model,
        weights: Iterable[Any] | None = None,
        bias: Iterable[Any] | None = None,
        parameters: Iterable[Any] | None = None,
    ) -> None:
        if not isinstance(model, Model):
            sentence = f"the model of a population is an instjit.Model, got {type(model).__name__}"
            raise InputError(Problem("InputType", sentence))
        check(model)
        kept = np.dtype(model.dtype)
        given = (
            _arrays("weights", weights, model.weights, kept),
            _arrays("bias", bias, model.bias, kept),
            _arrays("parameters", parameters, model.parameters, SINGLE),
        )
        counts = sorted({len(array) for arrays in given for array in arrays or ()})
        if len(counts) != 1:
            got = ", ".join(map(str, counts)) or "none at all"
            raise _mismatch(f"all arrays must hold the same number of models, got {got}")
        self._keep(model, given, counts[0])

    @classmethod
    def of(cls, models: Iterable[Model]) -> Population:
        """The population of models that exist already.

        Raises
        ------
        ModelError
            The first model has problems.
        InputError
            InputType; StructureMismatch: a model has another structure than the first;
            PopulationMismatch: there is no model.
        """
        several = _models(models)
        if not several:
            raise _mismatch("a population has at least one model to tell its structure, got none")
        check(several[0])
        for number, model in enumerate(several):
            if not alike(several[0], model):
                raise _another(f"model {number}", "model 0")
        return joined(several)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Model: ...

    @overload
    def __getitem__(self, index: slice) -> Population: ...

    def __getitem__(self, index: int | slice) -> Model | Population:
        """A model, or the population of some."""
        if not isinstance(index, slice) and not -self._count <= index < self._count:
            raise IndexError(f"there are {self._count} models, no model {index}")
        numbers = self.weights, self.bias, self.parameters
        parts = [[array[index] for array in arrays] for arrays in numbers]
        if isinstance(index, slice):
            chosen = Population.__new__(Population)
            chosen._keep(self.model, parts, len(range(self._count)[index]))
            return chosen
        weights, bias, parameters = parts
        held = self.model
        return Model(
            held.buffers, held.instructions, weights, bias, parameters=parameters, maps=held.maps,
            features=held.features, feature_size=held.feature_size, dtype=held.dtype,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Model]:
        return (self[number] for number in range(self._count))

    def __repr__(self) -> str:
        return f"Population({self._count} x {self.model!r})"

    def _keep(self, model: Model, given: Iterable[Sequence[FloatArray] | None], count: int) -> None:
        own = model.weights, model.bias, model.parameters
        self.model, self._count = model, count
        self.weights, self.bias, self.parameters = (
            tuple(_read_only(each) for each in arrays)
            if arrays is not None
            else tuple(np.broadcast_to(each, (count, *each.shape)) for each in constants)
            for arrays, constants in zip(given, own, strict=True)
        )


def alike(first: Model, other: Model) -> bool:
    """Whether a model has the structure of another, which has no problems: then it has none either.

    What it says differs in weights, biases and parameters, and in validation rows.
    """
    same = (
        other.buffers == first.buffers
        and other.features == first.features
        and other.feature_size == first.feature_size
        and other.dtype == first.dtype
        and _shapes(other) == _shapes(first)
        and other.maps == first.maps
        and other.instructions == first.instructions
    )
    if same and first.maps:  # a default of -0.0 equals one of 0.0, and is another
        same = repr(other.instructions) == repr(first.instructions)
    rows = other.validation_data
    return same and (rows is None or len(rows.inputs) == len(rows.expected_outputs))


def joined(models: Sequence[Model]) -> Population:
    """The population of one model or more that are ``alike``, and right."""
    first, count = models[0], len(models)
    parts = (
        [_stacked([each.weights[k] for each in models]) for k in range(len(first.weights))],
        [_stacked([each.bias[k] for each in models]) for k in range(len(first.bias))],
        [_stacked([each.parameters[k] for each in models]) for k in range(len(first.parameters))],
    )
    population = Population.__new__(Population)
    population._keep(first, parts, count)
    return population


def as_population(model: Model, models: Population | Iterable[Model]) -> Population:
    """Models, none included, that all have the structure of one that has no problems.

    Raises
    ------
    InputError
        StructureMismatch, InputType.
    """
    if isinstance(models, Population):
        if not alike(model, models.model):
            raise _another("the population", "the model of the kernel")
        return models
    several = _models(models)
    for number, each in enumerate(several):
        if not alike(model, each):
            raise _another(f"model {number}", "the model of the kernel")
    return joined([model, *several])[1:]


def _models(models: Any) -> list[Model]:
    if isinstance(models, Model) or not isinstance(models, Iterable):
        got = f"one {type(models).__name__}"
        sentence = f"expected several models, as in a list or an instjit.Population, got {got}"
        raise InputError(Problem("InputType", sentence))
    several = list(models)
    for number, model in enumerate(several):
        if not isinstance(model, Model):
            sentence = f"model {number} must be an instjit.Model, not {type(model).__name__}"
            raise InputError(Problem("InputType", sentence))
    return several


def _another(what: str, wanted: str) -> InputError:
    sentence = (
        f"{what} has another structure than {wanted}: buffers, instructions, features, maps, dtype "
        "and the shapes of all constants must be equal"
    )
    return InputError(Problem("StructureMismatch", sentence))


def _shapes(model: Model) -> list[tuple[int, ...]]:
    return [array.shape for array in (*model.weights, *model.bias, *model.parameters)]


def _stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    if len(arrays) == 1:  # of a large model no second copy is made
        return arrays[0][None]
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)


def _read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.setflags(write=False)
    return view


def _arrays(
    name: str, given: Iterable[Any] | None, own: Sequence[FloatArray], dtype: np.dtype[Any]
) -> list[FloatArray] | None:
    """What was given for ``own``, with one axis more, of the dtype and C-contiguous."""
    if given is None:
        return None
    try:
        arrays = iter(given)
    except TypeError as error:
        sentence = f"{name}: expected {len(own)} arrays in a list, got {type(given).__name__}"
        raise InputError(Problem("InputType", sentence)) from error
    several = list(arrays)
    if len(several) != len(own):
        raise _mismatch(f"{name}: the model has {len(own)}, got {len(several)}")
    return [
        _array(f"{name} {number}", each, constant.shape, dtype)
        for number, (each, constant) in enumerate(zip(several, own, strict=True))
    ]


def _array(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
    try:
        found = np.asarray(given)
        wrong = unfit(given, found)
        if wrong is None:
            with np.errstate(over="ignore", invalid="ignore"):  # as in a model: 1e39 is infinity
                array: FloatArray = np.asarray(found, dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{name}: expected numbers, got something else ({error})"
        raise ModelError(Problem("InvalidArray", message)) from error
    if wrong is not None:
        raise ModelError(Problem("InvalidArray", f"{name}: expected numbers, got {wrong}"))
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        wanted = ", ".join(("models", *map(str, shape)))
        raise _mismatch(f"{name}: expected an array of shape ({wanted}), got {array.shape}")
    return array


def _mismatch(sentence: str) -> InputError:
    return InputError(Problem("PopulationMismatch", sentence))
