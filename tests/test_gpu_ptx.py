"""What the text compiles to, where libnvvm is installed: no GPU and no driver are needed.

``python -m pytest -m ptx`` in an environment with instjit[cuda]; ptxas is looked for in the NVIDIA
packages, on the path and in /usr/local/cuda.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import cache
from typing import Any

import pytest
from gpu_run import emitted
from nets import NETS, dense
from ptx_check import VECTORS, assembled, contracted, misaligned, operations, require_compiler

import instjit as ij
from instjit.cli import main
from instjit.functions import FUNCTIONS
from instjit.gpu.emit import GpuSource
from instjit.gpu.kernel import CudaKernel
from instjit.gpu.ptx import offline_device, ptx
from instjit.gpu.text import called, function_text
from instjit.gpu.tile import shared_bytes_of

pytestmark = [
    pytest.mark.ptx,
    pytest.mark.filterwarnings("ignore"),  # numba.cuda warns of its own deprecation and imports
]
CAPABILITIES = [(8, 0), (9, 0), (10, 0)]
SMALL_NETS = [(4, 16, 2), (8, 32, 4), (8, 16, 16, 4), (16, 32, 8)]
WIDE_NETS = [(40, 300, 32, 2), (250, 300, 200), (32, 128, 8), (10, 1000, 10)]
SPILLED = {(8, 0): 16, (9, 0): 28}
"""Bytes that a thread of a block may spill, 32-128-8 (128 registers) the most; none elsewhere."""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    require_compiler()


@cache
def compiled(widths: tuple[int, ...], form: Any, cc: tuple[int, int]) -> tuple[GpuSource, str]:
    source = emitted(dense(*widths), form, shared_bytes=shared_bytes_of(cc))[0]
    return source, ptx(source, cc)


@pytest.mark.parametrize("cc", CAPABILITIES)
@pytest.mark.parametrize("widths", SMALL_NETS)
def test_a_small_nets_thread_keeps_its_row_in_registers(widths, cc, tmp_path) -> None:
    source, text = compiled(widths, None, cc)
    assert source.form == "thread"
    used = assembled(text, cc, tmp_path)
    assert (used["stack"], used["spilled"]) == (0, 0)
    assert 0 < used["registers"] <= 128


@pytest.mark.parametrize("cc", CAPABILITIES)
@pytest.mark.parametrize("widths", WIDE_NETS)
def test_a_blocks_sums_stay_in_registers(widths, cc, tmp_path) -> None:
    source, text = compiled(widths, None, cc)
    assert source.form == "block"
    used = assembled(text, cc, tmp_path)
    assert used["spilled"] <= SPILLED.get(cc, 0)
    assert 0 < used["registers"] <= 65536 // 256 // source.tile.blocks
    assert used["shared"] == 0


@pytest.mark.parametrize("widths", [(100, 16, 3), (90, 7, 6)])
def test_vectors_lie_at_multiples_of_their_size(widths, tmp_path) -> None:
    source, text = compiled(widths, None, (9, 0))
    assert source.tile.rows == 128
    assert VECTORS.search(text)
    assert misaligned(text) == []
    assert assembled(text, (9, 0), tmp_path)["spilled"] == 0


@pytest.mark.parametrize("form", ["thread", "block"])
@pytest.mark.parametrize("cc", CAPABILITIES)
@pytest.mark.parametrize("net", NETS)
def test_every_kernel_assembles_and_rounds_as_ieee_says(net, cc, form, tmp_path) -> None:
    text = ptx(emitted(NETS[net](), form)[0], cc)
    assert contracted(operations(text)) == []
    assert misaligned(text) == []
    assert assembled(text, cc, tmp_path)["registers"] <= 255


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_as_many_fma_as_its_sequence(name) -> None:
    """None is added by contraction, none is split; a compiler may only drop what is unused."""
    from numba import cuda, float32, types

    from instjit.gpu import native

    names: dict[str, Any] = {**native.namespace(), "cuda": cuda}
    operands = ", ".join(f"x[{number}]" for number in range(FUNCTIONS[name].arity))
    exec(function_text(name), names)
    names[called(name)] = native.device(names[called(name)])
    exec(f"def kernel(x, y):\n    y[0] = {called(name)}({operands})", names)
    pointer = types.CPointer(float32)
    with offline_device((9, 0)):
        text, _ = cuda.compile_ptx(names["kernel"], types.void(pointer, pointer), cc=(9, 0))
    found = operations(text)
    assert contracted(found) == []
    for written, instruction in (("fma", "fma.rn.f32"), ("div", "div.rn.f32")):
        wanted = len(re.findall(rf"= {written}\(", function_text(name)))
        assert found[instruction] == wanted, instruction


def test_a_sum_is_one_fma_for_each_weight() -> None:
    """A thread's loops are unrolled in full: 4 * 16 + 16 * 2 weights, and one sigmoid for each."""
    _, text = compiled((4, 16, 2), None, (9, 0))
    of_sigmoid = len(re.findall(r"= fma\(", function_text("sigmoid")))
    assert operations(text)["fma.rn.f32"] == 4 * 16 + 16 * 2 + 2 * of_sigmoid


