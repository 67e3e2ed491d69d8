"""A forked child predicts on threads of its own, also while its parent's are at work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading, warnings
import numpy as np
import instjit
from instjit import launch, threads
warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads
threads.available = lambda: 2
launch.PARALLEL_SECONDS = 0.0
weights = np.random.default_rng(0).normal(size=(16, 8))
model = instjit.Model([8, 16], [instjit.Dot(0, 1, weights=0, activation="TANH")],
                      weights=[weights], feature_size=8)
rows = np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32)
kernel = instjit.compile(model)
before = kernel.predict(rows)
child = os.fork()
if child == 0:
    same = all(np.array_equal(kernel.predict(rows), before) for _ in range(50))
    same &= sum(each.name.startswith("instjit") for each in threading.enumerate()) == 1
    again = instjit.compile(model).predict(rows[:70], threads=2)
    os._exit(0 if same and np.array_equal(again, before[:70]) else 3)
_, status = os.waitpid(child, 0)
assert np.array_equal(kernel.predict(rows), before)
print(os.waitstatus_to_exitcode(status))
"""


BUSY = PROGRAM.replace(
    "child = os.fork()",
    """stop = threading.Event()
def work():
    while not stop.is_set():
        assert np.array_equal(kernel.predict(rows), before)
others = [threading.Thread(target=work) for _ in range(3)]
for other in others: other.start()
child = os.fork()""",
).replace("_, status", "stop.set()\nfor other in others: other.join()\n_, status")


WIDE = PROGRAM.replace(
    "kernel = instjit.compile(model)",
    """from instjit.kernels import gemm_choices
gemm_choices.WIDE_FLOATS = gemm_choices.WIDE_ROW_FLOATS = 1
kernel = instjit.compile(model)
assert kernel._direct.wide
row = kernel.row(rows[0])""",
    1,
).replace("    same &=", "    same &= np.array_equal(kernel.row(rows[0]), row)\n    same &=")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("program", [PROGRAM, BUSY, WIDE], ids=["idle", "busy", "wide row"])
def test_a_child_forked_after_a_parallel_predict_gives_the_same_bits(program: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["0"]
