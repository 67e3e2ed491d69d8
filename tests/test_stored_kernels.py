"""A kernel that another process has compiled: the same bits, and no Numba."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nets import dense
from numba.core import event
from stored_kernels import PROGRAM, output, run

import instjit
from instjit.kernels import build, gemm_choices, identity, kept, objects, units
from instjit.kernels.direct import Direct, Reach, Shape
from instjit.kernels.recent import Recent
from instjit.kernels.source import Source
from instjit.kernels.target import detect
from instjit.store import Store

ROWS = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> tuple[Path, list[str]]:
    """A store that ``PROGRAM`` has filled, and what it printed without a store."""
    folder = tmp_path_factory.mktemp("stores") / "store"
    numba, wanted = run("off")
    assert numba
    assert run(folder) == (True, wanted)
    return folder, wanted


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """A store of this process, which has forgotten all code."""
    monkeypatch.setenv("INSTJIT_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(kept, "_codes", Recent(8))
    return Store(str(tmp_path / "store"))


def forget(monkeypatch) -> None:
    monkeypatch.setattr(kept, "_codes", Recent(8))


def compilations(model: instjit.Model, **options: object) -> tuple[instjit.Kernel, int]:
    with event.install_recorder("numba:compile") as recorder:
        kernel = instjit.compile(model, **options)
    return kernel, sum(each.is_start for _, each in recorder.buffer)


def test_a_second_process_gets_every_form_with_the_same_bits_and_no_numba(filled) -> None:
    folder, wanted = filled
    assert run(folder) == (False, wanted)
    forms = [each.about["form"] for each in Store(str(folder)).entries()]
    assert sorted(forms) == ["entry", "row", "tiles", "tiles", "tiles", "workers"]


def test_code_has_no_address_of_the_process_that_compiled_it(filled, tmp_path) -> None:
    """Addresses are others in every process."""
    run(tmp_path / "again")
    first, again = Store(str(filled[0])), Store(str(tmp_path / "again"))
    keys = {each.key for each in first.entries()}
    assert keys == {each.key for each in again.entries()}
    assert all(first.load(key) == again.load(key) for key in keys)


def test_wide_rows_come_back_with_the_same_bits(store, monkeypatch) -> None:
    monkeypatch.setattr(gemm_choices, "WIDE_FLOATS", 1)
    monkeypatch.setattr(gemm_choices, "WIDE_ROW_FLOATS", 1)
    model = dense(8, 100, 7)
    first, made = compilations(model)
    forms = {each.about["form"] for each in store.entries()}
    forget(monkeypatch)
    second, again = compilations(model)
    assert (made, again) == (2, 0)
    assert {"tiles", "wide_row"} <= forms
    assert "row" not in forms
    for threads in (1, 2):
        assert np.array_equal(
            first.predict(ROWS, threads=threads), second.predict(ROWS, threads=threads)
        )
    assert np.array_equal(second.row(ROWS[3]), instjit.reference.run(model, ROWS[3:4])[0])


@pytest.mark.parametrize("precision", [p for p in units.precisions(detect()) if p != "bf16x6"])
def test_another_precision_comes_back_with_the_same_bits(store, monkeypatch, precision) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    first, made = compilations(dense(40, 33, 17), precision=precision, warm=["row"])
    forget(monkeypatch)
    second, again = compilations(dense(40, 33, 17), precision=precision, warm=["row"])
    assert (made, again) == (2, 0)
    assert np.array_equal(first.predict(rows), second.predict(rows))
    assert np.array_equal(first.row(rows[0]), second.row(rows[0]))


@pytest.mark.parametrize(
    "model", [dense(8, 20_000, 3), dense(8, *[9] * 120, 2)], ids=["wide", "many steps"]
)
def test_large_kernels_are_kept_too(store, monkeypatch, model) -> None:
    first, made = compilations(model)
    forget(monkeypatch)
    second, again = compilations(model)
    assert made >= 2
    assert again == 0
    assert np.array_equal(first.predict(ROWS), second.predict(ROWS))
    assert np.array_equal(first.row(ROWS[3]), second.row(ROWS[3]))
    assert np.array_equal(second.row(ROWS[3]), instjit.reference.run(model, ROWS[3:4])[0])


def test_other_weights_find_the_code_and_another_structure_does_not(store, monkeypatch) -> None:
    compilations(dense(8, 5, 2))
    forget(monkeypatch)
    other = instjit.Model(
        [8, 5, 2],
        dense(8, 5, 2).instructions,
        [np.ones((5, 8)), np.ones((2, 5))],
        [np.zeros(5), np.zeros(2)],
        feature_size=8,
    )
    kernel, made = compilations(other)
    assert made == 0
    assert np.array_equal(kernel.predict(ROWS), instjit.reference.run(other, ROWS))
    assert compilations(dense(8, 6, 2))[1] == 2


def test_kernels_that_differ_in_a_literal_do_not_share_code(store) -> None:
    """What Numba's own cache mistakes for one another: equal bytecode, other constants."""
    form = instjit.compile(dense(8, 5, 2))._variant("output")
    shape = Shape(8, 2, form.lanes, form.scratch)
    for literal in (1.0, 2.0, 3.0):
        text = form.source.text.replace("sigmoid(total)", f"number({literal})")
        source = replace(form.source, text=text, digest=f"{literal:064.0f}")
        direct = Direct([build.row(source)], form.k, form.n, shape, Reach())
        assert direct.row(ROWS[0], None).tolist() == [literal, literal]
    assert len({each.key for each in store.entries() if each.about["form"] == "row"}) == 4


