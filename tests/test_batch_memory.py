"""A long batch takes no memory beyond its rows, its outputs and a tile of scratch a thread."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import resource, sys
import numpy as np
sys.path.insert(0, "tests")
from nets import dense
import instjit

widths, rows = eval(sys.argv[1]), int(sys.argv[2])
kernel = instjit.compile(dense(*widths))
x = np.ones((rows, widths[0]), np.float32)
out = np.ones((rows, widths[-1]), np.float32)
small = x[:5000].copy()
kernel.predict(small)  # Numba's threads and their stacks are there
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernel.predict(x, out=out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("widths", "rows"), [((20, 64, 32, 1), 2_000_000), ((2, 3000, 10), 100_000)]
)
def test_memory_beyond_rows_and_outputs_is_a_few_tiles(widths, rows) -> None:
    """A tile's scratch is at most half of the second-level cache, 0.5 MiB."""
    words = [sys.executable, "-c", CHILD, repr(widths), str(rows)]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(found.stdout) <= 4 * 1024  # KiB
