"""The C text of a model's library: what its kernels are, its structure, and the functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import instjit
from instjit.cost import cost
from instjit.errors import FormatError
from instjit.formats import chain
from instjit.kernels.machine_code import Cpu
from instjit.kernels.packing import narrow
from instjit.library.texts import quoted, text
from instjit.model import Model
from instjit.ops import Dot
from instjit.program import Gemm

if TYPE_CHECKING:
    from instjit.variant import Compiled

RUNTIME = ("rmd1.c", "cpu.c", "fixed.c", "api.c")


@dataclass(frozen=True, slots=True)
class Code:
    """A model's kernel for one CPU."""

    cpu: Cpu
    form: Compiled

    def function(self, kind: str, prefix: str) -> str:
        """Name of its ``tiles`` or ``row``."""
        return f"{prefix}_{kind}_{re.sub(r'[^A-Za-z0-9]', '_', self.cpu.name or 'any')}"


def write(model: Model, name: str, codes: Sequence[Code]) -> str:
    """One file of C99, to be compiled and linked with the kernels' object code.

    Parameters
    ----------
    model
        The model.
    name
        Prefix of every function.
    codes
        Richest CPU first; the constants are those of the first.
    """
    runtime = [text(part) for part in RUNTIME]
    parts = [head(name), text("kernel.h"), *_facts(model, name, codes), *runtime]
    return "\n".join(parts)


def head(name: str) -> str:
    """What the C file of a library with that prefix begins with."""
    return (
        f'#include "{name}.h"\n\n'
        f"#define INSTJIT(function) {name}_##function\n"
        f'#define INSTJIT_PREFIX "{name}"\n'
        f"#define INSTJIT_PACKAGE {quoted(instjit.__version__)}\n\n{text('common.h')}"
    )


def _facts(model: Model, name: str, codes: Sequence[Code]) -> Iterable[str]:
    first = codes[0].form
    for code in codes:
        yield f"tiles_function {code.function('tiles', name)};"
        yield f"row_function {code.function('row', name)};"
    yield f"extern const float {name}_k[];\nextern const int32_t {name}_n[];"
    yield f"#define model_k {name}_k\n#define model_n {name}_n"
    yield f"#define K_FLOATS {first.k.size}u"
    yield f"#define SLOTS {max(1, first.program.slots)}u"
    yield f"#define CPU_STEPS {max(code.cpu.step for code in codes)}\n"
    yield "static const code codes[] = {"
    for code in codes:
        level = code.form.level
        yield (
            f"    {{{quoted(code.cpu.name)}, {quoted(code.form.source.digest)}, {code.cpu.step}, "
            f"{level.lanes}, {level.panel}, {code.function('tiles', name)}, "
            f"{code.function('row', name)}}},"
        )
    yield "};\n"
    yield from _structure(model, first)
    yield _info(model)
    yield from _features(model)


def _structure(model: Model, form: Compiled) -> Iterable[str]:
    """The blocks of weights, and the layers of a dense chain."""
    shapes = {
        step.weights: (step.target.count, step.source.count)
        for step in form.program.steps
        if isinstance(step, Gemm)
    }
    numbers = {weights: number for number, weights in enumerate(form.places.blocks)}
    yield "typedef struct block {\n    uint64_t at, outputs, depth;\n    int narrow;\n} block;\n"
    yield f"#define BLOCKS {len(numbers)}u"
    yield "static const block blocks[] = {"
    for weights, at in form.places.blocks.items():
        outputs, depth = shapes[weights]
        yield f"    {{{at}u, {outputs}u, {depth}u, {int(narrow(outputs, depth))}}},"
    yield "    {0, 0, 0, 0},\n};\n" if not numbers else "};\n"
    layers = dense_layers(model, numbers)
    yield "typedef struct layer {\n    uint32_t block, activation;\n} layer;\n"
    yield f"#define LAYERS {len(layers)}u"
    yield "static const layer layers[] = {"
    yield from (f"    {{{block}u, {activation}u}}," for block, activation in layers or ((0, 0),))
    yield "};\n"


def dense_layers(model: Model, blocks: dict[int, int]) -> list[tuple[int, int]]:
    """Block and activation of each layer; none where RMD1 cannot hold the model."""
    try:
        layers = chain.to_dense(model).layers
    except FormatError:
        return []
    used = [step.weights for step in model.instructions if isinstance(step, Dot)]
    if len(set(used)) != len(used) or not blocks.keys() >= set(used):
        return []  # two layers with the same numbers: others of the same size need not share them
    return [
        (blocks[weights], int(layer.activation))
        for weights, layer in zip(used, layers, strict=True)
    ]


def _info(model: Model) -> str:
    counts = {
        "input_size": model.input_size,
        "output_size": model.output_size,
        "instruction_count": len(model.instructions),
        "weight_count": sum(w.size for w in model.weights),
        "bias_count": sum(b.size for b in model.bias),
        "parameter_count": cost(model).parameters
        - sum(w.size for w in model.weights)
        - sum(b.size for b in model.bias),
        "feature_count": len(model.features or ()),
    }
    fields = [f"    .{field} = {value}u," for field, value in counts.items()]
    fields += ["    .scratch_alignment = LINE_BYTES,"]
    fields += ["    .version = INSTJIT_PACKAGE,"]
    return "\n".join(["static const instjit_info model_info = {", *fields, "};\n"])


def _features(model: Model) -> Iterable[str]:
    yield "static const char *const feature_names[] = {"
    yield from (f"    {quoted(feature)}," for feature in model.features or ())
    yield "    NULL,\n};\n"
