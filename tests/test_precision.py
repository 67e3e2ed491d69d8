"""``precision=`` on the CPU: what is refused, what is picked, and kernels that use avx512_bf16."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from nets import dense
from plain_run import buffers_after, run_tiles, same_bits

import instjit as ij
from instjit import budget, reference
from instjit.cli import main
from instjit.kernels import target, units
from instjit.kernels.target import LEVELS

NET = dense(33, 70, 40, 5)
ROWS = np.random.default_rng(0).standard_normal((300, 33), np.float32)
EXACT = reference.run64(NET, ROWS)

here = pytest.mark.skipif(units.matrix_unit() is None, reason="this CPU has no unit for bfloat16")


@pytest.fixture
def unit(monkeypatch):
    """Pretend that the machine has AVX-512 and a unit, for which nothing may be compiled then."""

    def pretend(name: str | None) -> None:
        monkeypatch.setattr(units, "matrix_unit", lambda: name)
        monkeypatch.setattr(target, "detect", lambda: LEVELS["avx512"])

    return pretend


@pytest.fixture(scope="module")
def kernel() -> ij.Kernel:
    return ij.compile(NET, level="avx512", precision="bf16")


@here
def test_a_kernel_that_only_predicts_batches_holds_one_packing() -> None:
    kernel = ij.compile(NET, level="avx512", precision="bf16")
    kernel.predict(ROWS)
    kernel.predict(ROWS[:3])
    assert set(kernel._variants) == {"output"}
    first = kernel.row(ROWS[0])
    assert set(kernel._variants) == {"output", "row"}
    held = kernel._variants["row"].k
    assert kernel.constants[0] is held
    assert kernel.single(ROWS[0]) == first[-1]
    assert kernel._variants["row"].k is held


@here
def test_rows_of_a_precision_are_compiled_beforehand_where_asked() -> None:
    assert set(ij.compile(NET, precision="bf16", warm="row")._variants) == {"output", "row"}


def test_a_float32_kernel_holds_one_packing_for_batches_and_rows() -> None:
    kernel = ij.compile(NET)
    kernel.predict(ROWS)
    kernel.row(ROWS[0])
    assert set(kernel._variants) == {"output"}
    assert kernel.constants[0] is kernel._variants["output"].k


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (None, {"precision": "bf16"}, "neither AMX nor avx512_bf16"),
        (None, {"precision": "bf16x6"}, "neither AMX nor avx512_bf16"),
        ("avx512_bf16", {"precision": "bf16x3"}, "would take longer than float32"),
        ("avx512_bf16", {"precision": "bf16x6"}, "needs AMX"),
        ("amx", {"precision": "bf16", "level": "generic"}, "for level avx512, not generic"),
        ("amx", {"precision": "tf32"}, "'tf32' is not offered"),
        ("amx", {"precision": 16}, "16 is not offered"),
        ("amx", {"precision": "auto:"}, "expected a positive number"),
        ("amx", {"precision": "auto:-1"}, "expected a positive number"),
        ("amx", {"precision": "auto:nan"}, "expected a positive number"),
        ("amx", {"precision": "auto:1e-5"}, "pass sample=X"),
        ("amx", {"precision": "auto:1e-5", "sample": ROWS[:0]}, "pass sample=X"),
        (None, {"precision": "auto:1e-30", "sample": ROWS}, r"the largest errors are float32 \d"),
        ("amx", {"precision": "bf16", "sample": ROWS}, 'sample is for precision "auto:'),
        ("amx", {"target": "cuda", "precision": "auto:1"}, "'auto:1' is not offered"),
        ("amx", {"target": "cuda", "sample": ROWS}, "sample is for"),
    ],
)
def test_what_cannot_be_had_is_refused(name, options, said, unit) -> None:
    unit(name)
    with pytest.raises(ij.CompileError, match=said) as raised:
        ij.compile(NET, **options)
    assert raised.value.kind == "Unsupported"


def test_a_sample_of_another_width_is_refused() -> None:
    with pytest.raises(ij.InputError):
        ij.compile(NET, precision="auto:1", sample=ROWS[:, 1:])


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("amx", ("bf16", "bf16x3", "bf16x6")),
        ("avx512_bf16", ("bf16",)),
        (None, ()),
    ],
)
def test_a_unit_offers_what_pays_and_the_fastest_first(name, offered, unit) -> None:
    unit(name)
    assert units.precisions(LEVELS["avx512"]) == offered
    assert units.precisions(LEVELS["avx2"]) == ()


CONVERTS = "\tvcvtneps2bf16\t(%rdi), %ymm0\n"
TILES = {"amx-tile", "amx-bf16"}


@pytest.mark.parametrize(
    ("level", "assembly", "granted", "features", "found"),
    [
        ("avx512", CONVERTS, True, TILES, "amx"),
        ("avx512", CONVERTS, False, TILES, "avx512_bf16"),
        ("avx512", CONVERTS, True, {"amx-tile"}, "avx512_bf16"),
        ("avx512", "\tvpsrld\t$16, %zmm0, %zmm1\n", True, TILES, None),
        ("avx2", "\t{vex}\tvcvtneps2bf16y\t(%rdi), %xmm0\n", True, set(), None),
        ("avx2", CONVERTS, True, TILES, None),
    ],
)
def test_a_unit_is_what_cpu_and_kernel_grant(
    level, assembly, granted, features, found, monkeypatch
) -> None:
    monkeypatch.setattr(target, "detect", lambda: LEVELS[level])
    monkeypatch.setattr(target, "assembly_of", lambda text: assembly)
    monkeypatch.setattr(target, "cpu_features", lambda: frozenset(features))
    monkeypatch.setattr(units, "_granted", lambda: granted)
    assert units.matrix_unit.__wrapped__() == found


class FakeKernel:
    """Gives float64's outputs, off by a fixed error."""

    model = NET

    def __init__(self, precision: str, error: float) -> None:
        self.precision = precision
        self.error = error

    def predict(self, rows) -> np.ndarray:
        return reference.run64(NET, rows) + self.error


