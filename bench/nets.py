"""The nets of the race, from a seed: narrow, wide, long, and one for every kind of instruction."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from bench.jobs import Float32
from bench.operations import (
    Activate,
    Affine,
    Attention,
    Clip,
    Concatenate,
    Dense,
    Embed,
    Heads,
    Join,
    Operation,
    Pick,
    Sum,
)


@dataclass(frozen=True, eq=False)
class Net:
    """Operations on an input of ``width`` columns; the last one makes the output.

    ``ids`` says which columns hold integers, and below which bound.
    """

    name: str
    width: int
    operations: tuple[Operation, ...]
    ids: tuple[tuple[int, int], ...] = ()

    @property
    def outputs(self) -> int:
        return self.operations[-1].width

    @property
    def flops(self) -> int:
        """Multiplications and additions of the products of one row."""
        products = (op for op in self.operations if isinstance(op, Dense | Attention))
        return sum(2 * prod(op.weights.shape) for op in products)

    @property
    def bytes(self) -> int:
        """Bytes of one row of input and output."""
        return 4 * (self.width + self.outputs)

    @property
    def work(self) -> int:
        """Operations of one row: of its products or, where they are few, on what moves."""
        return max(self.flops, 8 * self.bytes)

    def widths(self) -> list[int]:
        """Columns of every value, the input's first."""
        return [self.width, *(op.width for op in self.operations)]

    def inputs(self, rows: int, seed: int) -> Float32:
        """``(rows, width)`` normal figures, integers in the columns that ``ids`` names."""
        random = np.random.default_rng(seed)
        x = random.standard_normal((rows, self.width), dtype=np.float32)
        for column, bound in self.ids:
            x[:, column] = random.integers(-1, bound + 1, rows)  # a few have no entry
        return x


class Sketch:
    """Operations as they are added; every method returns the number of the value it makes."""

    def __init__(self, name: str, width: int) -> None:
        self._random = np.random.default_rng(zlib.crc32(name.encode()))
        self._name, self._widths = name, [width]
        self._operations: list[Operation] = []
        self._ids: list[tuple[int, int]] = []

    def net(self) -> Net:
        return Net(self._name, self._widths[0], tuple(self._operations), tuple(self._ids))

    def dense(self, x: int, outputs: int, activation: str | None = None) -> int:
        weights = self._matrix(outputs, self._widths[x], 2 if activation == "RELU" else 1)
        return self._add(Dense(x, weights, self._normal(outputs, scale=0.1), activation))

    def activate(self, x: int, activation: str) -> int:
        return self._add(Activate(x, activation, self._widths[x]))

    def join(self, kind: str, *values: int) -> int:
        return self._add(Join(kind, values, self._widths[values[0]]))

    def affine(self, kind: str, x: int) -> int:
        return self._add(Affine(kind, x, self._normal(self._widths[x])))

    def clip(self, x: int, bound: float) -> int:
        high = np.full(self._widths[x], bound, np.float32)
        return self._add(Clip(x, -high, high))

    def heads(self, kind: str, x: int, heads: int) -> int:
        return self._add(Heads(kind, x, heads, self._widths[heads], self._widths[x]))

    def attention(self, query: int, key: int) -> int:
        weights = self._matrix(self._widths[query], self._widths[key], 1)
        bias = self._normal(self._widths[query], scale=0.1)
        return self._add(Attention(query, key, weights, bias))

    def sum(self, x: int) -> int:
        return self._add(Sum(x))

    def concatenate(self, *values: int) -> int:
        return self._add(Concatenate(values, sum(self._widths[value] for value in values)))

    def pick(self, x: int, columns: range) -> int:
        return self._add(Pick(x, tuple(columns)))

    def embed(self, column: int, bound: int, size: int, entries: int | None = None) -> int:
        """A table of ``entries`` of the keys below ``bound`` (all of them by default)."""
        chosen = self._random.permutation(bound)[: entries or bound]
        keys = tuple(sorted(int(key) for key in chosen))
        self._ids.append((column, bound))
        values = self._normal(len(keys), size)
        return self._add(Embed(0, column, keys, values, self._normal(size)))

    def _add(self, operation: Operation) -> int:
        self._operations.append(operation)
        self._widths.append(operation.width)
        return len(self._operations)

    def _normal(self, *shape: int, scale: float = 1.0) -> Float32:
        return (scale * self._random.standard_normal(shape)).astype(np.float32)

    def _matrix(self, outputs: int, inputs: int, gain: int) -> Float32:
        return self._normal(outputs, inputs, scale=float(np.sqrt(gain / inputs)))


