"""The house rules that a program can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"instjit": "instjit", "kernels": "instjit.kernels", "formats": "instjit.formats"}
FOLDERS |= {"gpu": "instjit.gpu"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder == "instjit" and parts[0] in FOLDERS:
                continue  # a link to one of the other folders
            if parts[-1] == "__init__":
                parts = parts[:-1]
            found[".".join((package, *parts))] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

LAYERS = (
    {"errors", "arithmetic", "counted", "features", "progress"}
    | {"collecting", "replacing", "unlocked", "private_folder"},
    {"store", "functions", "program", "arrays", "slot_set"},
    {"summation"},
    {"model", "model_arguments", "ops", "cost", "lower", "packed_model"}
    | {"envelope", "plain_bytes"},
    {"inputs", "inplace", "graph"},
    {"reference", "formats", "passes", "content"},
    {"validation_rows", "table", "arrow"},
    {"validate"},
    {"load", "compose", "population", "retrained", "convert", "portable"},
    {"kernels", "gpu", "threads"},
    {"variant"},
    {"library"},
    {"launch"},
    {"kernel"},
    {"budget"},
    {"compiler"},
    {"batch_predictor"},
)
"""Bottom first: a module imports from its own layer and those below. What is not listed is the top:
the command line."""


def home(name: str) -> str:
    """The part of the house that a module belongs to: its first name below instjit."""
    return name.split(".")[1] if "." in name else ""


def layer(name: str) -> int:
    part = home(name)
    return next((n for n, parts in enumerate(LAYERS) if part in parts), len(LAYERS))


def imported(tree: ast.Module, *, running: bool = True) -> set[str]:
    """Modules of the package that a module imports, those for type checkers left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return {name for name in found if name in MODULES and name != "instjit"}


DEFERRED = {
    ("instjit.model", "instjit.compose"),  # Model.from_logistic_regression hands on to a builder
    ("instjit.model", "instjit.portable"),  # models are pickled as kernels are
}
"""Imports inside a function that point up on purpose."""


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name) -> None:
    if name == "instjit":
        return
    for other in imported(TREES[name]):
        if (name, other) not in DEFERRED:
            assert layer(other) <= layer(name), f"{name} imports {other}"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Between the parts of the house; type annotations do not count."""
    arrows: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        if name != "instjit":
            arrows.setdefault(home(name), set()).update(
                home(other) for other in imported(tree) if (name, other) not in DEFERRED
            )
    done: set[str] = set()

    def visit(part: str, path: tuple[str, ...]) -> None:
        assert part not in path, " -> ".join((*path, part))
        if part not in done:
            for other in arrows.get(part, set()) - {part}:
                visit(other, (*path, part))
            done.add(part)

    for part in arrows:
        visit(part, ())


@pytest.mark.parametrize(
    ("part", "reach"),
    [
        (
            "formats",
            {"errors", "arithmetic", "arrays", "collecting", "counted", "features", "model", "ops"}
            | {"summation"},  # a dense network runs in the kernels' sums without being a model
        ),
        ("program", set()),
        ("passes", {"program", "slot_set"}),
    ],
)
def test_a_part_sees_only_what_it_needs(part, reach) -> None:
    for name, tree in TREES.items():
        if home(name) == part:
            assert {home(other) for other in imported(tree)} - {part} <= reach, name


@pytest.mark.parametrize("name", [name for name in MODULES if home(name) in ("kernels", "gpu")])
def test_back_ends_know_steps_and_no_instruction(name) -> None:
    assert "ops" not in {home(other) for other in imported(TREES[name])}
    kinds = {"DOT", "COPY", "COPY_MASKED", "ACTIVATION", "ATTENTION", "REDUCE_SUM", "SOFTMAX"}
    texts = {node.value for node in ast.walk(TREES[name]) if isinstance(node, ast.Constant)}
    assert not kinds & {text for text in texts if isinstance(text, str)}


@pytest.mark.parametrize("name", [name for name in MODULES if home(name) == "formats"])
def test_one_cursor_takes_numbers_out_of_the_bytes_of_model_files(name) -> None:
    unpacking = {"from_bytes", "frombuffer", "fromstring", "unpack_from", "iter_unpack", "memmap"}
    found = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    modules = {
        alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    if name == "instjit.formats.reader":
        assert unpacking & found
    else:
        assert not unpacking & found
        assert not {"struct", "ctypes", "array"} & modules


LATE = {"batches", "calling", "compiling", "constants", "entry", "native", "range_functions"}
LATE |= {"sharing", "spans", "steps", "wide", "workers"}


def test_numba_is_loaded_late() -> None:
    """A process that finds its kernels in the store needs none of these modules."""
    late = {f"instjit.kernels.{name}" for name in LATE}
    for name, tree in TREES.items():
        if name in late or home(name) == "gpu":
            continue
        at_once = ast.Module([node for node in tree.body if top(node)], [])
        assert not imported(at_once) & late, name
        assert "numba" not in {ast.unparse(node).split()[1].split(".")[0] for node in at_once.body}


def top(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_400_lines_at_most(name) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_a_function_has_40_lines_at_most_less_its_docstring(name) -> None:
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node):
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            assert lines <= 40, f"{node.name} in {name}: {lines} lines"


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_asserted(name) -> None:
    assert not [node.lineno for node in ast.walk(TREES[name]) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for(name) -> None:
    assert ast.get_docstring(TREES[name])


def test_every_folder_with_modules_is_packaged() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text.split("packages = [", 1)[1].split("]", 1)[0]
    packages = {entry.strip().strip('"') for entry in listed.split(",") if entry.strip()}
    assert packages == {name for name, path in MODULES.items() if path.name == "__init__.py"}


@pytest.mark.parametrize("folder", ["kernels", "formats", "gpu"])
def test_the_folders_beside_the_package_are_part_of_it(folder) -> None:
    assert (ROOT / "instjit" / folder).resolve() == ROOT / folder


def test_no_compiled_code_lies_in_the_tree() -> None:
    assert not [*ROOT.glob("*/*.kernel")]