@pytest.mark.parametrize("form", ["thread", "block"])
def test_the_entry_is_a_plain_c_one(form) -> None:
    _, text = compiled((8, 32, 4), form, (9, 0))
    head = text[text.index(".visible .entry ") :]
    arguments = re.findall(r"\.param \.(\w+) ", head[: head.index(")")])
    assert head.startswith(".visible .entry instjit_rows(")
    assert arguments == ["u64"] * (5 if form == "thread" else 6)


@pytest.mark.parametrize("form", ["thread", "block"])
def test_shared_memory_starts_where_a_load_of_16_bytes_may(form) -> None:
    _, text = compiled((8, 32, 4), form, (9, 0))
    assert re.findall(r"\.extern \.shared \.align (\d+)", text) == ["16"]


@pytest.mark.parametrize(
    ("constants", "said"),
    [
        ("float32[:], int32[::1]", r"k must be a C-contiguous float32 array .* 1d, A"),
        ("float32[:, ::1], int32[::1]", r"k must be .* got array\(float32, 2d, C"),
        ("int32[::1], int32[::1]", r"k must be .* got array\(int32"),
        ("float32[::1], int32[:]", r"n must be a C-contiguous int32 array"),
        ("float32[::1], int32[::1]", None),
        ("types.CPointer(float32), types.CPointer(int32)", None),
    ],
)
def test_a_device_function_takes_constants_side_by_side_alone(constants, said) -> None:
    from numba import cuda, float32, int32, types
    from numba.core.errors import TypingError

    function = CudaKernel(dense(4, 8, 4)).device_function_of_constants

    def kernel(x, y, k, n):
        function(x, y, k, n)

    kinds = eval(constants, {"float32": float32, "int32": int32, "types": types})
    with (
        offline_device((9, 0)),
        pytest.raises(TypingError, match=said) if said else nullcontext(),
    ):
        cuda.compile_ptx(kernel, types.void(float32[::1], float32[::1], *kinds), cc=(9, 0))


def test_a_small_nets_frozen_weights_are_operands(tmp_path) -> None:
    """In the caller's kernel no weight is loaded: each is part of its fma."""
    from numba import cuda, float32, types

    function = CudaKernel(dense(8, 32, 4)).device_function

    def kernel(x, y):
        row = cuda.grid(1)
        function(x[row], y[row])

    matrix = float32[:, ::1]
    with offline_device((9, 0)):
        text, _ = cuda.compile_ptx(kernel, types.void(matrix, matrix), cc=(9, 0))
    found = operations(text)
    assert sum(found[name] for name in found if re.match(r"ld\.(?!param)", name)) == 8
    assert contracted(found) == []
    assert assembled(text, (9, 0), tmp_path)["stack"] == 0


def test_a_kernel_dumps_its_ptx(tmp_path) -> None:
    model = dense(8, 100, 4)
    kernel = ij.compile(model, target="cuda")
    assert ".target sm_80" in kernel.dump("ptx", (8, 0))
    ij.save(model, str(tmp_path / "net.json"))
    words = ["dump", str(tmp_path / "net.json"), "--target", "ptx", "--cc", "100"]
    assert main([*words, "-o", str(tmp_path / "k.ptx")]) == 0
    assert ".target sm_100" in (tmp_path / "k.ptx").read_text()
    with pytest.raises(ij.InputError, match='dumps "ptx"'):
        kernel.dump("asm")


@pytest.mark.parametrize("cc", [(7, 5), (9, 5), (42, 0)])
def test_an_unknown_capability_is_refused(cc) -> None:
    with pytest.raises(ij.CompileError, match=f"capability {cc[0]}.{cc[1]}") as raised:
        ptx(emitted(dense(2, 3, 1))[0], cc)
    assert raised.value.kind == "Unsupported"
