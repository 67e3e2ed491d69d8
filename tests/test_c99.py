"""Kernels as C99: the bits of the reference however they are compiled, and nothing undefined."""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess

import numpy as np
import pytest
from c99_run import Case, case_of, outputs, source_of
from c_compiler import CC, FLAGS, STRICT, library, needs_compiler
from golden_cases import EXPORTED
from nets import NETS, dense, gated, rows_for, softmax, tables
from plain_run import same_bits
from random_models import random_model
from test_golden_kernels import COVERING, REST, model_of
from test_source import changed, copies, long, negated

import instjit as ij
from instjit import reference
from instjit.functions import FUNCTIONS
from instjit.kernels.c99_constants import constants_text
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES

SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WAYS = {**FLAGS, "sanitized": SANITIZED}
SEEDS = {"O0": 30, "O2": 20, "O3-native": 20, "O2-no-fma": 20, "sanitized": 30}
"""Random models of each way, 10 to a program; those of the way O2 are in the default run."""

CHUNK = 10
CHUNKS = [
    pytest.param(way, first, marks=() if way == "O2" else pytest.mark.library)
    for way, count in SEEDS.items()
    for first in range(0, count, CHUNK)
]


def wrong(cases: list[Case], tmp_path, *flags: str) -> list[str]:
    """Names of the cases whose tiles or rows have not the bits of the reference."""
    found = []
    for case, (tiles, rows) in zip(cases, outputs(cases, tmp_path, *flags), strict=True):
        wanted = reference.run(case.model, case.rows)
        if not same_bits(tiles, wanted):
            found.append(f"{case.source.name} tiles")
        if not same_bits(rows, wanted):
            found.append(f"{case.source.name} rows")
    return found


def random_cases(seeds: range) -> list[Case]:
    """Random models, levels and passes in turn."""
    return [
        case_of(*random_model(seed), list(LEVELS)[seed % 4], seed, () if seed % 3 == 0 else PASSES)
        for seed in seeds
    ]


@needs_compiler
@pytest.mark.parametrize(("way", "first"), CHUNKS)
def test_random_models_give_the_bits_of_the_reference(way, first, tmp_path) -> None:
    start = first + 100 * list(WAYS).index(way)
    assert not wrong(random_cases(range(start, start + CHUNK)), tmp_path, *WAYS[way])


@pytest.mark.sweep
@needs_compiler
@pytest.mark.parametrize("first", range(1000, 1400, 40))
@pytest.mark.parametrize("way", WAYS)
def test_400_models_give_the_bits_of_the_reference(way, first, tmp_path) -> None:
    assert not wrong(random_cases(range(first, first + 40)), tmp_path, *WAYS[way])


def golden(cases: tuple) -> list[Case]:
    return [
        case_of(model_of(case), case.inputs, level, number)
        for number, (case, level) in enumerate(zip(cases, itertools.cycle(LEVELS)))
    ]


@pytest.mark.library
@needs_compiler
@pytest.mark.parametrize("part", range(4))
def test_golden_models_give_the_bits_of_the_reference(part, tmp_path) -> None:
    assert not wrong(golden((*EXPORTED, *COVERING)[part::4]), tmp_path, "-O1")


@pytest.mark.sweep
@needs_compiler
@pytest.mark.parametrize("way", ["O3-native", "sanitized"])
def test_all_golden_models_give_the_bits_of_the_reference(way, tmp_path) -> None:
    assert not wrong(golden((*EXPORTED, *COVERING, *REST)), tmp_path, *WAYS[way])


@needs_compiler
@pytest.mark.parametrize("way", ["O2", pytest.param("sanitized", marks=pytest.mark.library)])
def test_every_form_of_a_step_gives_the_bits_of_the_reference(way, tmp_path) -> None:
    chosen = zip(NETS.values(), itertools.cycle(["avx2", "generic"]), range(100), strict=False)
    cases = [
        case_of(net(), rows_for(net(), count), level, number)
        for (net, level, number), count in zip(chosen, itertools.cycle([7, 16, 33]), strict=False)
    ]
    assert not wrong(cases, tmp_path, *WAYS[way])


@needs_compiler
@pytest.mark.parametrize("rows", [1, 8, 25])
def test_any_number_of_rows_gives_the_same_bits(rows, tmp_path) -> None:
    model = dense(5, 9, 3)
    assert not wrong([case_of(model, rows_for(model, rows), "generic", 0)], tmp_path, "-O0")


