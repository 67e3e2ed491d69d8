"""A library as one C99 file: for compilers and CPUs that LLVM makes no object code for here."""

from __future__ import annotations

from pathlib import Path

from instjit.cost import cost
from instjit.kernels import c99
from instjit.kernels.c99_constants import constants_text
from instjit.kernels.machine_code import Cpu, architecture, host_triple
from instjit.kernels.target import LEVELS, Level
from instjit.library import blueprint, texts
from instjit.library.blueprint import Code
from instjit.model import Model
from instjit.passes import PASSES
from instjit.variant import Compiled

HEAD = """\
/* The model {name} as C99: {name}_tiles_{level} and {name}_row_{level}, their constants {name}_k
 * and {name}_n, and the functions of {name}.h around them.
 *
 * cc -std=c99 -O3 -ffp-contract=off -c {name}.c; fmaf is all that it needs of the mathematics
 * library. With -DINSTJIT_KERNEL_ALONE there are the two functions and the constants and nothing
 * else: no header, no memory, no strings. Their scratch is {tile} and {row} floats.
 */
"""


def level_of(triple: str | None) -> Level:
    """The blocking for a platform, this one for None; others run the same text too."""
    name = "avx2" if architecture(triple or host_triple()) == "x86_64" else "generic"
    return LEVELS[name]


def c_files(model: Model, name: str, output: Path, target: str | None) -> dict[Path, bytes]:
    """The C file and its header."""
    level = level_of(target)
    form = Compiled(model, cost(model), level, "output", PASSES)
    kinds = [instruction.kind for instruction in model.instructions]
    kernel = c99.emit(form.program, form.places, form.level, kinds, name)
    code = Code(Cpu(level.name, "", "", "", level, 0), form)
    slots = form.program.slots
    parts = [
        HEAD.format(name=name, level=level.name, tile=form.scratch, row=slots),
        kernel.text,
        constants_text(name, form.k, form.n),
        "#ifndef INSTJIT_KERNEL_ALONE",
        blueprint.write(model, name, [code]),
        "#endif",
    ]
    header = output.parent / f"{name}.h"
    return {output: "\n".join(parts).encode(), header: texts.header(name).encode()}
