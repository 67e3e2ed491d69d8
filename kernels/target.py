"""What this CPU has, and every blocking by instruction set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from instjit.counted import shown
from instjit.errors import CompileError, Problem
from instjit.kernels import cpu
from instjit.kernels.packing import LINE_FLOATS

PROBE = """
define void @probe(ptr %a, ptr %b, ptr %c) {
  %x = load <16 x float>, ptr %a
  %y = load <16 x float>, ptr %b
  %z = load <16 x float>, ptr %c
  %r = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %z)
  store <16 x float> %r, ptr %c
  ret void
}
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
"""


@dataclass(frozen=True, slots=True)
class Level:
    """Blocking of the kernels for one instruction set.

    Attributes
    ----------
    name
        What ``compile(level=)`` takes.
    width
        float32 lanes of a vector register.
    vectors
        Vectors of lanes in a tile; a tile has ``width * vectors`` rows. 0: one row.
    outputs
        Outputs a Gemm micro-kernel keeps in registers, ``outputs * vectors`` accumulators in all.
    panel
        Outputs of a packed panel of weights; a multiple of ``outputs`` and of ``width``.
    """

    name: str
    width: int
    vectors: int
    outputs: int
    panel: int

    @property
    def lanes(self) -> int:
        """Rows of a tile."""
        return self.width * self.vectors if self.vectors else 1

    @property
    def span(self) -> int:
        """Outputs of a span: a panel, or half of one that whole cache lines and blocks make up."""
        half = self.panel // 2
        return self.panel if half % LINE_FLOATS or half % self.outputs else half


# AVX-512 and NEON have 32 vector registers, AVX2 and SSE 16: accumulators, one vector of lanes
# each, and a broadcast weight must fit. The panels give a row's Gemm six to eight independent
# accumulators.
LEVELS = {
    level.name: level
    for level in (
        Level("avx512", width=16, vectors=2, outputs=12, panel=96),
        Level("avx2", width=8, vectors=2, outputs=6, panel=48),
        Level("neon", width=4, vectors=2, outputs=12, panel=24),
        Level("generic", width=4, vectors=2, outputs=4, panel=24),
    )
}


def detect() -> Level:
    """The best level of the CPU that Numba compiles for (``NUMBA_CPU_NAME`` lowers it)."""
    return LEVELS[_detected_name(*cpu.name_and_features())]


def choose(name: str | None) -> Level:
    """The level of that name, or the detected one for None.

    Raises
    ------
    CompileError
        UnknownLevel: no such name. UnsupportedLevel: the CPU lacks it.
    """
    best = detect()
    if name is None:
        return best
    if name not in tuple(LEVELS):  # which asks nothing for a hash
        sentence = f"level {shown(name)} is none of {', '.join(LEVELS)}"
        raise CompileError(Problem("UnknownLevel", sentence, fields={"level": name}))
    runnable = {"generic", best.name} | ({"avx2"} if best.name == "avx512" else set())
    if name not in runnable:
        sentence = f"this CPU compiles for {best.name}, level {name} needs another one"
        raise CompileError(Problem("UnsupportedLevel", sentence, fields={"level": name}))
    return LEVELS[name]


def describe() -> dict[str, str]:
    """CPU name as LLVM calls it and the detected level, for ``instjit info``."""
    name, _ = cpu.name_and_features()
    return {"cpu": name, "level": detect().name}


@cache
def cache_bytes(number: int = 2) -> int:
    """Bytes of one core's second-level cache, or of the third level.

    Where the system does not say, 1 MiB and 16 MiB.
    """
    place = f"/sys/devices/system/cpu/cpu0/cache/index{number}/size"
    try:
        with open(place, encoding="ascii") as file:
            text = file.read().strip()
        return int(text.rstrip("KM")) * {"K": 1024, "M": 1024**2}.get(text[-1:], 1)
    except (OSError, ValueError):
        return {2: 1 << 20}.get(number, 1 << 24)


def fitted(
    level: Level, slots: int, dot_share: float, *, tiles: bool = False, rows: bool = False
) -> Level:
    """The level with the tile height that keeps a tile's scratch within half of the L2 cache.

    A model wider than that at one vector of lanes runs row by row, vectorised over features, unless
    its work is mostly Gemm (``dot_share`` of the operations), which needs lanes to use a weight
    twice, or ``tiles`` demands it. So does one that is quicker by ``rows``.
    """
    if rows:
        return replace(level, vectors=0)
    budget = cache_bytes() // 2
    vectors = level.vectors
    while vectors > 1 and slots * vectors * level.width * 4 > budget:
        vectors -= 1
    if slots * vectors * level.width * 4 > budget and dot_share < 0.5 and not tiles:
        vectors = 0
    return replace(level, vectors=vectors)


def assembly_of(text: str) -> str:
    """What LLVM makes of its IR for the CPU that Numba compiles for."""
    return _assembly(text, *cpu.name_and_features())


def cpu_features() -> frozenset[str]:
    """Names of the features that Numba compiles for, as LLVM calls them."""
    _, features = cpu.name_and_features()
    return frozenset(name[1:] for name in features.split(",") if name.startswith("+"))


@cache
def _detected_name(name: str, features: str) -> str:
    return level_name(_assembly(PROBE, name, features))


def level_name(assembly: str) -> str:
    """Read the level off the assembly LLVM makes of ``PROBE``."""
    if "zmm" in assembly and "vfmadd" in assembly:
        return "avx512"
    if "vfmadd" in assembly:
        return "avx2"
    return "neon" if "fmla" in assembly else "generic"


def _assembly(text: str, name: str, features: str) -> str:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine: Any = llvm.Target.from_default_triple().create_target_machine(
        cpu=name, features=features, opt=2
    )
    return str(machine.emit_assembly(llvm.parse_assembly(text)))
