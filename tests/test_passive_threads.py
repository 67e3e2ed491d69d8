"""Numba's pool waits asleep: spinning workers turn microseconds into milliseconds elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
import instjit
from instjit import threads
dot = instjit.Dot(0, 1, weights=0)
model = instjit.Model([2, 2], [dot], weights=[[[1, 2], [3, 4]]], feature_size=2)
threads.available = lambda: 2
kernel = instjit.compile(model)
kernel.predict([[1, 2]])
print(threads.layer(), os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.mark.parametrize(("given", "shown"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_compiling_starts_a_pool_that_sleeps_unless_the_user_says_otherwise(
    given: str | None, shown: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE"} | ({"OMP_WAIT_POLICY": given} if given else {})
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    layer, policy_after = result.stdout.split()
    if layer != "omp":
        pytest.skip(f"Numba uses the {layer} layer here")
    assert f"OMP_WAIT_POLICY = '{shown}'" in result.stderr
    assert policy_after == str(given)