ERRORS = {"bf16": 1e-2, "bf16x3": 1e-5, "bf16x6": 1e-7, "float32": 2e-7}


@pytest.mark.parametrize(
    ("largest", "picked"),
    [(1, "bf16"), (1e-3, "bf16x3"), (5e-6, "bf16x6"), (1.5e-7, "bf16x6")],
)
def test_auto_takes_the_first_within_the_budget(largest, picked) -> None:
    def make(precision: str) -> FakeKernel:
        return FakeKernel(precision, ERRORS[precision])

    assert budget.fastest_within(largest, ROWS[:3], ERRORS, make).precision == picked
    with pytest.raises(ij.CompileError, match=r"bf16 0\.01, bf16x3 1e-05, bf16x6 1e-07, float32"):
        budget.fastest_within(1e-9, ROWS[:3], ERRORS, make)


@pytest.mark.parametrize(
    ("found", "wanted", "error"),
    [
        ([1.0, 2.5], [1.0, 2.0], 0.5),
        ([np.inf, np.nan], [np.inf, np.nan], 0),
        ([3.4e38, np.inf], [3.4e38, 1e39], 0),  # float64 beyond float32
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
    ],
)
def test_an_error_counts_what_is_not_finite(found, wanted, error) -> None:
    outputs = np.array(found, np.float32)
    assert budget.largest_error(outputs, np.float64(wanted)) == pytest.approx(error, abs=1e32)


def test_auto_is_float32_where_nothing_is_faster(unit) -> None:
    unit(None)
    assert ij.compile(NET, precision="auto:1e-5", sample=ROWS).precision == "float32"
    narrow = dense(4, 3)
    unit("amx")
    picked = ij.compile(narrow, precision="auto:1e-5", sample=ROWS[:, :4])
    assert picked.precision == "float32"


@here
def test_auto_measures_on_the_validation_rows_by_default() -> None:
    rows = ij.ValidationData(ROWS[:9], reference.run(NET, ROWS[:9]))
    model = ij.Model(
        NET.buffers, NET.instructions, NET.weights, NET.bias, feature_size=33, validation_data=rows
    )
    assert ij.compile(model, precision="auto:0.1").precision == "bf16"
    assert ij.compile(model, precision="auto:1e-6").precision != "bf16"


@here
@pytest.mark.skipif(units.matrix_unit() == "amx", reason="how AMX rounds has not been seen")
def test_a_batch_has_the_bits_of_the_plain_text(kernel) -> None:
    assert same_bits(kernel.predict(ROWS), run_tiles(kernel._variant("output"), ROWS))


