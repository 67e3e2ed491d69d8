"""The generated text: golden texts, what it depends on, what may stand in it."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

import numpy as np
import pytest
from nets import NETS, dense, gated, softmax, tables
from plain_run import form_of
from random_models import random_model

import instjit as ij
from instjit.functions import FUNCTIONS
from instjit.kernels.source import Source
from instjit.kernels.target import LEVELS
from instjit.passes import PASSES


def source_of(model: ij.Model, level: str = "avx512", variant: str = "output") -> Source:
    return form_of(model, level, variant, PASSES).source


def copies() -> ij.Model:
    """A chain of copies and a mask, all of which become index maps of the last step."""
    return ij.Model(
        [6, 6, 4, 4, 2, 4],
        [
            ij.Copy(0, 1),
            ij.CopyMasked(1, 2, (5, 0, 3, 2)),
            ij.Copy(2, 3),
            ij.CopyMasked(0, 4, (1, 0)),
            ij.MultiplyBufferHeads((3, 4), 5),
        ],
        feature_size=6,
    )


def residual() -> ij.Model:
    return ij.Model(
        [8, 8, 8],
        [ij.Dot(0, 1, 0, "GELU"), ij.AddElementwiseBuffers((1, 0), 2), ij.ClipElementwise(2, 0)],
        [np.eye(8)],
        parameters=[[0.5]],
        feature_size=8,
    )


def partial() -> ij.Model:
    """Slots written in part, and some that nothing writes."""
    return ij.Model([3, 8], [ij.Copy(0, 1, 4), ij.ReduceSum(0, 1)], feature_size=3)


def wide() -> ij.Model:
    """A row's scratch that does not fit the stack."""
    return ij.Model([20_000], [ij.Activate(0, "TANH")], feature_size=20_000)


def long() -> ij.Model:
    """More steps than one function may hold."""
    steps = [step for k in range(60) for step in (ij.ReduceSum(0, 1), ij.Copy(1, 0, k % 2))]
    return ij.Model([2, 1], steps, feature_size=2)


GOLDEN = {
    "layers-avx512": lambda: source_of(dense(20, 64, 32, 1)),
    "layers-avx2": lambda: source_of(dense(20, 64, 32, 1), "avx2"),
    "layers-generic": lambda: source_of(dense(20, 64, 32, 1), "generic"),
    "layers-slots": lambda: source_of(dense(4, 8, 6, 1), variant="slots"),
    "layers-buffer": lambda: source_of(dense(4, 8, 6, 1), variant="buffer"),
    "softmax-avx512": lambda: source_of(softmax(10)),
    "gated-avx512": lambda: source_of(gated()),
    "gated-avx2": lambda: source_of(gated(), "avx2"),
    "tables-avx512": lambda: source_of(tables()),
    "copies-avx512": lambda: source_of(copies()),
    "residual-avx512": lambda: source_of(residual()),
    "partial-avx512": lambda: source_of(partial()),
    "wide-avx512": lambda: source_of(wide()),
    "long-avx512": lambda: source_of(long()),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_the_golden_one(name, golden, monkeypatch) -> None:
    monkeypatch.setattr("instjit.kernels.target.cache_bytes", lambda: 1 << 20)
    golden(f"source/{name}.py.txt", GOLDEN[name]().text)


# -- what it depends on ----------------------------------------------------------------------------


def changed(model: ij.Model, **parts) -> ij.Model:
    names = ("buffers", "instructions", "weights", "bias", "parameters", "maps", "features")
    return ij.Model(
        **{name: getattr(model, name) for name in names}
        | {"feature_size": model.input_size}
        | parts
    )


def negated(arrays) -> list[np.ndarray]:
    return [-array for array in arrays]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("variant", ["output", "slots", "buffer"])
def test_other_numbers_give_the_same_text_and_digest(seed, variant) -> None:
    model, _ = random_model(seed)
    other = changed(
        model,
        weights=negated(model.weights),
        bias=negated(model.bias),
        parameters=negated(model.parameters),
        maps=[
            {int(k) - 1000: -v for k, v in zip(table.keys, table.values, strict=True)}
            for table in model.maps
        ],
    )
    first, second = source_of(model, "avx2", variant), source_of(other, "avx2", variant)
    assert first.text == second.text
    assert first.digest == second.digest


def test_more_entries_of_a_table_give_the_same_digest() -> None:
    def look_up(entries):
        return ij.Model(
            [1, 1], [ij.MapTransform(0, 1, 0, 0, 0, 1, (0,))], maps=[entries], feature_size=1
        )

    dense_keys = {k: [k] for k in range(100)}
    assert source_of(look_up({1: [2]})).digest == source_of(look_up(dense_keys)).digest
    assert source_of(look_up({})).digest == source_of(look_up(dense_keys)).digest


def mask(*indexes: int) -> ij.Model:
    return ij.Model([4, 3], [ij.CopyMasked(0, 1, indexes)], feature_size=4)


def test_index_lists_are_structure() -> None:
    first, second = source_of(mask(0, 3, 1)), source_of(mask(1, 3, 0))
    assert first.digest != second.digest
    assert source_of(mask(0, -1, 1)).digest == first.digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (dense(4, 8, 1), dense(4, 9, 1)),
        (dense(4, 8, 1), dense(4, 8, 1, activation="TANH")),
        (dense(4, 8, 1), dense(4, 8, 1, last=None)),
        (softmax(4), softmax(5)),
    ],
)
def test_shapes_and_activations_are_structure(one, other) -> None:
    assert source_of(one).digest != source_of(other).digest