# -- damage --------------------------------------------------------------------------------------


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def flipped(content: bytes) -> bytes:
    at = len(content) - 700
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def pickled(content: bytes) -> bytes:
    return b"\x80\x04cos\nsystem\n(S'touch hit'\ntR."


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, pickled])
def test_damaged_entries_are_compiled_again_and_replaced(store, monkeypatch, caplog, damage):
    first, made = compilations(dense(8, 5, 2))
    good = {path: path.read_bytes() for path in Path(store.path).iterdir()}
    for path, content in good.items():
        path.write_bytes(damage(content))
    forget(monkeypatch)
    second, again = compilations(dense(8, 5, 2))
    assert again == made == 2
    assert np.array_equal(first.predict(ROWS), second.predict(ROWS))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    forget(monkeypatch)
    assert compilations(dense(8, 5, 2))[1] == 0


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"functions": 5, "needs": []},
        {"functions": {"tiles": "nowhere"}, "needs": []},
        {"functions": {"tiles": "instjit"}, "needs": ["no_such_symbol_anywhere"]},
        {"functions": {"tiles": "instjit"}, "needs": ["instjit_at_no_such_function"]},
        {"functions": {"tiles": "instjit"}, "needs": None},
    ],
)
def test_an_entry_that_does_not_fit_is_a_miss(store, monkeypatch, caplog, about) -> None:
    kernel, _ = compilations(dense(8, 5, 2))
    key = identity.key(kernel.source.digest, "tiles")
    entry = store.load(key)
    store.save(key, type(entry)(about, entry.content))
    forget(monkeypatch)
    again, made = compilations(dense(8, 5, 2))
    assert made == 1
    assert "does not fit" in caplog.text
    assert np.array_equal(kernel.predict(ROWS), again.predict(ROWS))


@pytest.mark.parametrize("path", ["/proc/instjit/store", "/dev/null", "/dev/null/store"])
def test_without_a_place_to_write_everything_works(path) -> None:
    numba, found = run(path)
    assert numba
    assert len(found) == 5


def test_a_program_is_not_run_a_second_time(tmp_path, filled) -> None:
    """Numba's own cache imports the script that its functions say they are from."""
    script = tmp_path / "script.py"
    script.write_text(f"print('once')\n{PROGRAM}")
    for _ in range(2):
        text = output(tmp_path / "store", f"exec(open({str(script)!r}).read())")
        assert text.count("once") == 1


# -- what the code depends on --------------------------------------------------------------------


