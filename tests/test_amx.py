"""AMX: the generated products are assembled for a CPU that has it, and run on emulated tiles."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite import ir
from nets import dense
from plain_run import run_tiles, same_bits
from test_bf16 import form_of
from tile_steps import EmulatedTiles, assembly_of, counts, ir_of, recorded, run_here, run_plain

import instjit as ij
from instjit import reference
from instjit.kernels import amx, kept, units
from instjit.kernels.bf16 import PARTS
from instjit.kernels.packing import aligned_floats
from instjit.kernels.recent import Recent

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="LLVM here may lack the x86 target"
)
ROOT = Path(__file__).parents[1]
WEIGHT_TILES = {"bf16": 1, "bf16x3": 2, "bf16x6": 3}
WORD_TILES = {"bf16": 1, "bf16x3": 2, "bf16x6": 4}
PRODUCTS = {"bf16": 1, "bf16x3": 3, "bf16x6": 6}


@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize("precision", PARTS)
def test_a_product_is_the_fewest_instructions_on_tiles(precision, vectors) -> None:
    """33 outputs: code for a pair of tiles of weights, and for one. All in a loop over k."""
    form = form_of(dense(64, 33), "amx", precision, vectors)
    assert counts(assembly_of(ir_of(form), optimised=False)) == {
        "ldtilecfg": 1,
        "tdpbf16ps": (2 + 1) * vectors * PRODUCTS[precision],
        "tileloadd": (2 + 1) * WEIGHT_TILES[precision] + 2 * vectors * WORD_TILES[precision],
        "tilerelease": 1,
        "tilestored": (2 + 1) * vectors,
        "tilezero": (2 + 1) * vectors,
    }


def test_the_configuration_gives_eight_tiles_of_16_rows_of_64_bytes() -> None:
    held = amx._configuration(ir.Module()).initializer.constant
    raw = np.frombuffer(bytes(held), np.uint8)
    assert raw[:2].tolist() == [1, 0]  # palette, first row
    assert raw[16:32].view("<u2").tolist() == [64] * 8
    assert raw[48:56].tolist() == [16] * 8
    assert raw.sum() == 1 + 8 * 64 + 8 * 16


@pytest.mark.parametrize("precision", PARTS)
def test_no_tile_is_spilled(precision) -> None:
    form = form_of(dense(250, 300, 200), "amx", precision)
    found = counts(assembly_of(ir_of(form), optimised=True))
    assert (
        found["tilestored"] == found["tilezero"] == 2 * (4 + 2)
    )  # 300 and 200 outputs: 32 a time, then 12 and 8
    assert found["ldtilecfg"] == 1
    assert found["tileloadd"] <= 2 * found["tdpbf16ps"]


@pytest.mark.skipif(units.matrix_unit() is None, reason="this CPU cannot convert to bfloat16")
@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize("precision", PARTS)
def test_the_code_on_emulated_tiles_has_the_bits_of_the_plain_text(
    precision, vectors, monkeypatch
) -> None:
    form = form_of(dense(33, 47, 64, 17), "amx", precision, vectors)
    s = aligned_floats(form.scratch)[: form.scratch].reshape(-1, form.lanes)
    s[:] = np.nan
    s[:33] = np.random.default_rng(0).standard_normal((33, form.lanes))
    wanted = s.copy()
    run_plain(form, wanted)
    monkeypatch.setattr(amx, "Tiles", EmulatedTiles)
    run_here(ir_of(form), s, form.k, form.n)
    kept = [spec for kind, spec in recorded(form) if kind == "product" and spec.kept]
    assert [spec.outputs for spec in kept] == [17]
    at = slice(kept[0].target, kept[0].target + 17)
    assert same_bits(s[at], wanted[at])
    assert np.isfinite(s[at]).all()


@pytest.mark.skipif(units.matrix_unit() is None, reason="this CPU cannot convert to bfloat16")
def test_a_kernel_on_emulated_tiles_is_within_its_budget(monkeypatch) -> None:
    monkeypatch.setattr(units, "matrix_unit", lambda: "amx")
    monkeypatch.setattr(amx, "Tiles", EmulatedTiles)  # one array: for one thread
    monkeypatch.setattr(kept, "_codes", Recent(8))
    model = dense(33, 40, 17)
    rows = np.random.default_rng(0).standard_normal((77, 33), np.float32)
    kernel = ij.compile(model, precision="auto:1e-5", sample=rows, threads=1, level="avx512")
    assert kernel.precision == "bf16x3"
    wanted = run_tiles(form_of(model, "amx", "bf16x3"), rows)
    for count in (77, 32, 5):
        assert same_bits(kernel.predict(rows[:count]), wanted[:count])
    assert np.abs(wanted - reference.run64(model, rows)).max() <= 1e-5


def test_numba_assembles_a_kernel_for_another_cpu() -> None:
    """All of the text, on a CPU that cannot run it: nothing calls it."""
    code = (
        "from instjit.kernels import target, units\n"
        "units.matrix_unit = lambda: 'amx'\n"
        "from instjit import Kernel\n"
        "from instjit.passes import PASSES\n"
        "from nets import dense\n"
        "kernel = Kernel(dense(64, 65, 33, 5), target.LEVELS['avx512'], None, PASSES, 'bf16x6')\n"
        "print(kernel.dump('asm'))\n"
    )
    cpu = {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": "+amx-tile,+amx-bf16"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **cpu, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    found = counts(done.stdout)
    assert found["ldtilecfg"] == found["tilerelease"] == 1
    assert found["tilestored"] == found["tilezero"]
    assert found["tdpbf16ps"] >= 36