def chain(*widths: int, inner: str = "RELU", last: str = "SIGMOID", name: str = "") -> Net:
    """Dense layers of those widths, the first being the input."""
    sketch, value = Sketch(name or "-".join(map(str, widths)), widths[0]), 0
    for place, width in enumerate(widths[1:], 2):
        value = sketch.dense(value, width, last if place == len(widths) else inner)
    return sketch.net()


def attention(width: int = 64) -> Net:
    """A softmax gate between two halves of the input, then a layer."""
    sketch = Sketch("attention", 2 * width)
    query = sketch.pick(0, range(width))
    key = sketch.pick(0, range(width, 2 * width))
    sketch.dense(sketch.attention(query, key), max(1, width // 4))
    return sketch.net()


def heads(width: int = 256, count: int = 8) -> Net:
    """Numbers that the row itself decides, multiplied and added head by head."""
    sketch = Sketch("heads", width)
    scale, shift = sketch.dense(0, count, "SIGMOID"), sketch.dense(0, count, "TANH")
    sketch.heads("add", sketch.heads("multiply", 0, scale), shift)
    return sketch.net()


def softmax(width: int = 256) -> Net:
    sketch = Sketch(f"softmax over {width}", width)
    sketch.activate(0, "SOFTMAX")
    return sketch.net()


def embeddings(ids: int = 1000, numbers: int = 13) -> Net:
    """Three id columns and some numbers into a small net."""
    sketch = Sketch("embeddings", 3 + numbers)
    tables = [sketch.embed(0, ids, 16), sketch.embed(1, 50 * ids, 8), sketch.embed(2, 10, 4)]
    columns = sketch.pick(0, range(3, 3 + numbers))
    sketch.dense(sketch.dense(sketch.concatenate(*tables, columns), 64, "RELU"), 1, "SIGMOID")
    return sketch.net()


def lookups(bound: int = 20_000, entries: int = 300) -> Net:
    """Four sparse tables of one number, and nothing else."""
    sketch = Sketch("lookups", 4)
    sketch.concatenate(*(sketch.embed(column, bound, 1, entries) for column in range(4)))
    return sketch.net()


def elementwise(width: int = 100_000) -> Net:
    """``relu(clip(x * a + b) * x)``."""
    sketch = Sketch(f"elementwise over {width:,}", width)
    bounded = sketch.clip(sketch.affine("add", sketch.affine("multiply", 0)), 1.5)
    sketch.activate(sketch.join("multiply", bounded, 0), "RELU")
    return sketch.net()


def everything(width: int = 64) -> Net:
    """A model with all of them."""
    sketch = Sketch("all of them", 42)
    tables = sketch.embed(0, 1000, 16), sketch.embed(1, 20_000, 8, 300)
    numbers = sketch.affine("multiply", sketch.pick(0, range(2, 42)))
    numbers = sketch.clip(sketch.affine("add", numbers), 3)
    value = sketch.dense(sketch.concatenate(*tables, numbers), width, "RELU")
    headed = sketch.heads("multiply", value, sketch.dense(value, 8, "SIGMOID"))
    headed = sketch.heads("add", headed, sketch.dense(value, 4, "TANH"))
    gated = sketch.attention(headed, value)
    joined = sketch.join("add", gated, headed, value)
    product = sketch.join("multiply", joined, gated)
    sketch.activate(
        sketch.dense(sketch.concatenate(joined, product, sketch.sum(headed)), 10), "SOFTMAX"
    )
    return sketch.net()


NETS: dict[str, Callable[[], Net]] = {
    "4-8-6-1": lambda: chain(4, 8, 6, 1),
    "20-64-32-1": lambda: chain(20, 64, 32, 1),
    "32-64-64-8": lambda: chain(32, 64, 64, 8, inner="TANH", last="SOFTMAX"),
    "40-300-32-2": lambda: chain(40, 300, 32, 2),
    "250-300-200": lambda: chain(250, 300, 200),
    "2-10000-10": lambda: chain(2, 10_000, 10),
    "1024-1024-1024": lambda: chain(1024, 1024, 1024),
    "20 layers of 16": lambda: chain(*[16] * 21, name="20 layers of 16"),
    "attention": attention,
    "heads": heads,
    "softmax over 256": softmax,
    "embeddings": embeddings,
    "lookups": lookups,
    "elementwise over 100,000": elementwise,
    "all of them": everything,
}
"""Made on use: the largest holds 8 MB."""

BATCHES = (1, 64, 4096, 200_000)
SINGLE = {"8-16-1": lambda: chain(8, 16, 1), "250-300-200": NETS["250-300-200"]}
"""Nets for one call a row."""
