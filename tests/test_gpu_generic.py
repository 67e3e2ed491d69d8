"""``instjit.gpu.predict`` on packed words: the bits of the reference for every instruction.

Here in plain Python, in the CUDA simulator (a process of its own), compiled by Numba for the CPU
(the sweep), and as PTX where a CUDA toolkit is installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gpu_words import golden_models, random_models, run_words
from offline_ptx import ptx_of
from plain_run import same_bits

import instjit as ij
from instjit import gpu, reference
from instjit.gpu import generic, opcodes
from instjit.ops import Activation

HERE = Path(__file__).parent
PLAIN = generic.plain_functions()
GOLDEN = golden_models()
CHUNK = 20


def check(model: ij.Model, rows: np.ndarray) -> None:
    words = gpu.pack([model]).words
    assert same_bits(run_words(PLAIN, words, 0, rows), reference.run(model, rows))


@pytest.mark.parametrize(("name", "model", "rows"), GOLDEN, ids=[each[0] for each in GOLDEN])
def test_golden_models_give_the_bits_of_the_reference(name, model, rows) -> None:
    check(model, rows[:5])


@pytest.mark.parametrize("first", range(0, 200, CHUNK))
def test_random_models_give_the_bits_of_the_reference(first) -> None:
    for _, model, rows in random_models(first, CHUNK):
        check(model, rows[:3])


def test_in_the_simulator_a_launch_runs_a_model_per_thread() -> None:
    result = simulated(str(HERE / "gpu_launch.py"), "100", str(HERE))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == {"models": {"random": 100, "golden": len(GOLDEN)}, "wrong": []}


def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process with the simulator; the last argument is a folder to import from."""
    *arguments, folder = arguments
    path = os.pathsep.join([str(HERE.parent), folder])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": path},
    )


@pytest.mark.sweep
def test_compiled_for_the_cpu_it_gives_the_bits_of_the_reference() -> None:
    import njit_primitives

    compiled = generic.bound(njit_primitives.namespace(), njit_primitives.decorate)
    for name, model, rows in [*GOLDEN, *random_models(0, 2000)]:
        words = gpu.pack([model]).words
        assert same_bits(run_words(compiled, words, 0, rows), reference.run(model, rows)), name


# Sums, lookups, aliasing


@pytest.mark.parametrize("outputs", [1, 4, 5, 16, 17, 48, 49])
@pytest.mark.parametrize("depth", [1, 15, 16, 17, 20, 23, 63, 64, 65, 66, 67, 71])
def test_a_product_sums_in_the_chains_of_its_shape(outputs, depth) -> None:
    rng = np.random.default_rng(depth)
    weights, bias = rng.normal(size=(outputs, depth)), rng.normal(size=outputs)
    model = ij.Model([depth, outputs], [ij.Dot(0, 1, 0)], [weights], [bias], features=[])
    check(model, rng.normal(size=(1, depth)).astype(np.float32))


@pytest.mark.parametrize(("outputs", "depth"), [(1, 16), (5, 64), (17, 64), (3, 2), (64, 64)])
def test_a_product_of_nothing_but_minus_zeros_is_minus_zero(outputs, depth) -> None:
    weights, bias = np.ones((outputs, depth)), np.full(outputs, -0.0)
    model = ij.Model([depth, outputs], [ij.Dot(0, 1, 0)], [weights], [bias], features=[])
    words = gpu.pack([model]).words
    assert np.signbit(run_words(PLAIN, words, 0, np.full((1, depth), -0.0))).all()


@pytest.mark.parametrize("size", [*range(1, 36), 100])
@pytest.mark.parametrize("instruction", [ij.ReduceSum(0, 1), ij.Activate(0, "SOFTMAX")])
def test_a_sum_folds_the_partials_of_the_contract(instruction, size) -> None:
    rows = np.random.default_rng(size).normal(0, 30, (2, size)).astype(np.float32)
    last = [] if isinstance(instruction, ij.ReduceSum) else [ij.Copy(0, 1)]
    check(ij.Model([size, size], [instruction, *last], features=[]), rows)


IDS = [
    *(0.5, -0.5, 0.49999997, -0.49999997, 1.5, 2.5, -1.5, 8388607.5, 8388609.0, 16777216.0),
    *(2147483520.0, 2147483648.0, -2147483648.0, -2147483904.0, 3e38, np.inf, -np.inf, np.nan),
    *(0.0, -0.0, 1e-45, 1.0, 2139095168.0),
]
KEYS = [-(2**31), -2, -1, 0, 1, 2, 3, 8388608, 8388609, 16777216, 2139095168, 2**31 - 1]
"""2139095168 are the bits of a signalling NaN."""


@pytest.mark.parametrize("keys", [KEYS, KEYS[::2], KEYS[1::2], [2139095168], []])
def test_ids_round_half_away_from_zero_and_saturate(keys) -> None:
    table = {key: [number + 10.0, number + 0.5] for number, key in enumerate(keys)}
    lookup = ij.MapTransform(0, 1, 0, 0, 0, 2, (-1, -2))
    model = ij.Model([1, 2], [lookup], maps=[table], features=[])
    check(model, np.array(IDS, np.float32)[:, None])


def test_keys_whose_bits_are_nans_are_found() -> None:
    keys = [-1, -4194304, 2139095168, 2147483520]
    lookup = ij.MapTransform(0, 1, 0, 0, 0, 1, (-1,))
    model = ij.Model([1, 1], [lookup], maps=[{k: [n] for n, k in enumerate(keys)}], features=[])
    words = gpu.pack([model]).words
    assert run_words(PLAIN, words, 0, [[key] for key in keys]).ravel().tolist() == [0, 1, 2, 3]


