"""Splits and products of a kernel's text as one LLVM function, with AMX's tiles or an emulation."""

from __future__ import annotations

import ctypes
import re

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from instjit.kernels import amx, build, steps
from instjit.kernels.located import CONSTRUCTORS
from instjit.kernels.simd import I32, i64, loop
from instjit.kernels.specs import ProductSpec, SplitSpec
from instjit.kernels.tile import TileSchedule
from instjit.variant import Compiled

TRIPLE = "x86_64-unknown-linux-gnu"
WORDS = ir.VectorType(I32, 16)
FLOATS = ir.VectorType(ir.FloatType(), 16)


class EmulatedTiles(amx.Tiles):
    """The same operations over a global array: tile, row, 16 words."""

    def configure(self) -> None:
        pass

    release = configure

    def _row(self, tile: int, row) -> object:
        module = self.builder.module
        if "emulated" not in module.globals:
            kind = ir.ArrayType(WORDS, 8 * 16)
            made = ir.GlobalVariable(module, kind, "emulated")
            made.linkage, made.initializer = "internal", ir.Constant(kind, None)
        return self.builder.gep(
            module.globals["emulated"], [i64(0), self.builder.add(i64(16 * tile), row)]
        )

    def _rows(self, write) -> None:
        loop(self.builder, i64(16), lambda row, state: write(row) or state)

    def zero(self, tile: int) -> None:
        zeros = ir.Constant(WORDS, [0] * 16)
        self._rows(lambda row: self.builder.store(zeros, self._row(tile, row)) and None)

    def _outside(self, place, stride, row) -> object:
        at = self.builder.gep(
            self.builder.bitcast(place, amx.ANYWHERE), [self.builder.mul(row, stride)]
        )
        return self.builder.bitcast(at, WORDS.as_pointer())

    def load(self, tile: int, place, stride) -> None:
        def copy(row) -> None:
            held = self.builder.load(self._outside(place, stride, row), align=4)
            self.builder.store(held, self._row(tile, row))

        self._rows(copy)

    def store(self, tile: int, place, stride) -> None:
        def copy(row) -> None:
            held = self.builder.load(self._row(tile, row))
            self.builder.store(held, self._outside(place, stride, row), align=4)

        self._rows(copy)

    def multiply(self, sums: int, weights: int, words: int) -> None:
        builder = self.builder

        def halves(held) -> list:
            high = builder.and_(held, ir.Constant(WORDS, [0xFFFF0000] * 16))
            low = builder.shl(held, ir.Constant(WORDS, [16] * 16))
            return [builder.bitcast(each, FLOATS) for each in (low, high)]

        def output(m) -> None:
            def pair(r, state) -> list:
                row = builder.load(self._row(weights, m))
                splat = builder.shuffle_vector(
                    builder.insert_element(
                        ir.Constant(WORDS, [0] * 16),
                        builder.extract_element(row, builder.trunc(r, I32)),
                        ir.Constant(I32, 0),
                    ),
                    ir.Constant(WORDS, [0] * 16),
                    ir.Constant(WORDS, [0] * 16),
                )
                lanes = halves(builder.load(self._row(words, r)))
                return [
                    builder.fadd(total, builder.fmul(a, b))
                    for total, a, b in zip(state, halves(splat), lanes, strict=True)
                ]

            zeros = ir.Constant(FLOATS, [0.0] * 16)
            both = builder.fadd(*loop(builder, i64(16), pair, [zeros, zeros]))
            place = self._row(sums, m)
            held = builder.bitcast(builder.load(place), FLOATS)
            builder.store(builder.bitcast(builder.fadd(held, both), WORDS), place)

        self._rows(output)


def recorded(form: Compiled) -> list[tuple[str, SplitSpec | ProductSpec]]:
    """The splits and products that a text defines, in order."""
    found: list = []
    names = {
        "split": lambda **fields: found.append(("split", SplitSpec(**fields))),
        "product": lambda **fields: found.append(("product", ProductSpec(**fields))),
    }
    names_of_others = (
        "gemm elementwise reduce lookup columns_in columns_out part_in part_out words_in"
    )
    others = dict.fromkeys(names_of_others.split(), lambda **fields: None)
    exec(form.source.text, {**CONSTRUCTORS, **others, **names})
    return found


def ir_of(form: Compiled) -> str:
    """``run(s, k, n)``: all of them, one after the other, between begin and end of tiles."""
    module = ir.Module("steps")
    module.triple = TRIPLE
    pointers = [steps.FLOATS, steps.FLOATS, steps.INTEGERS]
    run = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers), "run")
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    areas = dict(zip("skn", run.args, strict=True)) | {"x": run.args[0], "y": run.args[0]}
    schedule = TileSchedule(form.level)
    amx.Tiles(builder).configure()
    for kind, spec in recorded(form):
        places = [steps.place_of(builder, areas, form.lanes, *each) for each in spec.operands()]
        function = steps.function_of(builder, schedule, kind, spec, places)
        builder.call(function, [*places, areas["k"], areas["n"]])
    amx.Tiles(builder).release()
    builder.ret_void()
    return str(module)


def assembly_of(text: str, *, optimised: bool, cpu: str = "sapphirerapids") -> str:
    """What LLVM makes of a module for another CPU; loops are unrolled where it is optimised."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(cpu=cpu, features="", opt=3)
    module = llvm.parse_assembly(text)
    if optimised:
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
    return str(machine.emit_assembly(module))


def counts(assembly: str) -> dict[str, int]:
    """How often each instruction on tiles stands in the assembly."""
    names = re.findall(r"^\s+(t\w+|ldtilecfg|sttilecfg)\s", assembly, re.MULTILINE)
    return {name: names.count(name) for name in sorted(set(names)) if name[:4] != "test"}


def run_here(text: str, s: np.ndarray, k: np.ndarray, n: np.ndarray) -> None:
    """Compile for this machine and run."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(engine.get_function_address("run"))
    run(s.ctypes.data, k.ctypes.data, n.ctypes.data)


def run_plain(form: Compiled, s: np.ndarray) -> None:
    """The same steps as the text's plain meaning; ``s`` is [slot][lane]."""
    names = build.plain_functions(form.source, rows=False)
    for number in range(len(form.program.steps)):
        if f"split{number}" in names:
            names[f"split{number}"](s, form.k, form.n)
        names[f"step{number}"](s, form.k, form.n)
