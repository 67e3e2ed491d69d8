"""Products on tensor cores: the text run lane by lane, its error, and what it compiles to."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gpu_warp
import numpy as np
import pytest
from gpu_emulate import run_plain
from gpu_run import emitted, run_form
from nets import NETS, dense, softmax
from plain_run import same_bits
from ptx_check import assembled, contracted, operations, require_compiler

import instjit as ij
from instjit import reference
from instjit.cli import main
from instjit.gpu import inline_ptx
from instjit.gpu.kernel import CudaKernel
from instjit.gpu.ptx import ptx
from instjit.gpu.tile import Tile

TESTS = Path(__file__).parent
BOUNDS = {"tf32": 1e-3, "bf16": 1e-2, "bf16x3": 1e-5}
"""Root mean square of the error by that of the outputs."""

WIDTHS = [(16, 64, 64, 8), (40, 300, 32, 2), (250, 300, 200)]
LITTLE = Tile(groups=2, rows_each=1, outputs_each=8)
SMALL = dense(16, 8)
PRODUCTS = {"tf32": inline_ptx.MMA_TF32, "bf16": inline_ptx.MMA_BF16, "bf16x3": inline_ptx.MMA_BF16}

SPILLED = {(8, 0): 96}
"""Bytes that a thread may spill; none where nothing is said."""


def rows_of(model: ij.Model, count: int) -> np.ndarray:
    """Ordinary numbers."""
    return np.random.default_rng(count).normal(size=(count, model.input_size)).astype(np.float32)


def error(model: ij.Model, rows: np.ndarray, **options) -> float:
    """Error of the text relative to the outputs, by their root mean squares."""
    wanted = reference.run64(model, rows)
    got = run_form(model, rows, blocks=1, **options)
    return float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_the_error_of_a_net_is_within_its_bound(widths, precision) -> None:
    model = dense(*widths, last=None)
    assert 0 < error(model, rows_of(model, 20), precision=precision) <= BOUNDS[precision]


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(
    ("widths", "rows"),
    [
        ((16, 8), 1),
        ((17, 9), 15),
        ((18, 23), 17),
        ((19, 25, 11), 31),
        ((27, 8), 32),
        ((28, 130), 33),
        ((31, 16), 64),
        ((47, 33, 2), 65),
    ],
)
def test_no_size_need_be_a_multiple(widths, rows, precision) -> None:
    """All memory starts as NaN, so what lies beside a product would show."""
    model = dense(*widths, last=None)
    x = rows_of(model, rows)
    for options in ({}, {"tile": LITTLE, "shared_bytes": 0}):
        assert 0 < error(model, x, precision=precision, **options) <= BOUNDS[precision]


@pytest.mark.parametrize("net", ["layers", "chains", "gated"])
@pytest.mark.parametrize("precision", BOUNDS)
def test_other_steps_and_functions_go_along(net, precision) -> None:
    model = NETS[net]()
    assert error(model, rows_of(model, 3), precision=precision) <= BOUNDS[precision]


@pytest.mark.parametrize(
    "tile",
    [
        Tile(groups=1, rows_each=1, outputs_each=16),
        Tile(groups=4, rows_each=2, outputs_each=4),
        Tile(groups=4, rows_each=4, outputs_each=6),
        LITTLE,
    ],
)
def test_any_tile_that_warps_can_share_out(tile) -> None:
    """A product's sums depend on its rows and weights alone, so the bits are the same."""
    model = dense(37, 45, 9)
    rows = rows_of(model, 20)
    outputs = [run_form(model, rows, precision="bf16", tile=each) for each in (tile, Tile())]
    assert same_bits(*outputs)


def test_narrow_and_shallow_products_stay_float32() -> None:
    text = emitted(dense(15, 16, 8, 7, 20), precision="bf16")[0].text
    steps = text.split("def step")[1:]
    assert ["mma_bf16" in step for step in steps] == [False, True, False, False]