def test_the_level_is_in_the_header_and_the_digest() -> None:
    sources = [source_of(dense(4, 8, 1), level) for level in LEVELS]
    assert len({source.digest for source in sources}) == len(LEVELS)
    for source, level in zip(sources, LEVELS.values(), strict=True):
        assert source.text.startswith(
            f'"""instjit kernel for cpu, level {level.name}, {level.lanes} rows a tile, '
            f'structure {source.digest[:16]}."""\n'
        )


HOSTILE = [
    "a\nimport os",
    'a"""\nimport os\n"""',
    "'; import os; '",
    "a\r\nsteps0 = None",
    "\\",
    "\\N{BULLET}",
    "__class__",
    "{0.__globals__}",
    "%s%n",
    "\x00",
    "\u2028import os",
    "\uff49mport",
    "\u202eso tropmi",
    "#",
    "",
    "s, k, n):\n    pass",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_the_file_leave_the_text_as_it_is(name) -> None:
    model = dense(3, 2)
    plain = changed(model, features=["a", "b", "c"], feature_size=None)
    hostile = changed(model, features=["a", name, "c"], feature_size=None)
    assert source_of(hostile).text == source_of(plain).text
    assert source_of(hostile).digest == source_of(plain).digest


def test_the_same_model_gives_the_same_bytes() -> None:
    assert source_of(gated()).text.encode() == source_of(gated()).text.encode()


# -- what may stand in it --------------------------------------------------------------------------

NODES = (
    *(ast.Module, ast.Expr, ast.Assign, ast.FunctionDef, ast.arguments, ast.arg, ast.Return),
    *(ast.For, ast.If, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Store, ast.Constant),
    *(ast.Tuple, ast.Attribute, ast.Subscript, ast.Compare, ast.Gt, ast.Lt, ast.Eq, ast.NotEq),
    *(ast.BoolOp, ast.Or, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.UnaryOp, ast.USub),
)
NAMES = {
    *(
        "gemm",
        "elementwise",
        "reduce",
        "lookup",
        "columns_in",
        "columns_out",
        "part_in",
        "part_out",
    ),
    *("take", "take_part", "give", "give_part", "stack", "row_scratch", "aligned", "release"),
    *("empty", "float32", "range", "address", "each", "fixed", "repeat", "gather", "constant"),
    *("constant_fixed", "number", "total", "tile", "rows", "row", "count", "buffer", "next_x"),
    *("column", "column_fixed", "column_repeat", "column_gather", "at_x", "at_y"),
    *("next_y", "x", "y", "first", "last", "shared", "start", "stop", "k", "n", "s"),
    *FUNCTIONS,
}


@pytest.mark.parametrize("seed", range(200))
def test_the_text_is_made_of_few_kinds_of_node_and_known_names(seed) -> None:
    variant = ("output", "slots", "buffer")[seed % 3]
    tree = ast.parse(source_of(random_model(seed)[0], list(LEVELS)[seed % 4], variant).text)
    for node in ast.walk(tree):
        assert isinstance(node, NODES), ast.dump(node)
        if isinstance(node, ast.Name):
            assert node.id in NAMES or re.fullmatch(r"steps?\d+", node.id), node.id
        if isinstance(node, ast.Attribute):
            assert node.attr in {"shape", "size"}


def instructions_in(text: str) -> list[int]:
    """Numbers in the comments, in order."""
    comments = re.findall(r"^# (\d+: .*)$", text, re.MULTILINE)
    return [int(number) for comment in comments for number in re.findall(r"(\d+): [A-Z]", comment)]


@pytest.mark.parametrize("name", NETS)
def test_each_instruction_has_a_comment(name) -> None:
    model = NETS[name]()
    text = form_of(model, "avx512", "output", ()).source.text
    numbers = instructions_in(text)
    assert numbers == list(range(len(model.instructions)))
    for number, instruction in enumerate(model.instructions):
        assert f"# {number}: {instruction.kind}\n" in text


def test_a_fused_step_names_all_its_instructions() -> None:
    assert (
        "# 0: DOT, 1: ADD_ELEMENTWISE_BUFFERS, 2: CLIP_ELEMENTWISE\n" in source_of(residual()).text
    )


# -- what it looks like ----------------------------------------------------------------------------


def steps_of(source: Source) -> list[str]:
    return re.findall(r"^step\d+ = (.*)$", source.text, re.MULTILINE)


def test_a_product_and_its_activation_are_one_call() -> None:
    (step,) = steps_of(source_of(dense(4, 8, last="RELU")))
    assert step.startswith("gemm(outputs=8, depth=4, ")
    assert "value=relu(total)" in step


def test_a_residual_is_added_in_the_product() -> None:
    (step,) = steps_of(source_of(residual()))
    assert step.endswith("value=max(add(gelu(total), each(0)), constant_fixed(0)))")


def test_a_chain_of_copies_leaves_one_step() -> None:
    (step,) = steps_of(source_of(copies()))
    assert re.search(r"value=mul\(gather\(0, \d+\), gather\(0, \d+\)\)", step)


def test_layers_take_turns_in_scratch() -> None:
    form = form_of(dense(*[50] * 20), "avx512", "output", PASSES)
    assert form.program.slots == 100


@pytest.mark.parametrize(("layers", "each"), [((10, 20, 30), 4), ((50, 60, 70), 3)])
def test_the_text_grows_by_so_many_lines_a_layer(layers, each) -> None:
    lines = [len(source_of(dense(*[3] * n)).text.splitlines()) for n in layers]
    assert [b - a for a, b in pairwise(lines)] == [10 * each] * 2


def test_many_steps_are_called_together() -> None:
    text = source_of(dense(*[3] * 151)).text
    runs = re.findall(r"^steps\d+ = together\(\n((?:    .*\n)+)\)", text, re.M)
    assert "".join(runs).split() == [f"step{number}," for number in range(150)]
    for function in ("tiles", "row"):
        body = text.split(f"def {function}(")[1].split("def ")[0]
        assert re.findall(r"steps?\d+(?=\()", body) == ["steps0", "steps100"]
