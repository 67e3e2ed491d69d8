"""Libraries of other platforms run under QEMU: object code and C99 give the kernels' bits."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from libraries import MODELS, folder, model
from nets import dense, rows_for
from plain_run import same_bits
from test_library_c import PROGRAM, outputs

import instjit as ij
from instjit.formats import rmd1
from instjit.kernels.machine_code import cpu_of
from instjit.library.build import build
from instjit.library.generic import sources, symbol
from instjit.library.texts import header

pytestmark = pytest.mark.library

STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread", "-static")


@dataclass(frozen=True)
class Platform:
    """A platform, its emulator, how it writes floats, what object code is made for."""

    triple: str
    emulator: str
    floats: str = "<f4"
    narrower: str = ""

    @property
    def target(self) -> str:
        return self.narrower or self.triple

    @property
    def compiler(self) -> str:
        return f"{self.triple}-gcc"

    @property
    def folder(self) -> Path:
        made = folder() / self.triple
        made.mkdir(exist_ok=True)
        return made

    def skip_without_tools(self) -> None:
        for tool in (self.compiler, self.emulator):
            if not shutil.which(tool):
                pytest.skip(f"there is no {tool}")

    def program(self, path: Path, name: str, inputs: list[Path], *flags: str) -> list[str | Path]:
        """The command that runs it under the emulator."""
        command = [self.compiler, *STRICT, *flags, "-I", inputs[0].parent]
        command += ["-include", f"{name}.h", f"-DPREFIX={name}", PROGRAM, *inputs]
        done = subprocess.run(
            [*command, "-o", path, "-lm"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[:3000]
        return [self.emulator, path]


PLATFORMS = {
    "aarch64": Platform("aarch64-linux-gnu", "qemu-aarch64-static"),
    "riscv64": Platform("riscv64-linux-gnu", "qemu-riscv64-static"),
    "arm": Platform("arm-linux-gnueabihf", "qemu-arm-static", narrower="armv7-linux-gnueabihf"),
    "s390x": Platform("s390x-linux-gnu", "qemu-s390x-static", ">f4"),
}
"""NEON; fma in scalars; 32 bits, NEON without subnormal numbers; the other order of bytes."""

SOME = ("narrow", "chains", "tables", "chained", "borrowing", "random8", "random22", "random26")
OBJECTS = [
    *(("aarch64", name) for name in MODELS if name != "rows"),
    *((platform, name) for platform in ("riscv64", "arm", "s390x") for name in SOME),
]


@cache
def available(name: str) -> Platform:
    PLATFORMS[name].skip_without_tools()
    return PLATFORMS[name]


def given(base: ij.Model) -> np.ndarray:
    """Rows of all kinds: common ones, subnormal ones, and ones that hold NaN and infinities."""
    rows = rows_for(base, 23)
    rows[:4] *= np.float32(1e-40)
    rng = np.random.default_rng(2)
    spots = rng.random(rows[4:8].shape) < 0.2
    rows[4:8][spots] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 3e38], int(spots.sum()))
    return rows


def agree(on: Platform, command: list[str | Path], cpu: str, base: ij.Model, *more: Path) -> bool:
    rows = given(base)
    wanted = ij.reference.run(base, rows)
    found = outputs(command, base.output_size, cpu, rows.astype(on.floats), *more)
    found = found.view(on.floats).astype(np.float32)
    return same_bits(found, np.concatenate([wanted, wanted]))


@pytest.mark.parametrize(("platform", "name"), OBJECTS)
def test_object_code_has_the_kernels_bits(platform, name) -> None:
    on = available(platform)
    files = build(model(name), on.folder / f"{name}.o", emit="object", target=on.target)
    command = on.program(on.folder / name, name, [files[0], files[2]], "-O1")
    assert agree(on, command, cpu_of("", on.target).name, model(name))


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_c99_has_the_kernels_bits(platform, name) -> None:
    on = available(platform)
    source = on.folder / f"{name}99.c"
    files = build(model(name), source, emit="c", target=on.triple, name=name)
    command = on.program(source.with_suffix(""), name, files[:1], "-O3", "-ffp-contract=off")
    assert agree(on, command, "generic", model(name))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_generic_library_has_the_kernels_bits(platform) -> None:
    on = available(platform)
    made = on.folder / "generic"
    made.mkdir()
    cpu = cpu_of("", on.target)
    for file, text in (sources("any", [cpu]) | {"any.h": header("any")}).items():
        (made / file).write_text(text, encoding="ascii")
    command = [on.compiler, "-O3", "-ffp-contract=off", f"-DDENSE_CODE={symbol(cpu)}"]
    kernel = made / "kernel.o"
    subprocess.run([*command, "-c", made / "kernel.c", "-o", kernel], check=True)
    words = on.program(made / "program", "any", [made / "library.c", kernel])
    for widths in ((70, 16, 64, 48, 4, 3), (5, 63, 64, 65, 129, 33)):
        found = dense(*widths, activation="SIGMOID", last="TANH")
        (made / "model").write_bytes(rmd1.encode(found))
        assert agree(on, words, cpu.name, found, made / "model")