def test_a_key_beyond_all_others_takes_the_lookups_own_default() -> None:
    """The first value's bits are the key that is looked for."""
    lookups = [ij.MapTransform(0, 1, 0, k, 0, 1, (5 + k,)) for k in range(2)]
    model = ij.Model([1, 2], lookups, maps=[{-1: [0.0]}], features=[])
    words = gpu.pack([model]).words
    assert run_words(PLAIN, words, 0, [[0], [-1]]).tolist() == [[5, 6], [0, 0]]


ALIASED = [
    ij.CopyMasked(0, 0, (2, 0, 1)),
    ij.Copy(0, 0),
    ij.Attention(0, 1, 0, 0),
    ij.Attention(1, 0, 0, 0),
    ij.Attention(0, 0, 0, 0),
    ij.MultiplyBufferHeads((1, 0), 0),
    ij.AddBufferHeads((0, 1), 0),
    ij.AddElementwiseBuffers((1, 0, 0), 0),
    ij.MultiplyElementwiseBuffers((0, 0, 1), 0),
    ij.ReduceSum(0, 0),
    ij.MapTransform(0, 0, 1, 0, 0, 3, (7, 8, 9)),
]


@pytest.mark.parametrize("instruction", ALIASED)
def test_an_output_that_is_an_input_is_written_after_all_is_read(instruction) -> None:
    weights = [[0.5, -1, 2], [1, 0, -0.5], [0.25, 1, 1]]
    model = ij.Model(
        [3, 3, 6],
        [instruction, ij.Copy(0, 2), ij.Copy(1, 2, 3)],
        [weights] * len(instruction.constants("weights")),
        parameters=[],
        maps=[{1: [1, 2, 3]}] * len(instruction.constants("maps")),
        feature_size=6,
    )
    check(model, np.array([[1, 1.25, -2, 3, 0.5, -1], [0.5, 9, 1, 2, 4, 8]], np.float32))


# The words


def test_slots_that_nothing_wrote_are_zero_and_scratch_is_not_touched_needlessly() -> None:
    model = ij.Model([2, 4], [ij.Copy(0, 1, 1)], features=[])
    buffer = np.full(8, np.nan, np.float32)
    buffer[:2] = 5, 6
    PLAIN["predict"](gpu.pack([model]).words, 0, buffer)
    assert buffer[:6].tolist() == [5, 6, 0, 5, 6, 0]
    assert np.isnan(buffer[6:]).all()


def test_the_header_says_what_the_caller_needs_and_leads_to_the_next_model() -> None:
    models = [model for _, model, _ in GOLDEN[:5]]
    packed = gpu.pack(models)
    at = 0
    for model, offset in zip(models, packed.offsets, strict=True):
        assert at == offset
        assert PLAIN["get_feature_size"](packed.words, at) == model.input_size
        assert PLAIN["get_output_size"](packed.words, at) == model.output_size
        assert PLAIN["get_output_start"](packed.words, at) == model.output_start
        assert PLAIN["get_compute_buffer_size"](packed.words, at) >= model.required_memory
        at += PLAIN["get_full_model_size"](packed.words, at)
    assert at == len(packed.words)


@pytest.mark.parametrize("front", [0, 1, 1000])
def test_models_run_from_any_word_on(front) -> None:
    named = random_models(0, 10)
    packed = gpu.pack([model for _, model, _ in named])
    words = np.concatenate([np.full(front, np.nan, np.float32), packed.words])
    for (_, model, rows), offset in zip(named, packed.offsets, strict=True):
        outputs = run_words(PLAIN, words, front + offset, rows[:2])
        assert same_bits(outputs, reference.run(model, rows[:2]))


def test_an_unknown_opcode_is_skipped() -> None:
    model = ij.Model([1], [ij.Activate(0, "SIGN"), ij.Activate(0, "INVERSE")], features=[])
    words = gpu.pack([model]).words
    words.view(np.int32)[opcodes.HEADER] = 99
    assert run_words(PLAIN, words, 0, [[5]]).tolist() == [[-4]]


def test_an_unknown_activation_gives_what_it_takes() -> None:
    words = gpu.pack([ij.Model([1], [ij.Activate(0, "SIGN")], features=[])]).words
    words.view(np.int32)[opcodes.HEADER + 6] = 99
    assert run_words(PLAIN, words, 0, [[5]]).tolist() == [[5]]


def test_the_text_has_every_activation_that_is_a_function() -> None:
    text = generic.activations_text()
    for activation in Activation:
        assert (f"return {activation.step}_of(x)" in text) == (activation.function is not None)


# PTX


@pytest.mark.parametrize("cc", [(8, 0), (9, 0), (10, 0)])
def test_the_ptx_has_exact_float32_operations_only(cc) -> None:
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        pytest.skip("the simulator compiles nothing")
    from numba import cuda, float32, int64

    predict = gpu.predict

    def kernel(words, offsets, buffers):
        row = cuda.grid(1)
        if row < len(offsets):
            predict(words, offsets[row], buffers[row])

    text = ptx_of(kernel, (float32[::1], int64[::1], float32[:, ::1]), cc)
    assert int(re.findall(r"\.target sm_(\d+)", text)[0]) <= 10 * cc[0] + cc[1]
    assert not re.findall(r"\.f64|\.approx|\.ftz|\bmul\.f32|\badd\.f32|\bsub\.f32", text)
    chains = 1 + 2 + 4 + 8 + 4
    assert len(re.findall(r"fma\.rn\.f32", text)) >= chains
    assert "div.rn.f32" in text
    assert "call" not in text  # everything is inlined
