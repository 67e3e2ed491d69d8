"""Object code and texts for other platforms and CPUs, names, files, the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import libraries
import pytest
from libraries import CPUS, model
from plain_run import form_of

import instjit as ij
from instjit import cli
from instjit.errors import CompileError, InputError
from instjit.kernels.elf import undefined
from instjit.kernels.machine_code import cpu_of, cpus_of, whole
from instjit.library import symbols
from instjit.library.build import build
from instjit.library.texts import name_of, quoted
from instjit.passes import PASSES

PLATFORMS = {
    "aarch64-linux-gnu": ("neon", b"\x7fELF\x02", ()),
    "x86_64-linux-gnu": ("generic", b"\x7fELF\x02", ()),
    "riscv64-linux-gnu": ("generic", b"\x7fELF\x02", ()),
    "thumbv7em-none-eabihf": ("generic", b"\x7fELF\x01", ()),
    "arm64-apple-macos": ("neon", b"\xcf\xfa\xed\xfe", None),
    "x86_64-pc-windows-msvc": ("generic", b"\x64\x86", None),
    "wasm32-unknown-unknown": ("generic", b"\0asm", None),
}
"""Level, how the file begins, what it leaves open."""


@pytest.mark.parametrize("target", libraries.marked(PLATFORMS, ["aarch64-linux-gnu"]))
@pytest.mark.parametrize("name", libraries.marked(["narrow", "random26"]))
def test_object_code_for_other_platforms(target, name, tmp_path) -> None:
    level, begins, needs = PLATFORMS[target]
    cpu = "cortex-m4" if target.startswith("thumb") else "native"
    files = build(model(name), tmp_path / "net.o", emit="object", target=target, cpu=cpu)
    assert [path.name for path in files] == ["net.o", "net.h", "net.c"]
    content = files[0].read_bytes()
    assert content.startswith(begins)
    found = undefined(content)
    assert (found is None) == (needs is None)
    assert set(found or ()) <= {*(needs or ()), "memcpy", "memset", "fmaf"}
    asked = cpus_of([cpu], target)[0]
    assert (asked.level.name, asked.step) == (level, 1 if target.startswith("x86") else 0)
    lanes = re.search(r"static const code codes\[\] = \{\n.*?, \d, (\d+), ", files[2].read_text())
    assert lanes
    assert int(lanes[1]) == form_of(model(name), level, "output", PASSES).lanes


def test_object_code_for_aarch64_multiplies_and_adds_in_one_instruction(tmp_path) -> None:
    build(model("layers"), tmp_path / "a.s", emit="asm", target="aarch64-linux-gnu")
    text = (tmp_path / "a.s").read_text()
    assert text.count("fmla") > 50
    assert "bl\tfmaf" not in text


def test_object_code_for_32_bit_arm_has_no_neon_and_takes_hard_floats(tmp_path) -> None:
    build(model("layers"), tmp_path / "a.s", emit="asm", target="armv7-linux-gnueabihf")
    text = (tmp_path / "a.s").read_text()
    assert ".eabi_attribute\t28, 1" in text
    assert re.search(r"\tv(add|mul)\.f32\ts", text)
    assert not re.search(r"\tv(add|mul)\.f32\t[dq]", text)


@pytest.mark.parametrize(
    ("triple", "wanted"),
    [
        ("aarch64-linux-gnu", "aarch64-unknown-linux-gnu"),
        ("thumbv7em-none-eabihf", "thumbv7em-unknown-none-eabihf"),
        ("x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc"),
        ("arm64-apple-macos", "arm64-apple-macos"),
        ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
        ("wasm32", "wasm32"),
    ],
)
def test_a_vendor_that_is_left_out_is_unknown(triple, wanted) -> None:
    assert whole(triple) == wanted


@pytest.mark.skipif(not libraries.X86, reason="not an x86-64 machine")
@pytest.mark.parametrize(("cpu", "register"), [("v4", "zmm"), ("v3", "ymm"), ("v2", "xmm")])
def test_each_cpu_has_its_registers(cpu, register, tmp_path) -> None:
    build(model("layers"), tmp_path / "a.s", emit="asm", cpu=cpu)
    text = (tmp_path / "a.s").read_text()
    wider = {"xmm": ("ymm", "zmm"), "ymm": ("zmm",), "zmm": ()}[register]
    assert register in text
    assert not any(each in text for each in wider)


def test_texts_have_both_functions_for_every_cpu(tmp_path) -> None:
    for emit, line in (("llvm", "define hidden void @net_{}_{}("), ("asm", "net_{}_{}:")):
        build(model("one"), tmp_path / "net", emit=emit, cpu=CPUS)
        text = (tmp_path / "net").read_text()
        for cpu in CPUS:
            for kind in ("tiles", "row"):
                assert line.format(kind, cpu.replace("-", "_")) in text


def test_a_header_takes_no_compiler_and_names_the_functions(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert build(model("one"), tmp_path / "a.h", emit="header", name="my_net")
    text = (tmp_path / "a.h").read_text()
    assert "my_net_create(const void *bytes" in text
    assert "NAME" not in text.replace("INSTJIT_LIBRARY_", "")


def test_without_a_compiler_there_is_no_shared_library(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    with pytest.raises(CompileError) as caught:
        build(model("one"), tmp_path / "a.so")
    assert caught.value.kind == "NoCompiler"
    assert list(tmp_path.iterdir()) == []


def test_what_the_compiler_says_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CC", "sh -c 'echo no room >&2; exit 3'")
    with pytest.raises(CompileError, match="sh ends with 3: no room"):
        build(model("one"), tmp_path / "a.so")


REFUSED = {
    "emit": ("UnknownForm", {"emit": "exe"}),
    "shared for another platform": ("UnknownForm", {"target": "aarch64-linux-gnu"}),
    "no identifier": ("UnknownForm", {"name": "9net"}),
    "a word of C": ("UnknownForm", {"name": "int"}),
    "a prefix of types": ("UnknownForm", {"name": "instjit"}),
    "no platform": ("UnknownTarget", {"target": "z80-none", "emit": "object"}),
    "no CPU": ("UnknownCpu", {"cpu": "pentium-of-doom"}),
    "no CPU at all": ("UnknownCpu", {"cpu": []}),
    "twice the same": ("UnknownCpu", {"cpu": "v2,v2"}),
    "CPUs that are no steps": ("UnknownCpu", {"cpu": "v2,skylake"}),
    "native elsewhere": ("UnknownCpu", {"cpu": "native,v2"}),
    "a CPU of another platform": (
        "UnknownCpu",
        {"cpu": "v2", "emit": "object", "target": "riscv64-linux-gnu"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_built_is_refused(name, tmp_path) -> None:
    kind, options = REFUSED[name]
    with pytest.raises((InputError, CompileError)) as caught:
        build(model("one"), tmp_path / "a.so", **options)
    assert caught.value.kind == kind
    assert list(tmp_path.iterdir()) == []


def test_names_of_files_become_prefixes() -> None:
    names = ("libmy-net.so.1", "net.o", "9.so", "lib.so", "int.so", "libinstjit.so", "é.so")
    assert [name_of(name) for name in names] == [
        "my_net", "net", "model_9", "model", "int_model", "instjit_model", "model",
    ]  # fmt: skip


def test_strings_are_c_whatever_they_hold() -> None:
    assert quoted('a"b\\?\n\0é') == '"a\\042b\\134\\077\\012\\000\\303\\251"'


def test_needless_symbols_are_refused() -> None:
    with pytest.raises(CompileError, match="needs f, which"):
        symbols.check(object_that_needs("f"))


def object_that_needs(name: str) -> bytes:
    from instjit.kernels import machine_code

    text = f"declare void @{name}()\ndefine void @g() {{ call void @{name}() ret void }}"
    cpu = cpu_of("", "x86_64-linux-gnu")
    return machine_code.object_code(machine_code.optimised(text, cpu, frozenset("g")), cpu)


@pytest.fixture
def model_file(tmp_path) -> Path:
    path = tmp_path / "net.json"
    ij.save(model("one"), path)
    return path


@libraries.needs_compiler
def test_the_command_line_builds_a_library(model_file, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words = ["build", str(model_file), "-o", str(out / "libnet.so"), "--cpu", CPUS[-1]]
    assert cli.main(words) == 0
    assert "wrote libnet.so, net.h, net-config.cmake, net.pc" in capsys.readouterr().err
    assert ij.load_library(out / "libnet.so").single([1.0]) == ij.compile(model("one")).single([1])
    assert cli.main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main([*words, "--force"]) == 0


@libraries.needs_compiler
def test_the_command_line_builds_a_generic_library(tmp_path, capsys) -> None:
    words = ["build", "--generic", "-o", str(tmp_path / "libany.so"), "--cpu", CPUS[-1]]
    assert cli.main([*words, "--name", "any"]) == 0
    assert (tmp_path / "any.h").exists()


BAD_WORDS = {
    "neither": ["build", "-o", "x.so"],
    "both": ["build", "m.json", "--generic", "-o", "x.so"],
    "generic object": ["build", "--generic", "-o", "x.o", "--emit", "object"],
    "no output": ["build", "m.json"],
    "unknown form": ["build", "m.json", "-o", "x", "--emit", "exe"],
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_bad_words_are_usage_errors(name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(BAD_WORDS[name]) == 2
    assert capsys.readouterr().err


def test_the_output_may_not_be_the_model(model_file, capsys) -> None:
    assert cli.main(["build", str(model_file), "-o", str(model_file), "--force"]) == 2
    assert json.loads(model_file.read_text())