@here
def test_the_error_of_a_batch_is_small_and_not_zero(kernel) -> None:
    assert 1e-5 < np.abs(kernel.predict(ROWS) - EXACT).max() < 2e-2


@here
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 32, 33, 65, 300])
@pytest.mark.parametrize("threads", [None, 1, 2])
def test_a_row_does_not_depend_on_batch_and_threads(kernel, count, threads) -> None:
    assert same_bits(kernel.predict(ROWS[:count], threads=threads), kernel.predict(ROWS)[:count])


@here
def test_rows_are_float32(kernel) -> None:
    exact = ij.compile(NET, level="avx512")
    for row in ROWS[:3]:
        assert same_bits(kernel.row(row), exact.row(row))
        assert kernel.single(row) == exact.single(row)
    assert kernel.precision == "bf16"
    assert "cpu avx512 bf16, row float32, 0x" in repr(kernel)
    assert ", bf16, structure" in kernel.source.text.splitlines()[0]


@here
def test_inline_is_float32(kernel) -> None:
    out = np.empty(5, np.float32)
    kernel.inline(ROWS[0], out)
    assert same_bits(out, kernel.row(ROWS[0]))


@here
def test_buffers_and_slots_have_the_precision_too(kernel) -> None:
    flat = np.zeros((40, NET.required_memory), np.float32)
    flat[:, :33] = ROWS[:40]
    wanted = buffers_after(NET, flat.copy())
    kernel.run_buffer(flat)
    assert same_bits(flat[:, -5:], kernel.predict(ROWS[:40]))
    assert same_bits(kernel.predict(ROWS[:40], slots=(33, 148)), flat[:, 33:])
    assert 1e-5 < np.abs(flat - wanted).max() < 5e-2


@here
def test_a_copy_keeps_the_precision(kernel) -> None:
    copy = pickle.loads(pickle.dumps(kernel))
    assert copy.source == kernel.source
    assert same_bits(copy.predict(ROWS), kernel.predict(ROWS))
    assert kernel.with_weights(NET).precision == "bf16"
    assert kernel.with_weights(NET).source == kernel.source


def test_a_copy_is_refused_where_the_unit_is_missing(unit) -> None:
    unit("amx")
    saved = pickle.dumps(ij.Kernel(NET, LEVELS["avx512"], None, (), "bf16x3"))
    unit(None)
    copy = pickle.loads(saved)
    with pytest.raises(ij.CompileError, match="neither AMX nor"):
        copy.predict(ROWS)


@here
@pytest.mark.skipif(units.matrix_unit() == "amx", reason="how AMX rounds has not been seen")
def test_conversion_takes_what_is_not_finite(kernel) -> None:
    x = ROWS[:6].copy()
    x[1, 0], x[2, 32], x[3, 7], x[4, 3] = np.nan, np.inf, 3.4e38, 1e-40
    found, plain = kernel.predict(x), run_tiles(kernel._variant("output"), x)
    assert same_bits(found, plain)
    assert same_bits(found[[0, 5]], kernel.predict(ROWS[:6])[[0, 5]])


@here
@pytest.mark.parametrize("precision", ["bf16", "auto:0.1"])
def test_the_command_line_runs_at_a_precision(precision, tmp_path, capsys) -> None:
    rows = ij.ValidationData(ROWS[:9], reference.run(NET, ROWS[:9]))
    model = ij.Model(
        NET.buffers, NET.instructions, NET.weights, NET.bias, feature_size=33, validation_data=rows
    )
    path, inputs = tmp_path / "net.json", tmp_path / "rows.npy"
    ij.save(model, path)
    np.save(inputs, ROWS)
    words = ["run", str(path), "-i", str(inputs), "-o", str(tmp_path / "y.npy")]
    assert main([*words, "--precision", precision, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "bf16"
    assert same_bits(np.load(tmp_path / "y.npy"), ij.compile(path, precision="bf16").predict(ROWS))
    assert main(["dump", str(path), "--precision", "bf16"]) == 0
    assert 'precision="bf16"' in capsys.readouterr().out
    assert main(["dump", str(path), "--target", "asm", "--precision", "bf16"]) == 0
    assert any(each in capsys.readouterr().out for each in ("vdpbf16ps", "tdpbf16ps"))
