"""The header against the library: symbols, structs, statuses, older and newer programs."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import libraries
import pytest
from libraries import COMPILER, CPUS, library, model

from instjit.kernels.elf import undefined
from instjit.library.build import build
from instjit.library.interface import KINDS, SIGNATURES, Info, Options
from instjit.library.symbols import ALLOWED

pytestmark = libraries.needs_compiler

NAME = "narrow"
SOURCE = Path(__file__).parent / "c" / "info_sizes.c"
C_TYPES = {
    "uint32_t": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "instjit_status": ctypes.c_int32,
    "const char *": ctypes.c_char_p,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
}


def header() -> str:
    """Without comments."""
    text = (library(NAME).parent / f"{NAME}.h").read_text(encoding="ascii")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def prototypes() -> dict[str, tuple[str, list[str]]]:
    found = re.findall(r"INSTJIT_EXPORT\s+([^;(]+?)(\w+)\(([^)]*)\);", header())
    return {
        name: (result.strip(), [" ".join(each.split()) for each in arguments.split(",")])
        for result, name, arguments in found
    }


def fields(struct: str) -> list[tuple[str, str]]:
    body = re.search(rf"typedef struct {struct} \{{(.*?)\}} {struct};", header(), re.DOTALL)
    assert body
    lines = [line.strip().rstrip(";") for line in body[1].strip().splitlines()]
    return [re.fullmatch(r"(.*?)(\w+)", line).groups() for line in lines]


def symbols(path: Path, *options: str) -> set[str]:
    done = subprocess.run(["nm", *options, path], capture_output=True, text=True, check=True)
    return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}


def test_the_library_exports_what_the_header_declares_and_its_name() -> None:
    exported = symbols(library(NAME), "-D", "--defined-only")
    assert exported == {*prototypes(), "instjit_library_name"}


def test_the_header_and_the_loader_have_the_same_functions_and_types() -> None:
    found = prototypes()
    assert {f"{NAME}_{each}" for each in SIGNATURES} == set(found)
    for each, (result, arguments) in SIGNATURES.items():
        told, parameters = found[f"{NAME}_{each}"]
        assert C_TYPES[told] is result, each
        parameters = [] if parameters == ["void"] else parameters
        assert len(parameters) == len(arguments), each
        for parameter, kind in zip(parameters, arguments, strict=True):
            if "*" in parameter:
                assert ctypes.sizeof(kind) == ctypes.sizeof(ctypes.c_void_p), parameter
            else:
                assert C_TYPES[parameter.rpartition(" ")[0]] is kind, parameter


def test_the_loaders_structs_are_the_headers() -> None:
    for struct, kind in (("instjit_info", Info), ("instjit_options", Options)):
        told = [(name, C_TYPES[type_.strip()]) for type_, name in fields(struct)]
        assert told == list(kind._fields_)


def test_statuses_are_numbered_from_0_without_a_gap_and_the_loader_knows_all() -> None:
    found = re.findall(r"X\((INSTJIT_\w+), (\d+), ", header())
    assert [int(number) for _, number in found] == list(range(len(found)))
    assert set(KINDS) | {0} == {int(number) for _, number in found}


def test_nothing_is_needed_but_the_c_and_the_mathematics_library() -> None:
    libc = {"malloc", "free", "memcpy", "memset", "memcmp", "strcmp", "memmove"}
    start = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}
    start |= {"__cxa_finalize", "__stack_chk_fail"}
    assert symbols(library(NAME), "-D", "--undefined-only") <= libc | start | ALLOWED
    done = subprocess.run(
        ["readelf", "-d", library(NAME)], capture_output=True, text=True, check=True
    )
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", done.stdout))
    assert needed <= {"libc.so.6", "libm.so.6"}


def test_kernels_need_nothing_on_any_cpu() -> None:
    for cpu in CPUS:
        path = libraries.folder() / f"{cpu}_{NAME}.o"
        build(model(NAME), path, emit="object", cpu=cpu)
        assert undefined(path.read_bytes()) == ()
        assert symbols(path, "--undefined-only") == set()


def sizes(changed: str, folder: Path, *flags: str) -> list[list[int]]:
    """What a program compiled with another header finds in today's library."""
    folder.mkdir()
    (folder / "changed.h").write_text(changed, encoding="ascii")
    names = [name for _, name in _fields_of(changed)]
    told = "".join(f"X({name})" for name in names)
    command = [*COMPILER, "-std=c99", "-include", folder / "changed.h", f"-DPREFIX={NAME}"]
    command += [f"-DFIELDS(X)={told}", *flags, SOURCE, library(NAME)]
    command += [f"-Wl,-rpath,{library(NAME).parent}", "-o", folder / "program"]
    subprocess.run(command, check=True)
    done = subprocess.run([folder / "program"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def _fields_of(text: str) -> list[tuple[str, str]]:
    body = re.search(r"typedef struct instjit_info \{(.*?)\} instjit_info;", text, re.DOTALL)
    assert body
    return re.findall(r"(\w[\w ]*[ *])(\w+);", body[1])


def test_struct_sizes_and_offsets_are_what_the_loader_thinks() -> None:
    first, second = sizes(header(), libraries.folder() / "sizes")
    offsets = [getattr(Info, name).offset for name, _ in Info._fields_]
    assert first == [ctypes.sizeof(Info), ctypes.sizeof(Options), 8, *offsets]
    assert second == [20, 1]


def test_a_program_of_an_older_header_still_runs() -> None:
    older = re.sub(
        r"uint64_t instruction_count;.*?\} instjit_info;",
        "} instjit_info;",
        header(),
        flags=re.DOTALL,
    )
    first, second = sizes(older, libraries.folder() / "older")
    assert first[0] == 48
    assert second == [20, 1]


def test_a_program_of_a_newer_header_reads_zeros_where_the_library_is_older() -> None:
    newer = header().replace("} instjit_info;", "uint64_t later; } instjit_info;")
    first, second = sizes(newer, libraries.folder() / "newer", "-DLATER")
    assert first[0] == ctypes.sizeof(Info) + 8
    assert second == [20, 1, 0]


@pytest.mark.parametrize(
    "flags", [("-std=c99", "-pedantic"), ("-std=c11",), ("-x", "c++", "-std=c++11")]
)
def test_the_header_is_c99_and_cpp(flags) -> None:
    path = library(NAME).parent / f"{NAME}.h"
    source = libraries.folder() / "include.c"
    source.write_text(f'#include "{path}"\n#include "{path}"\nint main(void) {{ return 0; }}\n')
    command = [*COMPILER, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_api_version_is_1_for_good() -> None:
    held = ctypes.CDLL(str(library(NAME)))
    assert getattr(held, f"{NAME}_api_version")() == 1
    assert [getattr(held, f"{NAME}_is_compatible")(version) for version in (0, 1, 2)] == [0, 1, 0]


def test_the_same_model_makes_the_same_files() -> None:
    made = [libraries.folder() / each for each in ("first", "second")]
    for folder in made:
        folder.mkdir()
        build(model(NAME), folder / "libsame.so", cpu=CPUS[-1])
    names = sorted(path.name for path in made[0].iterdir())
    assert names == ["libsame.so", "same-config.cmake", "same.h", "same.pc"]
    for name in names:
        assert (made[0] / name).read_bytes() == (made[1] / name).read_bytes(), name
