"""Libraries give the bits of kernels, on every CPU that they hold code for, from any thread."""

from __future__ import annotations

import subprocess
import sys
import threading

import libraries
import numpy as np
import pytest
from libraries import CPUS, MODELS, NATIVE, kernel, library, model
from nets import rows_for
from plain_run import form_of, same_bits
from random_models import random_model

import instjit as ij
from instjit.formats import rmd1
from instjit.ops import OPS
from instjit.passes import PASSES

pytestmark = libraries.needs_compiler

KINDS = {step.kind for name in MODELS for step in model(name).instructions}
COUNTS = (1, 2, 7, 8, 15, 31, 32, 33, 70)


def test_the_models_have_every_instruction() -> None:
    assert set(OPS) == KINDS


@pytest.mark.parametrize("level", ["avx512", "avx2"])
def test_one_of_the_models_reads_and_writes_rows_where_the_caller_has_them(level) -> None:
    text = form_of(model("borrowing"), level, "output", PASSES).source.text
    assert "column(0)" in text
    assert 'into="y"' in text


@pytest.mark.parametrize("name", libraries.marked(MODELS))
def test_batches_and_rows_have_the_kernels_bits(name) -> None:
    check_bits(name, NATIVE)
    loaded = ij.load_library(library(name, NATIVE))
    assert (loaded.cpu, loaded.digest) == ("native", kernel(name).source.digest)


@pytest.mark.library
@pytest.mark.parametrize("name", MODELS)
def test_the_code_for_every_cpu_has_the_kernels_bits(name) -> None:
    check_bits(name, CPUS)


def check_bits(name: str, cpus: tuple[str, ...]) -> None:
    counts = COUNTS if model(name).input_size < 1000 else (1, 3)
    rows = rows_for(model(name), max(counts))
    wanted = kernel(name).predict(rows)
    for cpu in cpus:
        loaded = ij.load_library(library(name, cpus), cpu=cpu)
        for count in counts:
            assert same_bits(loaded.predict(rows[:count]), wanted[:count]), (cpu, count)
        for number in range(min(5, len(rows))):
            assert same_bits(loaded.row(rows[number]), kernel(name).row(rows[number])), cpu


def test_the_best_code_is_taken_unless_one_is_named() -> None:
    assert ij.load_library(library("narrow")).cpu == CPUS[0]
    assert [ij.load_library(library("narrow"), cpu=cpu).cpu for cpu in CPUS] == list(CPUS)


def test_a_library_knows_its_model() -> None:
    found = ij.load_library(library("named", NATIVE))
    assert found.features == model("named").features
    assert (found.name, found.input_size, found.output_size) == ("named", 6, 1)


def test_eight_threads_share_a_model() -> None:
    loaded = ij.load_library(library("random22", NATIVE))
    rows = [rows_for(model("random22"), 300, seed) for seed in range(8)]
    wanted = [kernel("random22").predict(each) for each in rows]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not same_bits(loaded.predict(rows[number]), wanted[number]):
                wrong.append(number)
            if not same_bits(loaded.row(rows[number][3]), wanted[number][3]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_loading_and_calling_imports_neither_numba_nor_llvmlite() -> None:
    code = (
        "import sys, instjit\n"
        f"found = instjit.load_library({str(library('narrow'))!r})\n"
        "found.predict([[1.0] * 20]), found.row([1.0] * 20)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout.split()
    assert not {"numba", "llvmlite", "instjit.compiler"} & set(done.stdout.split())


@pytest.mark.parametrize("name", libraries.marked(["narrow", "chained", "activations"]))
def test_rmd1_bytes_bring_other_numbers(name) -> None:
    base = model(name)
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in base.weights]
    bias = [rng.normal(size=b.shape).astype(np.float32) for b in base.bias]
    other = ij.Model(base.buffers, base.instructions, weights, bias, feature_size=base.input_size)
    content = rmd1.encode(other)
    rows = rows_for(base, 40)
    wanted = ij.reference.run(other, rows)
    for cpu in CPUS:
        loaded = ij.load_library(library(name), content, cpu=cpu)
        assert same_bits(loaded.predict(rows), wanted)


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, 200, 10))
def test_libraries_of_random_models_have_the_bits_of_the_reference(first, tmp_path) -> None:
    wrong = []
    for seed in range(first, first + 10):
        found, rows = random_model(seed)
        if ij.validate(found):
            continue
        rows = np.concatenate([rows, rows[::-1]])
        wanted = ij.reference.run(found, rows)
        path = tmp_path / f"lib{seed}.so"
        ij.build(found, path, cpu=CPUS)
        for cpu in CPUS:
            loaded = ij.load_library(path, cpu=cpu)
            good = same_bits(loaded.predict(rows), wanted)
            if not good or not same_bits(loaded.row(rows[0]), wanted[0]):
                wrong.append((seed, cpu))
    assert wrong == []