def test_the_emitting_modules_are_all_that_code_follows_from() -> None:
    """Every module that those which write machine code import is in the digest."""
    from test_architecture import LATE, MODULES, TREES, imported

    seen: set[str] = set()
    apart = {"constants", "range_functions"}  # for the user's code and for libraries: never stored
    front = [f"instjit.kernels.{name}" for name in LATE if name not in apart]
    while front:
        name = front.pop()
        if name not in seen:
            seen.add(name)
            front += imported(TREES[name])
    messages = {"instjit.errors", "instjit.counted"}
    known = {f"instjit.{name}" for name in identity.BESIDE} | messages
    assert {name for name in seen if not name.startswith("instjit.kernels")} <= known
    assert all((identity.HERE / MODULES[n].name).exists() for n in seen if ".kernels." in n)


@pytest.mark.parametrize("changed", ["gemm.py", "native.py", "functions.py"])
def test_a_changed_module_changes_the_key_and_what_it_made_is_not_kept(
    store, tmp_path, monkeypatch, changed
) -> None:
    before = identity.key("0", "tiles")
    assert identity.unchanged()
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: real(path) + b"#" * (path.name == changed))
    assert not identity.unchanged()
    instjit.compile(dense(8, 5, 2))  # this process runs the modules as they were
    assert not Path(store.path).exists()
    identity._installed.cache_clear()
    try:
        assert identity.key("0", "tiles") != before
    finally:
        identity._installed.cache_clear()


KEY = """
import sys
from instjit.kernels import identity, target
level = target.detect().name
print("numba" in sys.modules, level, identity.key("0", "tiles"))
"""
BESIDE_NUMBA = KEY.replace("level =", "import numba; level =")


@pytest.fixture(scope="module")
def plain_key() -> str:
    return run("off", KEY)[1][1]


