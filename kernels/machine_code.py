"""LLVM modules -> object code or assembly for a CPU that need not be this one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from instjit.errors import CompileError, Problem
from instjit.kernels.cpu import name_and_features
from instjit.kernels.double_fma import with_double_fma
from instjit.kernels.target import LEVELS, PROBE, Level, level_name

STEPS = {"x86-64-v4": 4, "x86-64-v3": 3, "x86-64-v2": 2, "x86-64": 1}
"""The steps of the x86-64 ABI, richest first; a library may hold code for several of them."""

PLAINEST = {
    "x86_64": "x86-64",
    "aarch64": "generic",
    "arm64": "generic",
    "riscv64": "generic-rv64",
}
FEATURES = {"x86-64-v4": "-prefer-256-bit", "generic-rv64": "+m,+a,+f,+d,+c"}
"""What LLVM is told beside the CPU: AVX-512 in whole registers, RISC-V as Linux wants it."""

SHORT = {name.rpartition("-")[2]: name for name in STEPS if name != "x86-64"}


@dataclass(frozen=True, slots=True)
class Cpu:
    """What code is made for.

    Attributes
    ----------
    name
        As it was asked for: "native", "x86-64-v3", "neoverse-n1".
    triple
        The platform, as LLVM writes it.
    model, features
        The CPU and the features beside its own, as LLVM calls them.
    level
        Blocking of the kernels.
    step
        Step of the x86-64 ABI (``STEPS``) that a CPU must have to run it, 0 for other platforms.
    """

    name: str
    triple: str
    model: str
    features: str
    level: Level
    step: int


def cpu_of(name: str, triple: str | None = None) -> Cpu:
    """The CPU of that name.

    Parameters
    ----------
    name
        "native", "v2", "v3", "v4" or "x86-64-v2" and so on, or any that LLVM knows; "" for the
        plainest one of the platform.
    triple
        The platform, this one by default.

    Raises
    ------
    CompileError
        UnknownTarget: LLVM has no such platform or CPU here. UnknownCpu.
    """
    host = host_triple()
    platform = whole(triple or host)
    if name == "native":
        if triple is not None and architecture(triple) != architecture(host):
            sentence = f"the CPU of this machine is no CPU for {triple}: name one"
            raise CompileError(Problem("UnknownCpu", sentence, fields={"cpu": name}))
        model, features = name_and_features()
    else:
        model = SHORT.get(name, name) or PLAINEST.get(architecture(platform), "")
        features = FEATURES.get(model, "")
        if re.match("(arm|thumb)(?!64)", platform):
            features = "-neon"  # its NEON takes subnormal numbers for 0
        if name and not (model in STEPS and architecture(platform) == "x86_64"):
            _check_known(model, platform)
    level = LEVELS[level_name(_probed(platform, model, features))]
    step = _step(platform, model, features) if architecture(platform) == "x86_64" else 0
    return Cpu(model if name != "native" else name, platform, model, features, level, step)


def cpus_of(names: Iterable[str], triple: str | None = None) -> list[Cpu]:
    """The CPUs of those names, richest first: one, or several of ``STEPS``.

    Raises
    ------
    CompileError
        As ``cpu_of``; UnknownCpu for names that do not go together.
    """
    asked = [name.strip() for name in names]
    if triple is not None and asked == ["native"]:
        asked = [""]
    cpus = [cpu_of(name, triple) for name in asked]
    if len(cpus) > 1 and not all(each.model in STEPS for each in cpus):
        sentence = f"a library holds code for several of {', '.join(STEPS)}, not {', '.join(asked)}"
        raise CompileError(Problem("UnknownCpu", sentence, fields={"cpu": asked}))
    if not cpus or len({each.name for each in cpus}) < len(cpus):
        sentence = f"cpu takes one CPU or several different ones, not {', '.join(asked) or 'none'}"
        raise CompileError(Problem("UnknownCpu", sentence, fields={"cpu": asked}))
    return sorted(cpus, key=lambda each: -each.step)


def host_triple() -> str:
    """The platform of this process, as LLVM writes it."""
    import llvmlite.binding as llvm

    return str(llvm.get_process_triple())


def optimised(text: str, cpu: Cpu, kept: frozenset[str]) -> Any:
    """A module for a CPU; every function but those kept is internal to it.

    Parameters
    ----------
    text
        LLVM IR without a triple.
    kept
        Names that the linker is to see, hidden outside the library.
    """
    import llvmlite.binding as llvm

    machine = _machine(cpu.triple, cpu.model, cpu.features)
    if cpu.step and cpu.level.name == "generic":
        text = with_double_fma(text)
    module = llvm.parse_assembly(text)
    module.triple = cpu.triple
    module.data_layout = str(machine.target_data)
    for held in (*module.functions, *module.global_variables):
        if held.name in kept:
            held.visibility = "hidden"
        elif not held.is_declaration:
            held.linkage = "internal"
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return module


def object_code(module: Any, cpu: Cpu) -> bytes:
    """The relocatable file of a module."""
    return bytes(_machine(cpu.triple, cpu.model, cpu.features).emit_object(module))


def assembly(module: Any, cpu: Cpu) -> str:
    """The same as text."""
    return str(_machine(cpu.triple, cpu.model, cpu.features).emit_assembly(module))


def byte_order(cpu: Cpu) -> Literal["<", ">"]:
    """Of the platform, as NumPy writes it."""
    layout = str(_machine(cpu.triple, cpu.model, cpu.features).target_data)
    return ">" if layout.startswith("E") else "<"


@cache
def _machine(triple: str, model: str, features: str) -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        sentence = f"LLVM makes no code for {triple!r} here: {error}"
        raise CompileError(Problem("UnknownTarget", sentence, fields={"target": triple})) from None
    return target.create_target_machine(
        cpu=model, features=features, opt=3, reloc="pic", codemodel="default"
    )


@cache
def _probed(triple: str, model: str, features: str) -> str:
    import llvmlite.binding as llvm

    machine = _machine(triple, model, features)
    module = llvm.parse_assembly(PROBE)
    module.triple = triple
    module.data_layout = str(machine.target_data)
    return str(machine.emit_assembly(module))


def _check_known(model: str, triple: str) -> None:
    """Refuse what LLVM does not know, for which it would end the process."""
    _machine(triple, "", "")
    if model not in _known_cpus(triple):
        sentence = f"LLVM knows no CPU {model!r} for {triple}"
        raise CompileError(Problem("UnknownCpu", sentence, fields={"cpu": model}))


LISTING = """\
import sys, llvmlite.binding as llvm
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
features = "+64bit" if sys.argv[1].startswith("x86_64") else ""
llvm.Target.from_triple(sys.argv[1]).create_target_machine(cpu="help", features=features)
"""


@cache
def _known_cpus(triple: str) -> frozenset[str]:
    """Names of a platform's CPUs, which LLVM prints when it is asked for help."""
    command = [sys.executable, "-c", LISTING, triple]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    listed = told.partition("Available CPUs")[2].partition("Available features")[0]
    return frozenset(line.split()[0] for line in listed.splitlines() if " - " in line)


def _step(triple: str, model: str, features: str) -> int:
    """The step that a CPU must have: the named one, or the highest that this one has."""
    if model in STEPS:
        return STEPS[model]
    name = level_name(_probed(triple, model, features))
    return {"avx512": 4, "avx2": 3}.get(name, 2)


def whole(triple: str) -> str:
    """With the vendor that is often left out: LLVM reads "arm-linux-gnueabihf" by places."""
    architecture, *others = triple.split("-")
    if len(others) == 2 and others[0] in ("linux", "none"):
        others.insert(0, "unknown")
    return "-".join((architecture, *others))


def architecture(triple: str) -> str:
    """Its first word: "x86_64"."""
    return triple.partition("-")[0]