@pytest.mark.parametrize("name", ["mma_bf16", "mma_tf32"])
def test_a_warps_product_is_that_of_its_fragments(name) -> None:
    """Element e of a lane's fragment lies where the description of ``mma.sync`` in PTX says."""
    rng = np.random.default_rng(1)
    depth = 16 if name == "mma_bf16" else 8
    left, right = rng.integers(-8, 9, (16, depth)), rng.integers(-8, 9, (depth, 8))
    sums = rng.integers(-8, 9, (16, 8))
    lanes: list[list[object]] = []
    for lane in range(32):
        group, thread = lane // 4, lane % 4
        c = [(group + 8 * (e >= 2), thread * 2 + e % 2) for e in range(4)]
        if name == "mma_bf16":
            a = [(group + 8 * (e // 2 % 2), thread * 2 + e % 2 + 8 * (e >= 4)) for e in range(8)]
            b = [(thread * 2 + e % 2 + 8 * (e >= 2), group) for e in range(4)]
        else:
            a = [(group + 8 * (e % 2), thread + 4 * (e >= 2)) for e in range(4)]
            b = [(thread + 4 * e, group) for e in range(2)]
        numbers = [*(left[at] for at in a), *(right[at] for at in b)]
        lanes.append([*words(numbers, name), *(np.float32(sums[at]) for at in c)])
        lanes[-1].append(c)
    *operands, places = (list(each) for each in zip(*lanes, strict=True))
    got = gpu_warp.PRODUCTS[name](*(np.array(operand) for operand in operands))
    for lane in range(32):
        wanted = [(left @ right + sums)[at] for at in places[lane]]
        assert [value[lane] for value in got] == wanted


def words(numbers: list[int], name: str) -> list[np.int32]:
    """Small whole numbers as the words of a fragment: exact, two in a word for bfloat16."""
    bits = [int(np.float32(number).view(np.uint32)) for number in numbers]
    if name == "mma_bf16":
        bits = [low >> 16 | high for low, high in zip(bits[::2], bits[1::2], strict=True)]
    return [np.uint32(word).view(np.int32) for word in bits]


ROUNDED = [
    (1.0, 0x3F80, 0x3F800000),
    (-2.5, 0xC020, 0xC0200000),
    (1 + 2.0**-8, 0x3F80, 0x3F808000),  # a tie of bfloat16: to even
    (1 + 3 * 2.0**-8, 0x3F82, 0x3F818000),
    (1 + 2.0**-11, 0x3F80, 0x3F802000),  # a tie of tf32: away from zero
    (-1 - 2.0**-11, 0xBF80, 0xBF802000),
    (1 + 2.0**-12, 0x3F80, 0x3F800000),
    (3.4028235e38, 0x7F80, 0x7F800000),
    (np.inf, 0x7F80, 0x7F800000),
    (-0.0, 0x8000, 0x80000000),
    (np.nan, 0x7FFF, 0x7FC00000),
]


@pytest.mark.parametrize(("value", "bf16", "tf32"), ROUNDED)
def test_numbers_are_rounded_to_nearest(value, bf16, tf32) -> None:
    one = np.float32(1.0)
    low, high = (
        gpu_warp.pack_bf16(np.float32(value), one),
        gpu_warp.pack_bf16(one, np.float32(value)),
    )
    assert int(low.view(np.uint32)) == 0x3F800000 | bf16
    assert int(high.view(np.uint32)) == bf16 << 16 | 0x3F80
    assert int(gpu_warp.tf32(np.float32(value)).view(np.uint32)) == tf32


def test_a_lane_that_misses_a_product_is_noticed() -> None:
    source, k, n = emitted(SMALL, tile=LITTLE, precision="bf16")
    uneven = source.text.replace("if own < 8:", "if own < 8 and lane < 31:")
    assert uneven != source.text
    x, y = rows_of(SMALL, 2), np.zeros((2, 8), np.float32)
    with pytest.raises(RuntimeError, match="31 lanes of warp 0"):
        run_plain(replace(source, text=uneven), x, y, k, n)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (dense(15, 40, 7, 16), {}, "no product of at least 8 outputs and 16 inputs"),
        (softmax(33), {}, 'take precision "float32"'),
        (SMALL, {"form": "thread"}, "a thread alone"),
        (SMALL, {"tile": Tile(lanes=16)}, "cannot share out"),
        (SMALL, {"tile": Tile(rows_each=3)}, "cannot share out"),
        (SMALL, {"tile": Tile(groups=2, rows_each=4)}, "cannot share out"),
        (SMALL, {"tile": Tile(outputs_each=6)}, "cannot share out"),
        (SMALL, {"tile": Tile(depth=8)}, "cannot share out"),
    ],
)
def test_what_tensor_cores_cannot_do_is_refused(model, options, said) -> None:
    with pytest.raises(ij.CompileError, match=said) as raised:
        CudaKernel(model, precision="tf32", **options)
    assert raised.value.kind == "Unsupported"


def test_the_cpu_has_float32_alone() -> None:
    with pytest.raises(ij.CompileError, match="'tf32' is not offered") as raised:
        ij.compile(SMALL, precision="tf32")
    assert raised.value.kind == "Unsupported"


def test_the_precision_is_part_of_a_kernel() -> None:
    kernels = {
        precision: ij.compile(SMALL, target="cuda", precision=precision)
        for precision in ("float32", *BOUNDS)
    }
    assert len({kernel.source.digest for kernel in kernels.values()}) == 4
    assert "cuda thread, " in repr(kernels["float32"])
    for precision in BOUNDS:
        kernel = kernels[precision]
        assert f"cuda block {precision}, " in repr(kernel)
        assert f", {precision}, structure" in kernel.source.text.splitlines()[0]
        assert pickle.loads(pickle.dumps(kernel)).source == kernel.source
        assert kernel.with_weights(dense(16, 8)).source == kernel.source


def test_golden_text(golden) -> None:
    golden("source/tensor-cuda-bf16x3.py.txt", emitted(dense(17, 9), precision="bf16x3")[0].text)


def test_the_simulator_has_no_tensor_cores() -> None:
    code = (
        "import instjit, nets, numpy\n"
        "kernel = instjit.compile(nets.dense(16, 8), target='cuda', precision='bf16')\n"
        "try: kernel.predict(numpy.zeros((2, 16)))\n"
        "except instjit.CompileError as error: print(error.kind, error)\n"
    )
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_ENABLE_CUDASIM": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert "Unsupported" in result.stdout, result.stderr
    assert "no tensor cores for bf16" in result.stdout


@pytest.mark.ptx
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cc", [(8, 0), (9, 0), (10, 0)])
@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_a_kernel_assembles_with_its_products(widths, precision, cc, tmp_path) -> None:
    require_compiler()
    source = emitted(dense(*widths), precision=precision)[0]
    text = ptx(source, cc)
    found = operations(text)
    assert {name for name in found if name.startswith("mma")} == {PRODUCTS[precision]}
    written = len(re.findall("= mma_", source.text))
    assert found[PRODUCTS[precision]] >= written  # more where a loop is unrolled
    assert contracted(found) == []
    used = assembled(text, cc, tmp_path)
    assert used["spilled"] <= SPILLED.get(cc, 0)
    assert 0 < used["registers"] <= 65536 // 256 // source.tile.blocks


@pytest.mark.ptx
@pytest.mark.filterwarnings("ignore")
def test_a_device_function_stays_float32() -> None:
    from numba import cuda, float32, types

    from instjit.gpu.ptx import offline_device

    require_compiler()
    function = CudaKernel(SMALL, precision="bf16").device_function

    def kernel(x, y):
        function(x[cuda.grid(1)], y[cuda.grid(1)])

    matrix = float32[:, ::1]
    with offline_device((9, 0)):
        text, _ = cuda.compile_ptx(kernel, types.void(matrix, matrix), cc=(9, 0))
    assert not any(name.startswith("mma") for name in operations(text))
    assert operations(text)["fma.rn.f32"] >= 16 * 8


def test_dump_writes_the_text_of_a_precision(tmp_path, capsys) -> None:
    path = tmp_path / "net.json"
    ij.save(dense(16, 64, 8), path)
    assert main(["dump", str(path), "--target", "cuda-source", "--precision", "bf16"]) == 0
    text = capsys.readouterr().out
    assert text == ij.compile(path, target="cuda", precision="bf16").source.text
    assert "mma" in text