@pytest.mark.parametrize(
    ("setting", "same"),
    [
        ({}, True),
        ({"NUMBA_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}, True),
        ({"NUMBA_OPT": "1"}, False),
        ({"NUMBA_CPU_NAME": "generic"}, False),
        ({"NUMBA_CPU_FEATURES": "+avx2,+fma"}, False),
        ({"NUMBA_ENABLE_AVX": "0"}, False),
    ],
)
def test_settings_of_numba_are_in_the_key_whether_it_is_loaded_or_not(plain_key, setting, same):
    _, (level, key) = run("off", KEY, **setting)
    assert (key == plain_key) is same
    assert run("off", BESIDE_NUMBA, **setting) == (True, [level, key])
    if setting.get("NUMBA_CPU_NAME") == "generic":
        assert level == "generic"


SET = """
import os, sys
import numba
from numba.core import config
from instjit.kernels import identity
{before}
key = identity.key("0", "tiles")
config.reload_config()  # the first thing that a compilation does
print(int(config.OPT), config.LOOP_VECTORIZE, identity.key("0", "tiles") == key, key)
"""

SETTINGS = {
    "nothing": ("", {}, "3 1"),
    "the program": ("config.OPT = 1", {}, "1 1"),
    "the program, another": ("config.LOOP_VECTORIZE = 0", {}, "3 0"),
    "the environment": ("", {"NUMBA_OPT": "1"}, "1 1"),
    "the environment, late": ("os.environ['NUMBA_OPT'] = '1'", {}, "1 1"),
    "the environment, then the program": ("config.OPT = 3", {"NUMBA_OPT": "1"}, "3 1"),
    "the environment, no more": ("del os.environ['NUMBA_OPT']", {"NUMBA_OPT": "1"}, "3 1"),
    "the program, then the environment": (
        "config.OPT = 0; os.environ['NUMBA_LOOP_VECTORIZE'] = '0'", {}, "3 0"
    ),
    "what changes no code": (
        "config.THREADING_LAYER = 'omp'; config.NUMBA_NUM_THREADS = 1", {}, "3 1"
    ),
}  # fmt: skip
LIKE = {
    "the environment, late": "the environment",
    "the environment, no more": "nothing",
    "what changes no code": "nothing",
}
"""Those that have the key of another, which it can be loaded by."""


def test_what_a_compilation_uses_is_in_the_key_whoever_has_set_it() -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("NUMBA_")}
    keys = {}
    for name, (before, environment, used) in SETTINGS.items():
        done = subprocess.run(
            [sys.executable, "-c", SET.format(before=before)],
            env={**clean, **environment}, cwd=Path(__file__).parents[1],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found, keys[name] = done.stdout.strip().rsplit(" ", 1)
        assert (name, found) == (name, f"{used} True")
    for name, like in LIKE.items():
        assert keys[name] == keys[like], name
    others = [key for name, key in keys.items() if name not in LIKE]
    assert len(set(others)) == len(others)


def test_a_setting_that_a_program_has_changed_back_changes_nothing(monkeypatch) -> None:
    from numba.core import config

    before = identity.key("0", "tiles")
    with monkeypatch.context() as patch:
        patch.setattr(config, "OPT", 0)
        assert identity.key("0", "tiles") != before
    assert identity.key("0", "tiles") == before


def test_structure_and_form_are_in_the_key() -> None:
    assert len({identity.key(s, f) for s in ("0", "1") for f in ("tiles", "row")}) == 4


# -- symbols -------------------------------------------------------------------------------------


def test_code_that_needs_what_only_numba_has_is_not_kept() -> None:
    code = objects.ObjectCode({}, ("memcpy", "instjit_at_None"), b"")
    assert objects.lasting(code)
    assert not objects.lasting(objects.ObjectCode({}, ("memcpy", "NRT_Allocate"), b""))
    assert not objects.lasting(objects.ObjectCode({}, None, b""))


def test_missing_symbols_are_told_before_llvm_ends_the_process() -> None:
    with pytest.raises(objects.Unresolved, match="no_such_symbol"):
        objects.loaded(objects.ObjectCode({}, ("no_such_symbol",), b""))


def test_kernels_need_the_c_library_alone(store) -> None:
    instjit.compile(dense(8, 20_000, 3))
    needs = {name for each in store.entries() for name in each.about["needs"]}
    assert needs
    assert all(
        name.startswith(objects.PREFIX) or hasattr(ctypes.CDLL(None), name) for name in needs
    )


def test_dump_works_beside_the_store(store, monkeypatch) -> None:
    kernel, _ = compilations(dense(8, 5, 2))
    forget(monkeypatch)
    again, _ = compilations(dense(8, 5, 2))
    assert "define" in again.dump("llvm")
    assert again.dump("asm").count("ret") == kernel.dump("asm").count("ret") > 0


# -- the command line ----------------------------------------------------------------------------


def instjit_store(folder: Path | str, *words: str) -> str:
    program = f"import sys; from instjit.cli import main; sys.exit(main({['store', *words]!r}))"
    return output(folder, program)


def test_the_command_line_lists_and_clears(filled, tmp_path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(filled[0], folder)
    assert instjit_store(folder, "path") == f"{folder}\n"
    facts = json.loads(instjit_store(folder, "list", "--json"))
    assert facts["path"] == str(folder)
    assert len(facts["entries"]) == 6
    assert facts["bytes"] == sum(each["bytes"] for each in facts["entries"])
    assert set(facts["entries"][0]) == {"key", "form", "structure", "bytes", "used"}
    assert "6 entries" in instjit_store(folder, "list")
    assert "6 entries removed" in instjit_store(folder, "clear")
    assert json.loads(instjit_store(folder, "clear", "--json"))["entries"] == 0


@pytest.mark.parametrize("folder", ["off", "/no/such/folder"])
def test_the_command_line_without_a_store(folder) -> None:
    assert instjit_store(folder, "path") == f"{folder}\n"
    assert json.loads(instjit_store(folder, "list", "--json"))["entries"] == []
    assert "0 entries" in instjit_store(folder, "clear")


def test_source_is_not_part_of_what_is_kept(store) -> None:
    kernel, _ = compilations(dense(8, 5, 2))
    assert isinstance(kernel.source, Source)
    assert not any(b"gemm(" in path.read_bytes() for path in Path(store.path).iterdir())
