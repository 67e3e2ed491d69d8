"""The generic library: any RMD1 bytes, with the bits of a kernel of the same file."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libraries
import numpy as np
import pytest
from libraries import COMPILER, CPUS, NATIVE, folder
from nets import DOTS, dense, rows_for
from plain_run import same_bits
from test_library_c import compiled, outputs

import instjit as ij
from instjit.errors import CompileError, FormatError, InputError
from instjit.formats import rmd1
from instjit.formats.limits import Limits
from instjit.kernels import machine_code
from instjit.kernels.machine_code import cpus_of
from instjit.library import generic
from instjit.library.generic import build_generic, sources, symbol
from instjit.library.texts import header

pytestmark = libraries.needs_compiler

WIDTHS = {
    "one": (1, 1),
    "chains": (70, 16, 64, 48, 4, 3),
    "narrow": (20, 64, 32, 1),
    "panels": (5, 63, 64, 65, 129, 33),
    "deep": (7,) * 40,
    "wide": (250, 300, 200),
    **{f"{outputs} of {depth}": (depth, outputs) for outputs, depth in DOTS},
}
PLAINEST = CPUS[-1:]
"""Compiled in a third of the time that all take."""

ACTIVATIONS = ("RELU", "SIGMOID", "TANH", None)


def library(cpus: tuple[str, ...] = PLAINEST) -> Path:
    path = folder() / "_".join(("generic", *cpus)) / "libinstjit.so"
    if not path.exists():
        path.parent.mkdir()
        build_generic(path, cpu=cpus)
    return path


def models() -> list[tuple[str, ij.Model]]:
    return [
        (name, dense(*widths, activation=ACTIVATIONS[k % 3], last=ACTIVATIONS[(k + 1) % 4]))
        for k, (name, widths) in enumerate(WIDTHS.items())
    ]


@pytest.mark.parametrize("name", ["chains", "panels"])
def test_the_bits_are_those_of_a_kernel(name) -> None:
    check_bits(dict(models())[name], PLAINEST)


@pytest.mark.library
@pytest.mark.parametrize("model", [model for _, model in models()], ids=list(WIDTHS))
def test_the_bits_are_those_of_a_kernel_on_every_cpu(model) -> None:
    check_bits(model, CPUS)


def check_bits(model: ij.Model, cpus: tuple[str, ...]) -> None:
    rows = rows_for(model, 70)
    wanted = ij.reference.run(model, rows)
    for cpu in cpus:
        loaded = ij.load_library(library(cpus), rmd1.encode(model), cpu=cpu)
        for count in (1, 5, 8, 15, 16, 17, 33, 70):
            assert same_bits(loaded.predict(rows[:count]), wanted[:count]), (cpu, count)
        for number in range(0, 70, 9):
            assert same_bits(loaded.row(rows[number]), wanted[number]), cpu


def test_float64_gaps_and_shared_ranges_are_read_as_by_load() -> None:
    layers = [
        rmd1.Layer(3, 4, 5, 2, rmd1.DenseActivation.TANH),
        rmd1.Layer(4, 3, 5, 0, rmd1.DenseActivation.SIGMOID),
    ]
    rng = np.random.default_rng(4)
    for dtype in ("float32", "float64"):
        content = rmd1.pack_dense(
            rmd1.Dense.of(layers, rng.normal(size=20) * 1e20, rng.normal(size=8), dtype)
        )
        rows = rng.normal(size=(9, 3)).astype(np.float32)
        wanted = ij.reference.run(rmd1.decode(content), rows)
        assert same_bits(ij.load_library(library(), content + b"tail").predict(rows), wanted)


@pytest.mark.library
@pytest.mark.parametrize("flags", [(), ("-fsanitize=address,undefined", "-fno-sanitize-recover")])
def test_a_program_gets_the_bits_between_guard_pages_and_under_sanitizers(flags, tmp_path) -> None:
    cpus = cpus_of(CPUS)
    for file, text in (sources("any", cpus) | {"any.h": header("any")}).items():
        (tmp_path / file).write_text(text, encoding="ascii")
    inputs = [tmp_path / "library.c"]
    for cpu in cpus:
        inputs.append(tmp_path / f"{symbol(cpu)}.o")
        march = f"-march={'native' if cpu.name == 'native' else cpu.model}"
        words = ["-O1", "-ffp-contract=off", *flags, march, f"-DDENSE_CODE={symbol(cpu)}"]
        command = [*COMPILER, *words, "-c", tmp_path / "kernel.c", "-o", inputs[-1]]
        subprocess.run(command, check=True)
    program = compiled(tmp_path / "program", "any", inputs, *flags)
    for name in ("chains", "panels"):
        model = dict(models())[name]
        (tmp_path / "model").write_bytes(rmd1.encode(model))
        rows = rows_for(model, 40)
        wanted = ij.reference.run(model, rows)
        for cpu in CPUS:
            found = outputs([program], model.output_size, cpu, rows, tmp_path / "model")
            assert same_bits(found, np.concatenate([wanted, wanted]))


def test_it_knows_sizes_and_counts() -> None:
    found = ij.load_library(library(), rmd1.encode(dense(20, 64, 32, 1)))
    assert (found.input_size, found.output_size, found.name) == (20, 1, "instjit_rmd1")
    assert (found.digest, found.features, found.cpu) == ("", (), PLAINEST[0])


def test_it_takes_bytes_and_nothing_else() -> None:
    with pytest.raises(InputError) as caught:
        ij.load_library(library())
    assert caught.value.kind == "NullPointer"


SMALL = rmd1.encode(dense(3, 4, 2))
ANY = Limits(**{name: 2**40 for name in ("instructions", "arrays", "buffers", "weights", "slots")})


def test_every_truncation_is_judged_as_by_load() -> None:
    check_kinds([SMALL[:size] for size in range(len(SMALL))], {"Truncated"})


@pytest.mark.library
def test_many_flips_are_judged_as_by_load() -> None:
    rng = np.random.default_rng(5)
    cases = []
    for _ in range(2000):
        changed = bytearray(SMALL)
        for place in rng.integers(0, 60, rng.integers(1, 3)):
            changed[place] = rng.choice([0, 1, 2, 3, 4, 255, changed[place] ^ 1])
        cases.append(bytes(changed))
    check_kinds(cases, {"good", "IncompatibleChain", "InvalidLayer"})


def check_kinds(cases: list[bytes], wanted: set[str]) -> None:
    found = [(_kind(content, True), _kind(content, False)) for content in cases]
    assert [pair for pair in found if pair[0] != pair[1]] == []
    assert {name for name, _ in found} >= wanted


def _kind(content: bytes, ours: bool) -> str:
    try:
        ij.load_library(library(), content) if ours else rmd1.decode(content, ANY)
    except FormatError as error:
        return error.kind
    return "good"


def shared(times: int, most: int = 0) -> bytes:
    """Layers of 2^18 numbers, all the same ones; bytes of ``most`` numbers in all."""
    there = rmd1.Layer(2**12, 2**6, 0, 0, rmd1.DenseActivation.RELU)
    back = rmd1.Layer(2**6, 2**12, 0, 0, rmd1.DenseActivation.RELU)
    numbers = np.zeros(max(2**18, most)), np.zeros(2**12)
    return rmd1.pack_dense(rmd1.Dense.of([there, back] * (times // 2), *numbers, "float32"))


@pytest.mark.parametrize(("times", "most"), [(128, 0), (20_000, 0), (146, 2**24 + 2**20)])
def test_layers_that_share_more_numbers_than_a_file_may_ask_for_are_refused(times, most) -> None:
    content = shared(times, most)
    with limited_memory(2**26), pytest.raises(FormatError) as caught:
        ij.load_library(library(), content)
    assert caught.value.kind == "LimitExceeded"


@pytest.mark.parametrize(("times", "most"), [(126, 0), (134, 2**24 + 2**20)])
def test_layers_may_share_128_mib_of_numbers_or_as_many_as_the_file_has_twice(times, most) -> None:
    loaded = ij.load_library(library(), shared(times, most))
    assert (loaded.row(np.ones(2**12)) == 0).all()


def test_few_outputs_of_very_many_inputs_are_no_shared_numbers() -> None:
    inputs = 2**23 + 1  # filled up to 4 outputs they take more than 128 MiB
    layer = rmd1.Layer(inputs, 1, 0, 0, rmd1.DenseActivation.RELU)
    numbers = np.full(inputs, 0.5), np.ones(1)
    content = rmd1.pack_dense(rmd1.Dense.of([layer], *numbers, "float32"))
    ones = np.ones(inputs, np.float32)
    assert ij.load_library(library(), content).row(ones) == (inputs + 2) / 2


@pytest.mark.library
def test_what_takes_more_than_memory_is_refused() -> None:
    content = shared(120)
    with limited_memory(2**26), pytest.raises(MemoryError):
        ij.load_library(library(), content)


@contextmanager
def limited_memory(most: int) -> Iterator[None]:
    """The process may take so much more address space."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_it_needs_the_c_and_the_mathematics_library_alone() -> None:
    done = subprocess.run(
        ["nm", "-D", "--undefined-only", library()], capture_output=True, text=True, check=True
    )
    needed = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}
    start = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}
    assert needed - start <= {
        "__cxa_finalize", "calloc", "free", "memcpy", "memset", "memcmp", "strcmp", "fmaf",
        "__stack_chk_fail", "rintf", "truncf",
    }  # fmt: skip


