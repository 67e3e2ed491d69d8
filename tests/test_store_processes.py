"""Many processes with one store: those that compile at once, and those that are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nets import dense
from stored_kernels import environment, output

import instjit
from instjit.store import Store

NETS = [(8, 5, 2), (8, 16, 1), (8, 4, 4, 3), (8, 9)]

COMPILE = """
import numpy as np
import instjit
from nets import dense
rows = np.random.default_rng(1).normal(size=(70, 8)).astype(np.float32)
def results(nets):
    kernels = [instjit.compile(dense(*net)) for net in nets]
    return [kernel.predict(rows).tobytes() + kernel.row(rows[0]).tobytes() for kernel in kernels]
"""

TOGETHER = COMPILE + "print(*(each.hex() for each in results({nets})))"

KILLED = (
    COMPILE
    + """
import os, random, signal, sys, time
from instjit.kernels import compiling, native, kept, build
from instjit.kernels.recent import Recent
from instjit.store import current
random.seed({seed})
nets = {nets}
os.environ["INSTJIT_STORE"] = "off"
def forget():
    kept._codes = Recent(4)
    build.entry.cache_clear()
    build.workers.cache_clear()
wanted = results(nets)
forget()
patience = 60.0
for _ in range(3):
    begin = time.perf_counter()
    results(nets)
    patience = min(patience, time.perf_counter() - begin)
    forget()
os.environ["INSTJIT_STORE"] = {folder!r}
def child(work):
    number = os.fork()
    if number == 0:
        forget()
        os._exit(0 if work() else 1)
    return number
killed = 0
for point in range({points}):
    if point % 4 and os.path.isdir({folder!r}):
        current().clear()
    number = child(lambda: results(nets) == wanted)
    time.sleep(random.random() * patience)
    os.kill(number, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(number, 0)[1])
    if point % {check} == 0:
        assert os.waitpid(child(lambda: results(nets) == wanted), 0)[1] == 0, point
assert os.waitpid(child(lambda: results(nets) == wanted), 0)[1] == 0
print(killed)
"""
)

WRITING = """
import os, random, signal, time
from instjit.store import Entry, Store
random.seed(3)
place = Store({folder!r}, 3_000_000)
for point in range({points}):
    number = os.fork()
    if number == 0:
        while True:
            for digit in "0123":
                place.save(digit * 64, Entry({{"digit": digit}}, digit.encode() * 400_000))
    time.sleep(0.01 + random.random() * 0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    for digit in "0123":
        entry = place.load(digit * 64)
        assert entry is None or entry.content == digit.encode() * 400_000
"""


def expected(nets) -> list[str]:
    rows = np.random.default_rng(1).normal(size=(70, 8)).astype(np.float32)
    outputs = [instjit.reference.run(dense(*net), rows) for net in nets]
    return [(each.tobytes() + each[0].tobytes()).hex() for each in outputs]


def together(folder: Path, processes: int, nets: list[tuple[int, ...]]) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER.format(nets=nets)],
            env=environment(folder),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    said = [each.communicate(timeout=600)[0].split() for each in started]
    assert [each.returncode for each in started] == [0] * processes
    assert said == [expected(nets)] * processes
    entries = Store(str(folder)).entries()
    assert len(entries) == 2 + 2 * len(nets)
    assert all(each.about for each in entries)
    assert len(list(folder.iterdir())) == len(entries)


def test_processes_that_compile_the_same_models_at_once_agree(tmp_path) -> None:
    together(tmp_path / "store", 3, NETS[:2])


@pytest.mark.store
def test_sixteen_processes_compile_the_same_four_models(tmp_path) -> None:
    for number in range(5):
        together(tmp_path / f"store{number}", 16, NETS)


@pytest.mark.parametrize(
    ("points", "check"), [(6, 5), pytest.param(200, 10, marks=pytest.mark.store)]
)
def test_a_store_survives_kills_at_any_moment_of_a_compilation(tmp_path, points, check) -> None:
    folder = tmp_path / "store"
    program = KILLED.format(
        seed=points, nets=NETS[:1], folder=str(folder), points=points, check=check
    )
    assert int(output("off", program, seconds=100 + 5 * points)) > points // 3
    assert all(each.about for each in Store(str(folder)).entries())


@pytest.mark.parametrize("points", [20, pytest.param(500, marks=pytest.mark.store)])
def test_a_store_survives_kills_while_it_is_written(tmp_path, points) -> None:
    output("off", WRITING.format(folder=str(tmp_path / "store"), points=points))
    assert all(each.about for each in Store(str(tmp_path / "store")).entries())
