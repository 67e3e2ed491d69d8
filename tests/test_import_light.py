"""What ``import instjit`` costs, and that its names are what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

import instjit


def modules_after(statements: str) -> set[str]:
    code = f"{statements}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(result.stdout.split())


def test_importing_loads_neither_numba_nor_numpy() -> None:
    assert not modules_after("import instjit") & {"numpy", "numba", "llvmlite", "orjson"}


def test_loading_and_running_the_reference_needs_no_numba() -> None:
    statements = (
        "import instjit\n"
        "model = instjit.Model([1], [instjit.Activate(0, 'RELU')], features=[])\n"
        "instjit.validate(model), instjit.graph(model), instjit.reference.run(model, [[1]])"
    )
    modules = modules_after(statements)
    assert "numpy" in modules
    assert not modules & {"numba", "llvmlite"}


@pytest.mark.parametrize("name", instjit.__all__)
def test_every_public_name_is_there(name) -> None:
    assert name in dir(instjit)
    assert getattr(instjit, name) is not None


def test_functions_named_as_their_modules_stay_functions() -> None:
    statements = (
        "import instjit\nimport instjit.validate, instjit.graph, instjit.load, instjit.cost\n"
        "assert all(map(callable, (instjit.validate, instjit.graph, instjit.load, instjit.cost)))"
    )
    assert "instjit.validate" in modules_after(statements)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = instjit.nonsense
