"""Kernels as C99, many in one program: it reads their constants and rows and writes the outputs.

Every array has its own allocation of the exact size, so that a sanitizer sees what goes past it;
scratch is full of NaN.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from c_compiler import CC, STRICT
from plain_run import form_of

import instjit as ij
from instjit.kernels import c99
from instjit.passes import PASSES, Pass
from instjit.variant import Compiled

MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void tiles(const float *, float *, int64_t, int64_t, int64_t,
    const float *, const int32_t *, float *);
typedef void row(const float *, float *, const float *, const int32_t *, float *);

%(declared)s

static const struct { tiles *tiles; row *row; } models[] = {
%(table)s
};

static void *taken(int64_t bytes)
{
    char *memory = malloc((size_t)bytes ? (size_t)bytes : 1);
    if (!memory || fread(memory, 1, (size_t)bytes, stdin) != (size_t)bytes)
        exit(3);
    return memory;
}

static float *unset(int64_t floats)
{
    float *memory = malloc((size_t)floats * 4 + 1);
    if (!memory)
        exit(3);
    memset(memory, 0xff, (size_t)floats * 4 + 1);
    return memory;
}

int main(void)
{
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        /* rows, columns in, columns out, entries of k, of n, slots, rows of a tile */
        int64_t *f = taken(7 * 8);
        float *k = taken(4 * f[3]);
        int32_t *n = taken(4 * f[4]);
        float *x = taken(4 * f[0] * f[1]);
        float *y = unset(f[0] * f[2]), *z = unset(f[0] * f[2]);
        float *s = unset(f[5] * f[6]), *t = unset(f[5]);
        const int64_t count = (f[0] + f[6] - 1) / f[6], half = count / 2;
        models[m].tiles(x, y, f[0], half, count, k, n, s);
        models[m].tiles(x, y, f[0], 0, half, k, n, s);
        for (int64_t r = 0; r < f[0]; r++)
            models[m].row(x + r * f[1], z + r * f[2], k, n, t);
        fwrite(y, 4, (size_t)(f[0] * f[2]), stdout);
        fwrite(z, 4, (size_t)(f[0] * f[2]), stdout);
        free(f), free(k), free(n), free(x), free(y), free(z), free(s), free(t);
    }
    return 0;
}
"""


@dataclass(frozen=True)
class Case:
    """A kernel as C99, its model, and rows for it."""

    model: ij.Model
    form: Compiled
    source: c99.CSource
    rows: np.ndarray


def source_of(
    model: ij.Model, level: str, passes: tuple[Pass, ...] = PASSES, name: str = "model"
) -> tuple[Compiled, c99.CSource]:
    """A model's program with its constants, and the text."""
    form = form_of(model, level, "output", passes)
    kinds = [instruction.kind for instruction in model.instructions]
    return form, c99.emit(form.program, form.places, form.level, kinds, name)


def case_of(
    model: ij.Model, rows: np.ndarray, level: str, number: int, passes: tuple[Pass, ...] = PASSES
) -> Case:
    """A model as one of several in a program."""
    form, source = source_of(model, level, passes, f"m{number}")
    return Case(model, form, source, np.ascontiguousarray(rows, np.float32))


def outputs(cases: list[Case], folder: Path, *flags: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """What tiles and what single rows give for each case; any word of the compiler is a failure."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {case.source.name: case.source.text for case in cases}
    declared, table = [], []
    for case in cases:
        name, level = case.source.name, case.source.level.name
        declared.append(f"tiles {name}_tiles_{level};\nrow {name}_row_{level};")
        table.append(f"    {{{name}_tiles_{level}, {name}_row_{level}}},")
    texts["main"] = MAIN % {"declared": "\n".join(declared), "table": "\n".join(table)}
    for name, text in texts.items():
        (folder / f"{name}.c").write_text(text)
    program = folder / "program"
    files = [str(folder / f"{name}.c") for name in texts]
    command = [str(CC), *STRICT, *flags, "-o", str(program), *files, "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not made.returncode, made.stderr[:3000]
    assert not made.stderr, made.stderr[:3000]
    taken = b"".join(_given(case) for case in cases)
    environment = {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    done = subprocess.run(
        [str(program)], input=taken, capture_output=True, check=False, env=environment
    )
    assert not done.returncode, done.stderr[:3000].decode(errors="replace")
    return _taken(cases, np.frombuffer(done.stdout, np.float32))


def _given(case: Case) -> bytes:
    form, program = case.form, case.form.program
    fields = (
        len(case.rows),
        program.width_in,
        program.width_out,
        form.k.size,
        form.n.size,
        program.slots,
        form.lanes,
    )
    arrays = (np.array(fields, np.int64), form.k, form.n, case.rows)
    return b"".join(array.tobytes() for array in arrays)


def _taken(cases: list[Case], floats: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    found, at = [], 0
    for case in cases:
        shape = (2, len(case.rows), case.form.program.width_out)
        size = int(np.prod(shape))
        tiles, rows = floats[at : at + size].reshape(shape)
        found.append((tiles, rows))
        at += size
    assert at == len(floats)
    return found
