"""Many models of one structure: the sequence, its words, its constants, what is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from nets import NETS, dense
from plain_run import form_of

import instjit as ij
from instjit import gpu
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES
from instjit.population import as_population

COUNT = 3


NET = dense(4, 9, 2)


def variant(model: ij.Model, seed: int, **changes) -> ij.Model:
    """A model of the same structure with other numbers."""
    rng = np.random.default_rng(seed)
    weights, bias, parameters = (
        [array + rng.normal(size=array.shape) for array in arrays]
        for arrays in (model.weights, model.bias, model.parameters)
    )
    fields = {"maps": model.maps, "features": model.features, "feature_size": model.feature_size}
    given = {"parameters": parameters, "dtype": model.dtype, **fields, **changes}
    return ij.Model(model.buffers, model.instructions, weights, bias, **given)


def gated() -> ij.Model:
    """Every step that has numbers of its own."""
    rng = np.random.default_rng(5)
    return ij.Model(
        [12, 20, 12, 5],
        [
            ij.Attention(0, 1, 2, 0),
            ij.AddElementwise(2, 0),
            ij.MulElementwise(2, 1),
            ij.ClipElementwise(2, 2, None),
            ij.Dot(2, 3, 1, "TANH"),
        ],
        [rng.normal(size=(12, 20)), rng.normal(size=(5, 12))],
        parameters=[rng.normal(size=12), [2.5], rng.normal(size=12)],
        feature_size=32,
    )


def in_float64(model: ij.Model) -> ij.Model:
    """Numbers that float32 has not, one of them beyond its range."""
    weights = [array / 3.0 for array in map(np.float64, model.weights)]
    weights[0][0, 0] = 1e39
    size = model.input_size
    return ij.Model(model.buffers, model.instructions, weights, feature_size=size, dtype="float64")


MODELS = {name: NETS[name] for name in ("layers", "chains", "softmaxes", "tables", "elementwise")}
MODELS |= {"gated": gated, "float64": lambda: in_float64(dense(4, 9, 2))}


@cache
def models(name: str) -> tuple[ij.Model, ...]:
    first = MODELS[name]()
    return first, *(variant(first, seed) for seed in range(1, COUNT))


@pytest.fixture(scope="module")
def kernel():
    return ij.compile(NET)


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.int32)


def stacked(several: tuple[ij.Model, ...]) -> ij.Population:
    parts = [
        [
            np.stack(arrays)
            for arrays in zip(*(getattr(each, part) for each in several), strict=True)
        ]
        for part in ("weights", "bias", "parameters")
    ]
    return ij.Population(several[0], *parts)


WITH_NUMBERS = [name for name in MODELS if name not in ("softmaxes", "tables")]


@pytest.mark.parametrize("name", MODELS)
def test_a_population_holds_the_models_it_is_of(name) -> None:
    population = ij.Population.of(models(name))
    assert len(population) == COUNT
    assert list(population) == list(models(name))
    assert list(population[1:]) == list(models(name)[1:])
    assert population[-1] == models(name)[-1]


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_a_population_of_arrays_is_that_of_its_models(name) -> None:
    assert list(stacked(models(name))) == list(models(name))


def test_what_is_left_out_is_the_models_own() -> None:
    population = ij.Population(NET, [np.zeros((2, 9, 4)), np.zeros((2, 2, 9))])
    assert len(population) == 2
    assert all((population[1].bias[k] == NET.bias[k]).all() for k in range(2))


def test_arrays_of_the_right_kind_are_kept_and_cannot_be_written_to() -> None:
    weights = [np.zeros((2, 9, 4), np.float32), np.zeros((2, 2, 9), np.float32)]
    population = ij.Population(NET, weights)
    assert np.shares_memory(population.weights[0], weights[0])
    with pytest.raises(ValueError, match="read-only"):
        population.weights[0][0] = 1
    assert weights[0].flags.writeable


# Words and constants


@pytest.mark.parametrize("name", MODELS)
def test_packed_together_or_one_by_one_the_words_are_the_same(name) -> None:
    alone = [gpu.pack([model]).words for model in models(name)]
    for given in (models(name), ij.Population.of(models(name))):
        packed = gpu.pack(given)
        assert (bits(packed.words) == bits(np.concatenate(alone))).all()
        assert packed.offsets == tuple(len(alone[0]) * k for k in range(COUNT))


def test_models_of_two_structures_may_alternate() -> None:
    several = [
        each for pair in zip(models("gated"), models("tables"), strict=True) for each in pair
    ]
    alone = [gpu.pack([model]).words for model in several]
    packed = gpu.pack([*several, several[0]])
    assert (bits(packed.words) == bits(np.concatenate(alone))).all()
    assert packed.offsets == (*np.cumsum([0, *map(len, alone[:-1])]), 0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MODELS)
def test_constants_are_those_of_each_model_by_itself(name, level) -> None:
    forms = [form_of(model, level, "output", PASSES) for model in models(name)]
    k = forms[0].constants_of(ij.Population.of(models(name)))
    assert (bits(k) == bits(np.stack([form.k for form in forms]))).all()
    assert all((form.n == forms[0].n).all() for form in forms)
    assert k.flags.c_contiguous
    assert k.ctypes.data % 64 == 0


def test_a_kernel_takes_a_population_or_its_models(kernel) -> None:
    several = (NET, variant(NET, 1))
    wanted = [kernel.with_weights(model).constants[0] for model in several]
    for given in (several, iter(several), ij.Population.of(several)):
        k, n = kernel.constants_of(given)
        assert (k == wanted).all()
        assert n is kernel.constants[1]


def test_no_models_have_no_words_and_no_constants(kernel) -> None:
    none = ij.Population.of([kernel.model])[:0]
    assert (len(gpu.pack(none).words), gpu.pack(none).offsets) == (0, ())
    for given in ([], none):
        assert kernel.constants_of(given)[0].shape == (0, len(kernel.constants[0]))


# What is refused


def lookup(**changes) -> ij.Model:
    given = {"default": (9.0,), "maps": [{7: [1.0]}], **changes}
    step = ij.MapTransform(0, 1, 0, 0, 0, 1, given["default"])
    return ij.Model([1, 1], [step], maps=given["maps"], feature_size=1)


OTHERS = {
    "widths": (NET, dense(4, 8, 2)),
    "activation": (NET, dense(4, 9, 2, last=None)),
    "features": (NET, variant(NET, 1, features=["a", "b", "c", "d"], feature_size=None)),
    "names": tuple(variant(NET, 1, features=["a", "b", "c", name]) for name in "de"),
    "dtype": (NET, variant(NET, 1, dtype="float64")),
    "faulty": (NET, ij.Model(NET.buffers, NET.instructions, NET.weights[:1], feature_size=4)),
    "ragged": (
        NET,
        ij.Model(
            NET.buffers, NET.instructions, [[[1] * 4] * 8 + [[1]], NET.weights[1]], feature_size=4
        ),
    ),
    "rows": (NET, variant(NET, 1, validation_data=([[1] * 4], []))),
    "key": (lookup(), lookup(maps=[{8: [1.0]}])),
    "value": (lookup(), lookup(maps=[{7: [2.0]}])),
    "default": (lookup(default=(0.0,)), lookup(default=(-0.0,))),
}


@pytest.mark.parametrize(("first", "other"), OTHERS.values(), ids=OTHERS)
def test_a_model_of_another_structure_is_no_part_of_it(first, other) -> None:
    for call in (ij.Population.of, lambda models: as_population(first, models)):
        with pytest.raises(ij.InputError, match=r"model 1 has another structure") as caught:
            call([first, other])
        assert caught.value.kind == "StructureMismatch"


def test_a_population_of_another_structure_is_refused(kernel) -> None:
    with pytest.raises(ij.InputError, match="the population has another") as caught:
        kernel.constants_of(ij.Population.of([dense(4, 8, 2)]))
    assert caught.value.kind == "StructureMismatch"


@pytest.mark.parametrize("name", ["faulty", "ragged", "rows"])
def test_a_faulty_model_is_found_wherever_it_stands(name) -> None:
    net, faulty = OTHERS[name]
    for given in ([faulty], [net, faulty], [net, faulty, net]):
        with pytest.raises(ij.ModelError):
            gpu.pack(given)
    with pytest.raises(ij.ModelError):
        ij.Population.of([faulty])
    with pytest.raises(ij.ModelError):
        ij.Population(faulty, bias=[np.zeros((1, 9)), np.zeros((1, 2))])


@pytest.mark.parametrize("given", [NET, None, 5, [NET, None], [b"{}"]])
def test_only_several_models_make_a_population(given, kernel) -> None:
    for call in (ij.Population.of, kernel.constants_of):
        with pytest.raises(ij.InputError) as caught:
            call(given)
        assert caught.value.kind == "InputType"


ARRAYS = {
    "no models": ({}, "none at all"),
    "one too few": ({"weights": [np.zeros((2, 9, 4))]}, "the model has 2, got 1"),
    "a model short": ({"bias": [np.zeros((2, 9)), np.zeros((3, 2))]}, "got 2, 3"),
    "transposed": (
        {"weights": [np.zeros((2, 4, 9)), np.zeros((2, 2, 9))]},
        r"weights 0: expected an array of shape \(models, 9, 4\), got \(2, 4, 9\)",
    ),
    "one model's": ({"weights": NET.weights}, r"weights 0: .* got \(9, 4\)"),
    "parameters": ({"parameters": [np.zeros((2, 1))]}, "the model has 0, got 1"),
}


@pytest.mark.parametrize(("arrays", "sentence"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_do_not_fit_the_model_are_refused(arrays, sentence) -> None:
    with pytest.raises(ij.InputError, match=sentence) as caught:
        ij.Population(NET, **arrays)
    assert caught.value.kind == "PopulationMismatch"


def test_no_model_tells_no_structure() -> None:
    with pytest.raises(ij.InputError, match="at least one model"):
        ij.Population.of([])


ZEROS = np.zeros((2, 9, 4))
NO_NUMBERS = {
    "text": ("many", "an array of <U4"),
    "text in an array": (ZEROS.astype(str), "an array of <U32"),
    "masked": (np.ma.masked_array(ZEROS, ZEROS == 0), "masked values: fill them first"),
    "dates": (ZEROS.astype("M8[s]"), r"an array of datetime64\[s\]"),
    "complex": (ZEROS.astype(complex), "an array of complex128"),
    "None": (np.full((2, 9, 4), None), "an array that holds 'None'"),
    "ragged": ([[[1, 2], [3]]], r"something else \("),
}


@pytest.mark.parametrize(("array", "said"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused(array, said) -> None:
    with pytest.raises(ij.ModelError, match=f"weights 0: expected numbers, got {said}") as caught:
        ij.Population(NET, weights=[array, np.zeros((2, 2, 9))])
    assert caught.value.kind == "InvalidArray"


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        (3, [ZEROS], "the model of a population is an instjit.Model, got int"),
        (None, [ZEROS], "the model of a population is an instjit.Model, got NoneType"),
        (NET, 5, "weights: expected 2 arrays in a list, got int"),
        (NET, np.array(5), "weights: expected 2 arrays in a list, got ndarray"),
    ],
)
def test_a_population_takes_a_model_and_lists(model, weights, said) -> None:
    with pytest.raises(ij.InputError, match=f"^{said}$") as caught:
        ij.Population(model, weights)
    assert caught.value.kind == "InputType"


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1])
def test_a_model_that_is_not_there_is_an_index_error(index) -> None:
    with pytest.raises(IndexError, match=f"there are {COUNT} models, no model {index}"):
        ij.Population.of(models("layers"))[index]
