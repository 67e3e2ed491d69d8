"""Levels: what this CPU has, what may be asked for, how tall a tile is."""

from __future__ import annotations

import re

import numpy as np
import pytest
from plain_run import form_of, run_tiles, same_bits

import instjit as ij
from instjit import launch, reference
from instjit.kernels import cpu, target
from instjit.kernels.packing import padded
from instjit.kernels.target import LEVELS, Level, choose, describe, detect, fitted
from instjit.passes import PASSES

ASSEMBLY = {
    "avx512": "\tvmovups\t(%rdi), %zmm0\n\tvfmadd213ps\t(%rdx), %zmm0, %zmm1\n",
    "avx2": "\tvmovups\t(%rdi), %ymm0\n\tvfmadd213ps\t(%rdx), %ymm0, %ymm1\n",
    "neon": "\tldp\tq0, q1, [x0]\n\tfmla\tv2.4s, v0.4s, v1.4s\n",
    "generic": "\tcallq\tfmaf@PLT\n",
}


@pytest.fixture
def pretended(monkeypatch):
    """Pretend that LLVM makes a level's code for this CPU."""

    def pretend(level: str) -> None:
        monkeypatch.setattr(cpu, "name_and_features", lambda: (f"pretended {level}", ""))
        monkeypatch.setattr(target, "_assembly", lambda text, name, features: ASSEMBLY[level])

    return pretend


def test_the_level_of_this_cpu_is_known() -> None:
    assert detect() in LEVELS.values()
    assert choose(None) is detect()
    assert choose(detect().name) is detect()
    assert describe()["level"] == detect().name
    assert describe()["cpu"]


@pytest.mark.parametrize("name", ASSEMBLY)
def test_a_level_is_read_off_what_llvm_makes_of_an_fma(name, pretended) -> None:
    pretended(name)
    assert detect() is LEVELS[name]


@pytest.mark.parametrize(
    ("best", "offered"),
    [
        ("avx512", {"avx512", "avx2", "generic"}),
        ("avx2", {"avx2", "generic"}),
        ("neon", {"neon", "generic"}),
        ("generic", {"generic"}),
    ],
)
def test_a_cpu_offers_its_level_and_those_below(best, offered, pretended) -> None:
    pretended(best)
    for name in offered:
        assert choose(name) is LEVELS[name]
    for name in LEVELS.keys() - offered:
        with pytest.raises(ij.CompileError, match=f"compiles for {best}, level {name}") as caught:
            choose(name)
        assert (caught.value.kind, caught.value.fields) == ("UnsupportedLevel", {"level": name})


@pytest.mark.parametrize("name", ["", "AVX2", "sse", "avx1024", 5])
def test_a_level_that_nobody_has_is_refused(name) -> None:
    wanted = re.escape(f"level {name!r} is none of avx512, avx2, neon, generic")
    with pytest.raises(ij.CompileError, match=wanted) as caught:
        choose(name)
    assert (caught.value.kind, caught.value.fields) == ("UnknownLevel", {"level": name})


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_a_panel_is_whole_blocks_and_whole_vectors(level: Level) -> None:
    assert level.panel % level.outputs == 0
    assert level.panel % level.width == 0
    assert padded(level.panel) == level.panel
    registers = 32 if level.name in ("avx512", "neon") else 16
    assert level.outputs * level.vectors + level.vectors + 1 <= registers


@pytest.mark.parametrize(
    ("slots", "share", "vectors"),
    [
        (100, 1.0, 2),
        (2048, 0.0, 2),  # 2,048 slots x 32 rows x 4 bytes are half of 512 KiB
        (2049, 0.0, 1),
        (4096, 1.0, 1),
        (4097, 0.0, 0),
        (4097, 0.49, 0),
        (4097, 0.5, 1),
        (10**6, 1.0, 1),
    ],
)
def test_a_tile_is_as_tall_as_half_of_the_cache_allows(slots, share, vectors, monkeypatch) -> None:
    monkeypatch.setattr(target, "cache_bytes", lambda: 512 << 10)
    level = fitted(LEVELS["avx512"], slots, share)
    assert level.vectors == vectors
    assert level.lanes == (16 * vectors if vectors else 1)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512K\n", 512 << 10), ("2M\n", 2 << 20), ("262144\n", 262144), ("?", 1 << 20)],
)
def test_the_cache_size_is_the_systems_or_a_mebibyte(text, size, tmp_path, monkeypatch) -> None:
    path = tmp_path / "size"
    path.write_text(text)
    monkeypatch.setattr(
        target, "open", lambda name, encoding: path.open(encoding=encoding), raising=False
    )
    assert target.cache_bytes.__wrapped__() == size


def test_the_cache_size_of_a_system_that_tells_none_is_a_mebibyte(monkeypatch) -> None:
    def missing(name, encoding):
        raise FileNotFoundError(name)

    monkeypatch.setattr(target, "open", missing, raising=False)
    assert target.cache_bytes.__wrapped__() == 1 << 20


# -- models that do not fit ------------------------------------------------------------------------

SLOTS = 100_000


def wide_elementwise() -> ij.Model:
    return ij.Model(
        [SLOTS, SLOTS, 1],
        [
            ij.Activate(0, "TANH"),
            ij.CopyMasked(0, 1, tuple(range(SLOTS - 1, -1, -1))),
            ij.AddElementwiseBuffers((0, 1), 1),
            ij.ReduceSum(1, 2),
            ij.Copy(2, 1, 7),
            ij.ReduceSum(1, 2),
        ],
        feature_size=SLOTS,
    )


def test_a_model_of_wide_buffers_runs_row_by_row(monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    monkeypatch.setattr(target, "cache_bytes", lambda: 1 << 20)
    model = wide_elementwise()
    kernel = ij.compile(model)
    assert ", 1 rows a tile," in kernel.source.text
    rows = np.random.default_rng(1).normal(size=(3, SLOTS)).astype(np.float32)
    buffers = reference.run_buffers(model, rows)
    for threads in (1, 2):
        assert same_bits(kernel.predict(rows, threads=threads), buffers[:, -1:])
    assert same_bits(kernel.row(rows[1]), buffers[1, -1:])
    assert same_bits(kernel.predict(rows, slots=(SLOTS, 2 * SLOTS)), buffers[:, SLOTS:-1])
    flat = np.zeros((3, model.required_memory), np.float32)
    flat[:, :SLOTS] = rows
    assert same_bits(kernel.run_buffer(flat), buffers)


def test_a_wide_product_keeps_one_vector_of_lanes(monkeypatch) -> None:
    monkeypatch.setattr(target, "cache_bytes", lambda: 16 << 10)
    rng = np.random.default_rng(2)
    net = ij.Model([300, 200], [ij.Dot(0, 1, 0)], [rng.normal(size=(200, 300))], feature_size=300)
    form = form_of(net, "avx512", "output", PASSES)
    assert form.lanes == 16
    rows = rng.normal(size=(20, 300)).astype(np.float32)
    assert same_bits(run_tiles(form, rows), reference.run(net, rows))
    kernel = ij.compile(net)
    assert f"{detect().width} rows a tile" in kernel.source.text
    assert same_bits(kernel.predict(rows), reference.run(net, rows))
    assert same_bits(kernel.row(rows[3]), reference.run(net, rows)[3])


def test_a_precision_keeps_tiles_however_wide_the_model() -> None:
    assert fitted(LEVELS["avx512"], 10**7, 0.1).vectors == 0
    assert fitted(LEVELS["avx512"], 10**7, 0.1, tiles=True).vectors == 1