def test_a_model_of_the_generic_library_and_one_of_its_own_share_a_program() -> None:
    made = folder() / "both"
    made.mkdir()
    (made / "both.c").write_text(
        '#include "instjit_rmd1.h"\n#include "one.h"\n'
        "int main(void) {\n"
        "    instjit_info info = {.size = sizeof info};\n"
        "    instjit_model *model = NULL;\n"
        "    if (one_create(NULL, 0, NULL, &model) || one_info(model, &info)) return 1;\n"
        "    if (instjit_rmd1_create(NULL, 0, NULL, &model) != INSTJIT_NULL_POINTER) return 2;\n"
        "    return one_destroy(model);\n"
        "}\n",
        encoding="ascii",
    )
    one = libraries.library("one", NATIVE)
    command = [*COMPILER, "-I", library().parent, "-I", one.parent, made / "both.c", library(), one]
    paths = f"-Wl,-rpath,{library().parent}:{one.parent}"
    subprocess.run([*command, paths, "-o", made / "both"], check=True)
    assert subprocess.run([made / "both"], check=False).returncode == 0


def test_on_other_platforms_it_is_for_what_the_compiler_makes(monkeypatch) -> None:
    monkeypatch.setattr(generic, "host_triple", lambda: "aarch64-linux-gnu")
    monkeypatch.setattr(machine_code, "host_triple", lambda: "aarch64-linux-gnu")
    flags: list[str] = []
    monkeypatch.setattr(generic.compiling, "run", lambda words, folder: flags.extend(words))
    monkeypatch.setattr(generic.compiling, "shared_library", lambda inputs, out, *_: out.touch())
    build_generic(folder() / "elsewhere.so", name="elsewhere")
    assert "-DDENSE_CODE=dense_generic" in flags
    assert not any(str(flag).startswith("-march") for flag in flags)
    with pytest.raises(CompileError, match="no CPU 'x86-64-v3'"):
        build_generic(folder() / "elsewhere.so", cpu="v3")
