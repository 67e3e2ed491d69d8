"""``instjit.gpu.pack``: the words of every instruction, several models in one array, the limits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden_cases import group

import instjit as ij
from instjit import gpu
from instjit.gpu import opcodes, packing
from instjit.ops import OPS, Activation

GOLDEN = {case["name"]: case for case in group("gpu_pack")}
PACKED = [name for name, case in GOLDEN.items() if "gpu" in case and case["cpu_loads"]]
OWN = [name for name in GOLDEN if name.startswith("unsupported_")]
REFUSED = {
    "no_validation_weights_index": "WeightsIndexOutOfBounds",
    "no_validation_params_index": "ParametersIndexOutOfBounds",
    "no_features_at_all_defaults_to_buffer_0": "MissingFeatures",
    "unused_weights_are_packed": "TooManyWeightsForInstructions",
}
"""The Rust crate packs without checking; instjit refuses here what it refuses everywhere."""
MOST_SLOTS = 65536
"""Slots that the Rust crate allows."""


def source(name: str) -> bytes:
    return json.dumps(GOLDEN[name]["model"]).encode()


def words_of(*models: ij.Model) -> list[int]:
    return gpu.pack(models).words.view(np.int32).tolist()


def one(instruction: ij.Instruction, buffers: list[int], **parts) -> ij.Model:
    return ij.Model(buffers, [instruction], features=[], **parts)


def instruction_words(model: ij.Model) -> list[int]:
    return words_of(model)[opcodes.HEADER : opcodes.HEADER + opcodes.INSTRUCTION]


def test_every_golden_case_is_accounted_for() -> None:
    assert {*PACKED, *OWN, *REFUSED, "too_large"} == set(GOLDEN)


@pytest.mark.parametrize("name", PACKED)
def test_the_words_are_those_of_the_rust_crate(name) -> None:
    wanted = GOLDEN[name]["gpu"]
    packed = gpu.pack([source(name)], max_compute_buffer=MOST_SLOTS)
    assert packed.words.dtype == np.float32
    assert packed.words.view(np.uint32).tolist() == wanted["words_u32"]
    assert packed.offsets == (0,)


@pytest.mark.parametrize("name", OWN)
def test_what_the_rust_crate_cannot_pack_has_an_opcode_of_its_own(name) -> None:
    opcode = instruction_words(ij.load(source(name)))[0]
    assert opcode > opcodes.COPY


@pytest.mark.parametrize(("name", "kind"), REFUSED.items())
def test_a_faulty_model_is_refused(name, kind) -> None:
    with pytest.raises(ij.ModelError) as caught:
        gpu.pack([source(name)])
    assert caught.value.kind == kind


def test_a_faulty_model_object_is_refused() -> None:
    with pytest.raises(ij.ModelError) as caught:
        gpu.pack([one(ij.Dot(0, 1, 5), [2, 2])])
    assert caught.value.kind == "WeightsIndexOutOfBounds"


TWO = {"parameters": [[1, 2], [3]]}
MATRIX = {"weights": [np.ones((2, 3))]}
INSTRUCTIONS = [
    # opcode, input, output, size, a, b, c, scratch
    (one(ij.Dot(0, 1, 0), [3, 2], **MATRIX), [1, 0, 3, 2, 0, 3, 0, 0]),
    (one(ij.Dot(0, 1, 0, "SOFTMAX"), [3, 2], **MATRIX), [1, 0, 3, 2, 0, 3, 3, 0]),
    (one(ij.Activate(0, "SIGN"), [2]), [2, 0, 0, 2, 0, 0, 12, 0]),
    (one(ij.AddElementwise(0, 0), [2], parameters=[[1, 2]]), [3, 0, 0, 2, 0, 0, 0, 0]),
    (one(ij.AddElementwise(0, 0), [2], parameters=[[1]]), [3, 0, 0, 2, 0, 1, 0, 0]),
    (one(ij.AddElementwise(0, 0), [1], parameters=[[1]]), [3, 0, 0, 1, 0, 0, 0, 0]),
    (one(ij.MulElementwise(0, 0), [2], parameters=[[1]]), [4, 0, 0, 2, 0, 1, 0, 0]),
    (one(ij.Copy(0, 1, 2), [2, 5]), [5, 0, 4, 2, 0, 0, 0, 0]),
    (one(ij.ClipElementwise(0, 0, 1), [2], **TWO), [6, 0, 0, 2, 0, 2, 1 | 2 | 8, 0]),
    (one(ij.ClipElementwise(0, 1, 0), [2], **TWO), [6, 0, 0, 2, 2, 0, 1 | 2 | 4, 0]),
    (one(ij.ClipElementwise(0, None, 0), [1], parameters=[[3]]), [6, 0, 0, 1, 0, 0, 2, 0]),
    (one(ij.ClipElementwise(0), [2]), [6, 0, 0, 2, 0, 0, 0, 0]),
    (one(ij.CopyMasked(0, 1, (-1, 0)), [3, 4]), [7, 0, 3, 2, 0, 0, 0, 3]),
    (one(ij.CopyMasked(0, 0, (2, 1, 0)), [3]), [7, 0, 0, 3, 0, 0, 0, 3]),
    (
        one(ij.MapTransform(0, 1, 1, 1, 0, 2, (8, 9)), [2, 4], maps=[{5: [6, 7], -5: [4, 5]}]),
        [8, 1, 3, 2, 0, 2, 6, 0],
    ),
    (one(ij.AddElementwiseBuffers((0, 0), 1), [2, 2]), [9, 0, 2, 2, 0, 2, 0, 0]),
    (one(ij.MultiplyElementwiseBuffers((0,), 1), [2, 2]), [10, 0, 2, 2, 0, 1, 0, 0]),
    (one(ij.MultiplyBufferHeads((0, 1), 2), [6, 2, 6]), [11, 0, 8, 6, 6, 3, 0, 0]),
    (one(ij.AddBufferHeads((0, 1), 2), [6, 2, 6]), [12, 0, 8, 6, 6, 3, 0, 0]),
    (one(ij.ReduceSum(0, 1), [3, 2]), [13, 0, 3, 3, 0, 0, 0, 0]),
    (one(ij.Attention(0, 1, 2, 0), [2, 3, 2], **MATRIX), [14, 2, 5, 2, 0, 3, 0, 5]),
]


@pytest.mark.parametrize(("model", "wanted"), INSTRUCTIONS)
def test_the_words_of_an_instruction(model, wanted) -> None:
    assert instruction_words(model) == wanted


def test_the_table_above_has_every_instruction() -> None:
    assert {model.instructions[0].kind for model, _ in INSTRUCTIONS} == set(OPS)


def test_every_instruction_has_an_opcode_of_its_own() -> None:
    found = {model.instructions[0].kind: words[0] for model, words in INSTRUCTIONS}
    assert sorted(found.values()) == list(range(1, len(OPS) + 1))


@pytest.mark.parametrize("activation", Activation)
def test_every_activation_has_a_code_of_its_own(activation) -> None:
    code = instruction_words(one(ij.Activate(0, activation), [2]))[6]
    assert opcodes.CODES[activation.step] == code
    assert list(opcodes.CODES.values()).count(code) == 1
    assert f"{code} {activation.step}" in " ".join((opcodes.__doc__ or "").split())


@pytest.mark.parametrize(
    ("instruction", "buffers", "scratch"),
    [
        (ij.CopyMasked(0, 1, (2, 1, 0)), [3, 3], 0),
        (ij.CopyMasked(0, 0, (2, 1, 0)), [3], 3),
        (ij.CopyMasked(0, 0, (2, 1)), [3], 2),
        (ij.Attention(0, 1, 2, 0), [2, 3, 2], 0),
    ],
)
def test_scratch_only_where_the_output_is_an_input(instruction, buffers, scratch) -> None:
    parts = MATRIX if isinstance(instruction, ij.Attention) else {}
    words = words_of(one(instruction, buffers, **parts))
    assert words[opcodes.COMPUTE_SIZE] == sum(buffers) + scratch
    assert words[opcodes.OUTPUT_START] + words[opcodes.OUTPUT_SIZE] == sum(buffers)


@pytest.mark.parametrize(("query", "key", "output"), [(0, 1, 0), (1, 0, 0), (0, 0, 0)])
def test_a_gate_onto_an_input_keeps_its_scores_apart(query, key, output) -> None:
    gate = ij.Attention(query, key, output, 0)
    model = ij.Model([2, 2], [gate, ij.Copy(0, 1)], weights=[np.eye(2)], feature_size=4)
    words = words_of(model)
    assert words[opcodes.COMPUTE_SIZE] == 4 + 2
    assert words[opcodes.HEADER + 7] == 4


def test_a_map_stands_once_for_all_its_lookups_its_keys_ascending() -> None:
    lookups = [ij.MapTransform(0, 1, 0, k, 0, 1, (9,)) for k in range(2)]
    model = ij.Model([1, 2], lookups, maps=[{7: [1.5], -7: [2.5]}], features=[])
    words = words_of(model)
    lists = words[words[opcodes.PARAMETERS_AT] + words[opcodes.PARAMETERS_COUNT] :]
    floats = np.array([2.5, 1.5, 9, 9], np.float32).view(np.int32).tolist()
    assert lists == [-7, 7, *floats]


def test_models_stand_one_after_the_other() -> None:
    models = [ij.load(source(name)) for name in ("mixed", "unsupported_map", "fan")]
    packed = gpu.pack(models)
    bits = packed.words.view(np.int32)
    at = 0
    for model, offset in zip(models, packed.offsets, strict=True):
        assert offset == at
        size = bits[at + opcodes.MODEL_SIZE]
        assert bits[at : at + size].tolist() == words_of(model)
        at += size
    assert at == len(bits)
    assert packed.compute_buffer_size == max(model.required_memory for model in models)


def test_a_model_that_comes_several_times_is_written_once() -> None:
    first, second = (ij.load(source(name)) for name in ("mixed", "fan"))
    packed = gpu.pack([first, second, first])
    assert packed.offsets == (0, len(words_of(first)), 0)
    assert len(packed.words) == len(words_of(first, second))


def test_no_models_give_no_words() -> None:
    packed = gpu.pack([])
    assert (packed.words.tolist(), packed.offsets, packed.compute_buffer_size) == ([], (), 0)


def test_models_come_as_loading_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(source("mixed"))
    packed = gpu.pack(iter([path, str(path), source("mixed"), ij.load(path)]))
    quarters = packed.words.reshape(4, -1).view(np.int32)
    assert (quarters == quarters[0]).all()
    assert packed.offsets == tuple(range(0, packed.words.size, quarters.shape[1]))


def test_float64_weights_are_rounded_once() -> None:
    model = ij.Model([1, 1], [ij.Dot(0, 1, 0)], [[[0.1]]], [[1e-50]], features=[], dtype="float64")
    assert gpu.pack([model]).words[-2:].tolist() == [np.float32(0.1), 0]


# Limits and errors


def test_a_model_too_large_for_the_callers_buffer_is_refused() -> None:
    with pytest.raises(ij.CompileError, match="takes 65537 slots of compute buffer") as caught:
        gpu.pack([source("too_large")], max_compute_buffer=MOST_SLOTS)
    assert caught.value.kind == GOLDEN["too_large"]["gpu_error"]["error_kind"]
    assert caught.value.fields == {"required": 65537, "max_size": 65536}
    assert len(gpu.pack([source("too_large")]).words) == 21


def test_scratch_counts_for_the_callers_buffer() -> None:
    model = one(ij.CopyMasked(0, 0, (2, 1, 0)), [3])
    gpu.pack([model], max_compute_buffer=6)
    with pytest.raises(ij.CompileError):
        gpu.pack([model], max_compute_buffer=5)


@pytest.mark.parametrize(
    "instruction", [ij.Copy(0, 1), ij.AddElementwiseBuffers((1,), 1), ij.CopyMasked(1, 0, (-1,))]
)
def test_slots_beyond_int32_are_refused_before_anything_is_written(instruction) -> None:
    model = ij.Model([1, 2**40], [instruction], feature_size=1 if instruction.output else 1 + 2**40)
    with pytest.raises(ij.CompileError) as caught:
        gpu.pack([model])
    assert caught.value.kind == "ComputeBufferTooLarge"
    assert caught.value.fields["required"] >= 2**40


def test_words_beyond_int32_are_refused(monkeypatch) -> None:
    model = ij.load(source("mixed"))
    count = len(words_of(model))
    monkeypatch.setattr(packing, "MOST", count)
    gpu.pack([model, model])
    gpu.pack([model, ij.load(source("mixed"))])  # together they may have more
    monkeypatch.setattr(packing, "MOST", count - 1)
    with pytest.raises(ij.CompileError, match="words, the limit") as caught:
        gpu.pack([model])
    assert caught.value.kind == "TooManyWords"
    assert caught.value.fields == {"required": count, "max_size": count - 1}


ONE = [ij.load(source("mixed")), "model.json", Path("model.json"), source("mixed"), {}]


@pytest.mark.parametrize("models", [*ONE, io.BytesIO(source("mixed")), None, 5])
def test_one_model_instead_of_several_is_an_input_error(models) -> None:
    with pytest.raises(ij.InputError, match="takes several models") as caught:
        gpu.pack(models)
    assert caught.value.kind == "InputType"


# Imports


def modules_after(statements: str) -> set[str]:
    code = f"{statements}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(result.stdout.split())


def test_importing_and_packing_needs_no_numba() -> None:
    assert not modules_after("import instjit.gpu") & {"numpy", "numba", "llvmlite"}
    model = "instjit.Model([1], [instjit.Activate(0, 'RELU')], features=[])"
    packing_too = f"import instjit\nfrom instjit import gpu\ngpu.pack([{model}])"
    assert not modules_after(packing_too) & {"numba", "llvmlite"}


@pytest.mark.parametrize("name", gpu.__all__)
def test_every_public_name_is_there_in_the_simulator(name) -> None:
    assert name in dir(gpu)
    code = f"from instjit import gpu; assert callable(gpu.{name})"
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gpu.nonsense
