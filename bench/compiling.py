"""``python -m bench.compiling``: seconds and memory to compile 10 to 3,000 instructions.

Every model is compiled in a process of its own, Numba's import included. ``text`` is all
before Numba (lowering, passes, layout, packing, emission), ``batches`` the form for a tile of rows,
``rows`` the form for one. Times are the processor's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from bench import memory
from bench.models import model
from bench.nets import Net, Sketch, chain

COUNTS = 10, 30, 100, 300, 1000, 3000
LEAST, MOST = 4, 67  # widths of unequal layers: 64 x 64 shapes
ACTIVATIONS = "RELU", "SIGMOID", "TANH"
WIDTH = 16


def equal(count: int) -> Net:
    """Layers that differ in their weights alone."""
    return chain(*[WIDTH] * (count + 1))


def unequal(count: int) -> Net:
    """Layers no two of which have the same shape."""
    random = np.random.default_rng(count)
    widths = range(LEAST, MOST + 1)
    following = {width: random.permutation(widths).tolist() for width in widths}
    sketch, value, width = Sketch("unequal", LEAST), 0, LEAST
    for number in range(count):
        width = following[width].pop()
        value = sketch.dense(value, width, ACTIVATIONS[number % len(ACTIVATIONS)])
    return sketch.net()


def mixed(count: int) -> Net:
    """Every kind of instruction in random order, on values of one width."""
    random = np.random.default_rng(count)
    sketch = Sketch("mixed", WIDTH)
    values = [0]
    for kind in random.integers(len(KINDS), size=count).tolist():
        other = values[random.integers(-min(4, len(values)), 0)]
        values.append(KINDS[kind](sketch, values[-1], other))
    return sketch.net()


KINDS: tuple[Callable[[Sketch, int, int], int], ...] = (
    lambda sketch, x, other: sketch.dense(x, WIDTH, "RELU"),
    lambda sketch, x, other: sketch.activate(x, "TANH"),
    lambda sketch, x, other: sketch.activate(x, "SOFTMAX"),
    lambda sketch, x, other: sketch.affine("multiply", x),
    lambda sketch, x, other: sketch.clip(x, 1.5),
    lambda sketch, x, other: sketch.join("add", x, other),
    lambda sketch, x, other: sketch.heads("multiply", x, sketch.dense(other, 4)),
    lambda sketch, x, other: sketch.attention(x, other),
    lambda sketch, x, other: sketch.pick(x, range(WIDTH - 1, -1, -1)),
    lambda sketch, x, other: sketch.join("add", x, sketch.embed(3, 20, WIDTH)),
)

SERIES: dict[str, Callable[[int], Net]] = {
    "20-64-32-1": lambda count: chain(20, 64, 32, 1),
    "equal": equal,
    "unequal": unequal,
    "mixed": mixed,
}


def measured(net: Net) -> dict[str, float]:
    """Seconds of each part and bytes of growth at the peak, of a process that is fresh."""
    from instjit.cost import cost
    from instjit.kernel import Kernel
    from instjit.kernels import target
    from instjit.passes import PASSES

    whole = model(net)
    cost(whole)
    memory.reset_peak()
    before = memory.resident() or 0
    marks = [time.process_time()]
    kernel = Kernel(whole, target.choose(None), None, PASSES)
    lines = kernel.source.text.count("\n")
    marks.append(time.process_time())
    kernel._variant("output").warm()
    marks.append(time.process_time())
    kernel.warm()
    marks.append(time.process_time())
    parts = dict(zip(("text", "batches", "rows"), np.diff(marks).tolist(), strict=True))
    growth = (memory.peak() or 0) - before
    instructions = len(whole.instructions)
    return {"instructions": instructions, "lines": lines, **parts, "bytes": growth}


HEADER = ("series", "instructions", "lines", "text", "batches", "rows", "all", "ms each", "MB")


def row(series: str, found: dict[str, float]) -> tuple[str, ...]:
    """A line of the table."""
    parts = [found["text"], found["batches"], found["rows"]]
    each = 1e3 * sum(parts) / found["instructions"]
    return (
        series,
        f"{found['instructions']:,.0f}",
        f"{found['lines']:,.0f}",
        *(f"{seconds:.2f} s" for seconds in (*parts, sum(parts))),
        f"{each:.1f}",
        f"{found['bytes'] / 1e6:.0f}",
    )


def apart(series: str, count: int) -> dict[str, float]:
    """``measured`` in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, series, count).result()


def _measured(series: str, count: int) -> dict[str, float]:
    os.environ["INSTJIT_STORE"] = "off"  # a second run would find the first one's code
    return measured(SERIES[series](count))


def main(argv: Sequence[str] | None = None) -> None:
    """Compile every model, print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.compiling", description=__doc__)
    parser.add_argument("--series", action="append", choices=list(SERIES), help="only these")
    parser.add_argument("--count", type=int, action="append", help="only so many instructions")
    options = parser.parse_args(argv)
    for line in (HEADER, ("---",) * len(HEADER)):
        print(f"| {' | '.join(line)} |")
    for series in options.series or SERIES:
        counts = (3,) if series == "20-64-32-1" else options.count or COUNTS
        for count in counts:
            print(f"| {' | '.join(row(series, apart(series, count)))} |", flush=True)


if __name__ == "__main__":
    main()