@needs_compiler
def test_a_model_too_wide_for_the_cache_runs_row_by_row(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("instjit.kernels.target.cache_bytes", lambda: 0)
    cases = [case_of(*random_model(seed), "avx2", seed) for seed in (1, 5, 8)]
    assert {case.form.lanes for case in cases} == {1}
    assert not wrong(cases, tmp_path, "-O1")


# -- the text --------------------------------------------------------------------------------------

GOLDEN = {
    "layers-generic": lambda: text_of(dense(20, 64, 32, 1)),
    "layers-avx512": lambda: text_of(dense(20, 64, 32, 1), "avx512"),
    "softmax-avx2": lambda: text_of(softmax(40), "avx2"),
    "gated-generic": lambda: text_of(gated()),
    "tables-generic": lambda: text_of(tables()),
    "copies-generic": lambda: text_of(copies()),
}


def text_of(model: ij.Model, level: str = "generic") -> str:
    return source_of(model, level)[1].text


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_the_golden_one(name, golden) -> None:
    golden(f"source/{name}.c.txt", GOLDEN[name]())


@pytest.mark.parametrize("seed", range(20))
def test_other_numbers_give_the_same_text_and_digest(seed) -> None:
    model, _ = random_model(seed)
    other = changed(model, weights=negated(model.weights), bias=negated(model.bias))
    first, second = (source_of(each, "avx2")[1] for each in (model, other))
    assert (first.text, first.digest) == (second.text, second.digest)
    assert str(first) == first.text


def test_other_index_lists_give_another_digest() -> None:
    def picked(*slots: int) -> str:
        model = ij.Model([3, 2], [ij.CopyMasked(0, 1, slots)], feature_size=3)
        return source_of(model, "generic")[1].digest

    assert picked(0, 2) == picked(0, 2) != picked(2, 0)


def test_the_text_is_no_longer_for_wider_layers() -> None:
    lengths = [len(text_of(dense(width, 2 * width, width)).splitlines()) for width in (192, 768)]
    assert lengths[0] == lengths[1]


WORDS = """
static inline void float const int32_t int64_t uint32_t ptrdiff_t restrict return for if else while
define endif error include ifdef pragma STDC FP_CONTRACT OFF defined sizeof h math string stdint
stddef INFINITY NAN INT32_MAX INT32_MIN _Pragma __GNUC__ __clang__ __FAST_MATH__ FLT_EVAL_METHOD
memcpy fmaf sqrtf IJ_VECTOR ij_place_of ij_take ij_give ij_bits ij_float ij_whole row_carry_dot
x y k n s t u v w e i j p q c a b first last rows count width step next lane tile row after size
identity entry keys dense span key rest low high middle at one memory number
model_tiles_avx2 model_row_avx2
"""
KNOWN = {*WORDS.split(), *(f"ij_{name}" for name in FUNCTIONS)}
NUMBERED = re.compile(r"(t|v|a|tile_step|row_step)\d+|(tile|row)_carry_\d+x\d+")


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_the_text_holds_our_words_alone(seed) -> None:
    text = re.sub(
        r'/\*.*?\*/|#error ".*"|"GCC unroll 1"',
        "",
        text_of(random_model(seed)[0], "avx2"),
        flags=re.S,
    )
    text = re.sub(r"-?0x[0-9a-f.]+(p[-+]\d+f|u)?|<float.h>", "", text)
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    assert {word for word in words if not NUMBERED.fullmatch(word)} <= KNOWN
    assert text.isascii()


def test_a_long_model_has_a_function_for_each_step() -> None:
    text = text_of(long())
    assert "tile_step100(" in text
    assert "row_step100(" in text


@pytest.mark.parametrize("name", ["", "1a", "_a", "a b", "a-b", "a;", "\u00e9", "a" * 64, "a\n"])
def test_a_name_that_is_no_identifier_is_refused(name) -> None:
    with pytest.raises(ij.CompileError) as caught:
        source_of(dense(2, 1), "generic", name=name)
    assert caught.value.kind == "InvalidName"
    assert str(caught.value).isprintable()


# -- what a compiler makes of it -------------------------------------------------------------------


def made_of(text: str, tmp_path, *flags: str) -> subprocess.CompletedProcess:
    """Compile an object file, to see what the compiler says."""
    (tmp_path / "text.c").write_text(text)
    command = [str(CC), *STRICT, *flags, "-c", "text.c"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


@needs_compiler
@pytest.mark.parametrize("flag", ["-O0", "-O2"])
def test_nothing_is_called_but_fma_roots_and_copies(flag, tmp_path) -> None:
    steps = [ij.Dot(0, 1, 0, "SQRT"), ij.Activate(1, "SOFTMAX")]
    model = ij.Model([4, 6], steps, [np.ones((6, 4))], feature_size=4)
    assert not made_of(text_of(model), tmp_path, flag, "-march=x86-64").returncode
    listed = subprocess.run(
        ["nm", "-u", tmp_path / "text.o"], capture_output=True, text=True, check=True
    )
    called = {line.split()[-1] for line in listed.stdout.splitlines()}
    assert called <= {"fmaf", "sqrtf", "memcpy", "memset"}
    assert {"fmaf", "sqrtf"} <= called


@needs_compiler
@pytest.mark.parametrize(("level", "most"), [("generic", 1024), ("avx512", 4096)])
def test_the_stack_holds_no_more_than_a_block_of_sums(level, most, tmp_path) -> None:
    model = NETS["chains"]()
    assert not made_of(text_of(model, level), tmp_path, "-Os", "-fstack-usage").returncode
    lines = (tmp_path / "text.su").read_text().splitlines()
    assert max(int(line.split("\t")[1]) for line in lines) <= most


@needs_compiler
def test_fast_math_is_refused(tmp_path) -> None:
    done = made_of(text_of(dense(2, 1)), tmp_path, "-ffast-math")
    assert done.returncode
    assert "-ffast-math changes results" in done.stderr


@needs_compiler
def test_constants_in_the_text_are_those_that_are_packed(tmp_path) -> None:
    weights = [[1.1, -0.0, 1e-42, np.inf], [-np.inf, np.nan, 3.4e38, -7.0]]
    steps = [ij.Dot(0, 1, 0), ij.MapTransform(0, 1, 0, 0, 0, 1, (0,))]
    maps = [{-(2**31): [1], 2**31 - 1: [2], -5: [3]}]
    model = ij.Model([4, 2], steps, [weights], maps=maps, feature_size=4)
    form, source = source_of(model, "generic", name="net")
    held = library(tmp_path, source.text + constants_text("net", form.k, form.n), "-O0")
    k = np.ctypeslib.as_array((ctypes.c_float * form.k.size).in_dll(held, "net_k"))
    n = np.ctypeslib.as_array((ctypes.c_int32 * form.n.size).in_dll(held, "net_n"))
    assert same_bits(k, form.k)
    assert (n == form.n).all()
