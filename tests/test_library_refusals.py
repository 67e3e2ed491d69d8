"""Every wrong argument has its status, and nothing is written."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import libraries
import numpy as np
import pytest
from libraries import CPUS, NATIVE, library, model

import instjit as ij
from instjit.errors import FormatError, InputError, InstjitError
from instjit.formats import rmd1
from instjit.formats.limits import Limits
from instjit.library.interface import Info, Library, Options

pytestmark = libraries.needs_compiler

ROWS, IN, OUT = 5, 20, 1
UNTOUCHED = 0x5A


@dataclass
class Call:
    """Arguments of ``run_batch`` (or ``run``, for one row), all good, in one block of memory."""

    rows: int = ROWS
    memory: np.ndarray = field(default_factory=lambda: np.full(1 << 16, UNTOUCHED, np.uint8))

    def __post_init__(self) -> None:
        self.functions: Any = Library(library("narrow")).functions
        self.model: Any = ctypes.c_void_p()
        self.functions["create"](None, 0, None, ctypes.byref(self.model))
        info = Info(size=ctypes.sizeof(Info))
        self.functions["info"](self.model, ctypes.byref(info))
        self.start = -(-self.memory.ctypes.data // 64) * 64
        self.x, self.x_size = self.start, self.rows * IN
        self.y, self.y_size = self.start + 4096, self.rows * OUT
        self.scratch, self.scratch_bytes = self.start + 8192, int(info.batch_scratch_bytes)

    def run(self) -> int:
        rest = (self.x, self.x_size, self.y, self.y_size, self.scratch, self.scratch_bytes)
        if self.rows == 1:
            return int(self.functions["run"](self.model, *rest))
        return int(self.functions["run_batch"](self.model, self.rows, *rest))


def change(**fields: Callable[[Call], Any]) -> Callable[[Call], None]:
    def changed(call: Call) -> None:
        for name, value in fields.items():
            setattr(call, name, value(call))

    return changed


NULL, SIZE, SCRATCH, MISALIGNED, OVERLAP = 1, 2, 3, 4, 5
BAD = {
    "no model": (NULL, change(model=lambda call: None)),
    "no input": (NULL, change(x=lambda call: None)),
    "no output": (NULL, change(y=lambda call: None)),
    "no scratch": (NULL, change(scratch=lambda call: None)),
    "too few inputs": (SIZE, change(x_size=lambda call: call.x_size - 1)),
    "too many inputs": (SIZE, change(x_size=lambda call: call.x_size + 1)),
    "inputs of another batch": (SIZE, change(x_size=lambda call: call.x_size + IN)),
    "no inputs": (SIZE, change(x_size=lambda call: 0)),
    "too few outputs": (SIZE, change(y_size=lambda call: call.y_size - 1)),
    "too many outputs": (SIZE, change(y_size=lambda call: call.y_size + 1)),
    "sizes whose bytes overflow": (SIZE, change(x_size=lambda call: 2**62 + call.x_size)),
    "no room": (SCRATCH, change(scratch_bytes=lambda call: 0)),
    "input between floats": (MISALIGNED, change(x=lambda call: call.x + 1)),
    "output between floats": (MISALIGNED, change(y=lambda call: call.y + 2)),
    "scratch between lines": (MISALIGNED, change(scratch=lambda call: call.scratch + 32)),
    "output is the input": (OVERLAP, change(y=lambda call: call.x)),
    "output begins in the input": (OVERLAP, change(y=lambda call: call.x + 4 * IN - 4)),
    "input begins in the output": (OVERLAP, change(y=lambda call: call.x - 4 * OUT + 4)),
    "scratch in the input": (OVERLAP, change(scratch=lambda call: call.x)),
    "output in the scratch": (OVERLAP, change(y=lambda call: call.scratch + 128)),
}  # fmt: skip


@pytest.mark.parametrize("rows", [1, ROWS])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_has_its_status_and_writes_nothing(name, rows) -> None:
    wanted, spoil = BAD[name]
    call = Call(rows)
    spoil(call)
    assert call.run() == wanted
    assert (call.memory == UNTOUCHED).all()


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_good_call_writes_the_output_and_the_scratch_alone(rows) -> None:
    call = Call(rows)
    assert call.run() == 0
    start = call.start - call.memory.ctypes.data
    kept = np.ones(call.memory.size, bool)
    kept[start + 4096 : start + 4096 + 4 * call.y_size] = False
    kept[start + 8192 : start + 8192 + call.scratch_bytes] = False
    assert (call.memory[kept] == UNTOUCHED).all()
    assert not (call.memory[start + 4096 :][: 4 * call.y_size] == UNTOUCHED).all()


def test_scratch_of_exactly_the_stated_size_is_enough_and_a_byte_less_is_not() -> None:
    call = Call()
    call.scratch_bytes -= 1
    assert call.run() == SCRATCH
    call.scratch_bytes += 1
    assert call.run() == 0


@pytest.mark.parametrize("name", ["one", "narrow", "named"])
def test_scratch_is_whole_lines_and_that_of_a_batch_is_enough_for_a_row(name) -> None:
    functions, model = Library(library(name, NATIVE)).functions, ctypes.c_void_p()
    functions["create"](None, 0, None, ctypes.byref(model))
    info = Info(size=ctypes.sizeof(Info))
    functions["info"](model, ctypes.byref(info))
    sizes = int(info.row_scratch_bytes), int(info.batch_scratch_bytes)
    assert 0 < sizes[0] <= sizes[1]
    assert [size % info.scratch_alignment for size in sizes] == [0, 0]
    functions["destroy"](model)


def test_no_rows_are_no_error_and_need_no_memory() -> None:
    call = Call()
    call.rows = call.x_size = call.y_size = call.scratch_bytes = 0
    call.x = call.y = call.scratch = None
    assert call.run() == 0


def test_more_rows_than_memory_holds_are_refused() -> None:
    call = Call()
    call.rows = 2**63
    assert call.run() == SIZE


def created(content: bytes | None, size: int, options: Any, to: Any) -> int:
    return int(Library(library("narrow")).functions["create"](content, size, options, to))


def test_create_refuses_what_is_null_and_leaves_the_result_as_it_was() -> None:
    model = ctypes.c_void_p(77)
    options = Options(ctypes.sizeof(Options), None)
    assert created(None, 5, options, ctypes.byref(model)) == NULL
    assert created(None, 0, options, None) == NULL
    for size in (0, 8, 15, 4097, 2**63):
        assert created(None, 0, Options(size, None), ctypes.byref(model)) == 6
    assert created(None, 0, Options(16, b"pentium"), ctypes.byref(model)) == 8
    assert model.value == 77


def test_info_and_names_refuse_null() -> None:
    call = Call()
    info = Info(size=ctypes.sizeof(Info))
    assert call.functions["info"](None, ctypes.byref(info)) == NULL
    assert call.functions["info"](call.model, None) == NULL
    for size in (0, 47, 4097, 2**63):
        info = Info(size=size)
        assert call.functions["info"](call.model, ctypes.byref(info)) == 6
        assert (info.input_size, info.size) == (0, size)
    assert call.functions["feature_name"](None, 0) is None
    assert call.functions["feature_name"](call.model, 0) is None
    assert call.functions["destroy"](None) == 0


def test_every_status_has_a_sentence_of_its_own() -> None:
    text = Library(library("one", NATIVE)).functions["status_string"]
    sentences = [text(number) for number in range(20)]
    assert len(set(sentences)) == 20
    assert text(20) == text(-1) not in sentences


CONTENT = rmd1.encode(model("narrow"))
FAULTS = {
    "Truncated": lambda content: content[:-1],
    "BadMagic": lambda content: b"RMD2" + content[4:],
    "BadVersion": lambda content: content[:4] + b"\x02" + content[5:],
    "BadHeader": lambda content: content[:6] + b"\x02" + content[7:],
    "InvalidActivation": lambda content: content[:36] + b"\x09" + content[37:],
    "InvalidLayer": lambda content: content[:28] + b"\xff\xff\xff\xff" + content[32:],
    "StructureMismatch": lambda content: content[:36] + b"\x00" + content[37:],
}


@pytest.mark.parametrize("kind", FAULTS)
def test_wrong_rmd1_bytes_are_refused(kind) -> None:
    with pytest.raises(InstjitError) as caught:
        ij.load_library(library("narrow"), FAULTS[kind](CONTENT))
    assert caught.value.kind == kind


SMALL = rmd1.encode(model("activations"))


def test_every_truncation_of_rmd1_bytes_is_judged_as_by_load() -> None:
    found = [_judged(SMALL[:size]) for size in range(len(SMALL))]
    assert {name for name, _ in found} == {"Truncated"}
    assert [pair for pair in found if pair[0] != pair[1]] == []


@pytest.mark.library
def test_many_flips_of_rmd1_bytes_are_judged_as_by_load() -> None:
    rng = np.random.default_rng(3)
    cases = []
    for _ in range(1500):
        changed = bytearray(SMALL)
        for place in rng.integers(0, 20 + 60, rng.integers(1, 3)):
            changed[place] = rng.choice([0, 1, 2, 3, 255, changed[place] ^ 1 << rng.integers(8)])
        cases.append(bytes(changed))
    found = [_judged(content) for content in cases]
    assert {name for name, _ in found} > {"BadHeader", "InvalidLayer", "good"}
    assert [pair for pair in found if pair[0] != pair[1]] == []


ANY = Limits(**{name: 2**40 for name in ("instructions", "arrays", "buffers", "weights", "slots")})


def _judged(content: bytes) -> tuple[str, str]:
    """Kinds of the problems by the library and by ``instjit.load``; another structure is good."""
    kinds = []
    for door in (
        lambda: ij.load_library(library("activations", NATIVE), content),
        lambda: rmd1.decode(content, ANY),
    ):
        try:
            door()
            kinds.append("good")
        except (FormatError, InputError) as error:
            kinds.append("good" if error.kind == "StructureMismatch" else error.kind)
    return kinds[0], kinds[1]


LOADING = {
    "no such file": ("NotALibrary", lambda: ij.load_library("/nonexistent.so")),
    "no library": ("NotALibrary", lambda: ij.load_library(__file__)),
    "another library": ("NotALibrary", lambda: ij.load_library("libm.so.6")),
    "no bytes": ("InputType", lambda: ij.load_library(library("one", NATIVE), "text")),
    "not dense": ("NotADenseChain", lambda: ij.load_library(library("tables", NATIVE), CONTENT)),
    "unknown CPU": ("UnknownCpu", lambda: ij.load_library(library("one", NATIVE), cpu="z80")),
}


@pytest.mark.parametrize("name", LOADING)
def test_what_cannot_be_loaded_is_an_input_error(name) -> None:
    kind, load = LOADING[name]
    with pytest.raises(InputError) as caught:
        load()
    assert caught.value.kind == kind


CALLS = {
    "width": lambda kernel: kernel.predict(np.zeros((2, 19))),
    "dimensions": lambda kernel: kernel.predict(np.zeros(20)),
    "text": lambda kernel: kernel.predict([["a"] * 20]),
    "row width": lambda kernel: kernel.row(np.zeros(21)),
    "row dimensions": lambda kernel: kernel.row(np.zeros((1, 20))),
    "out shape": lambda kernel: kernel.predict(np.zeros((2, 20)), out=np.zeros((3, 1), np.float32)),
    "out type": lambda kernel: kernel.row(np.zeros(20), out=np.zeros(1)),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arrays_are_the_errors_of_a_kernel(name) -> None:
    messages = []
    for kernel in (ij.load_library(library("narrow")), libraries.kernel("narrow")):
        with pytest.raises(InputError) as caught:
            CALLS[name](kernel)
        messages.append((caught.value.kind, str(caught.value)))
    assert messages[0] == messages[1]


def test_arrays_that_must_be_converted_or_share_memory_give_the_same_results() -> None:
    loaded, rows = ij.load_library(library("wide", NATIVE)), np.ones((3, 250), np.float32)
    wanted = loaded.predict(rows)
    assert (loaded.predict(rows.astype(np.float64)) == wanted).all()
    assert (loaded.predict(np.asfortranarray(rows)) == wanted).all()
    assert (loaded.row(rows[0].tolist()) == wanted[0]).all()
    shared = np.ones(1000, np.float32)
    out = shared[:600].reshape(3, 200)
    assert loaded.predict(shared[:750].reshape(3, 250), out=out) is out
    assert (out == wanted).all()
    assert loaded.predict(np.zeros((0, 250))).shape == (0, 200)
    assert loaded.single(rows[0]) == wanted[0, -1]


def test_a_library_that_needs_more_than_this_cpu_has_is_refused() -> None:
    if len(CPUS) < 2:
        pytest.skip("no second CPU by name")
    source = (libraries.folder() / "needs_more.py").parent / "needs"
    source.mkdir()
    from instjit.kernels.machine_code import cpu_of
    from instjit.library import blueprint, compiling
    from instjit.library.build import _compiled, _object
    from instjit.library.texts import header

    code = blueprint.Code(cpu_of(CPUS[-1]), _compiled(model("one"), cpu_of(CPUS[-1])))
    text = blueprint.write(model("one"), "one", [code])
    number = f'{CPUS[-1]}", "{code.form.source.digest}", '
    assert number + "2" in text
    (source / "one.c").write_text(text.replace(number + "2", number + "9"), encoding="ascii")
    (source / "one.h").write_text(header("one"), encoding="ascii")
    (source / "one.o").write_bytes(_object(code, "one", [code]))
    inputs = [source / "one.c", source / "one.o"]
    compiling.shared_library(inputs, source / "libone.so", source, "libone.so")
    with pytest.raises(InputError) as caught:
        ij.load_library(source / "libone.so")
    assert caught.value.kind == "UnsupportedCpu"
