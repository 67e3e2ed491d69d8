"""Random models that are always valid: every instruction, odd widths, aliasing, partial writes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import instjit as ij
from instjit.ops import Activation

WIDEST = 70
ABRUPT = {Activation.SQRT, Activation.SIGN, Activation.EXP}
"""Activations that turn a small error into a large one; left out of smooth models."""
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, -1e-45, 3e38, -3e38], np.float32)


def random_model(seed: int, *, smooth: bool = False) -> tuple[ij.Model, np.ndarray]:
    """A model and rows for it, the same for the same seed.

    ``smooth`` models can be compared with float64: no jumps, finite rows.
    """
    return _Maker(seed, smooth).make()


class _Maker:
    def __init__(self, seed: int, smooth: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.id_rng = np.random.default_rng((seed, 1))  # apart, so that it changes nothing else
        self.smooth = smooth
        self.activations = [a for a in Activation if not (smooth and a in ABRUPT)]
        self.sizes = [self.width() for _ in range(self.rng.integers(1, 4))]
        self.instructions: list[ij.Instruction] = []
        self.weights: list[np.ndarray] = []
        self.bias: list[np.ndarray] = []
        self.parameters: list[np.ndarray] = []
        self.maps: list[dict[int, np.ndarray]] = []
        self.map_sizes: list[int] = []
        self.ids: list[tuple[int, int, int]] = []  # buffer, slot in it, map
        self.idle: set[int] = set()  # buffers with a result that nothing has read
        self.builders: list[Callable[[], ij.Instruction]] = [
            self.dot,
            self.copy,
            self.copy_masked,
            self.activate,
            self.elementwise,
            self.clip,
            self.map_transform,
            self.join_buffers,
            self.heads,
            self.reduce_sum,
            self.attention,
        ]

    def make(self) -> tuple[ij.Model, np.ndarray]:
        leading = sum(self.sizes)
        for _ in range(self.rng.integers(1, 13)):
            builder = self.builders[self.rng.integers(len(self.builders))]
            instruction = builder()
            self.instructions.append(instruction)
            self.idle -= set(instruction.reads())
            self.idle.add(instruction.output)
        model = ij.Model(
            self.sizes,
            self.instructions,
            self.weights,
            self.bias,
            parameters=self.parameters,
            maps=self.maps,
            **self.naming(leading),
        )
        return model, self.rows(model.input_size)

    def naming(self, leading: int) -> dict[str, object]:
        choice = self.rng.integers(4)
        if choice == 0:
            return {"features": []}
        if choice == 1 and leading > 1:
            return {"features": ["first", f"rest[{leading - 1}]"], "feature_size": leading}
        if choice == 2:
            return {"features": [f"f{k}" for k in range(leading)]}
        return {"feature_size": leading}

    def rows(self, width: int) -> np.ndarray:
        count = int(self.rng.integers(1, 40))
        rows = self.rng.normal(0, 2, (count, width)).astype(np.float32)
        whole = self.rng.random(width) < 0.3
        rows[:, whole] = np.rint(rows[:, whole])
        if not self.smooth and self.rng.random() < 0.3:
            spots = self.rng.random(rows.shape) < 0.05
            rows[spots] = self.rng.choice(SPECIAL, int(spots.sum()))
        if not self.smooth:
            self.hit_keys(rows)
        return rows

    def hit_keys(self, rows: np.ndarray) -> None:
        """Half of the rows hit an entry of each map that reads the input."""
        for buffer, slot, number in self.ids:
            column, keys = sum(self.sizes[:buffer]) + slot, sorted(self.maps[number])
            if keys and column < rows.shape[1]:
                near = self.id_rng.choice(keys, len(rows))
                near = near + self.id_rng.uniform(-0.4, 0.4, len(rows))
                hit = self.id_rng.random(len(rows)) < 0.5
                rows[hit, column] = near[hit]

    def spread(self, keys: np.ndarray) -> np.ndarray:
        """As many keys, for one map in two far apart; each is a float32 that a row can hold."""
        if self.smooth or self.id_rng.random() < 0.5:
            return keys
        sizes = 2.0 ** self.id_rng.uniform(0, 30.9, len(keys))
        signs = self.id_rng.choice([-1, 1], len(keys))
        far = np.unique(np.rint(sizes * signs).astype(np.float32))
        return far if len(far) == len(keys) else keys

    # -- parts -------------------------------------------------------------------------------------

    def width(self) -> int:
        return int(self.rng.choice([1, 2, 3, 4, 6, 8, 16, self.rng.integers(1, WIDEST + 1)]))

    def any_buffer(self) -> int:
        return int(self.rng.integers(len(self.sizes)))

    def new_buffer(self, size: int) -> int:
        self.sizes.append(size)
        return len(self.sizes) - 1

    def output(self, size: int | None, reads: set[int], at_least: int = 1) -> int:
        """A buffer to overwrite: a new one, or one whose result has been read."""
        old = [
            buffer
            for buffer, width in enumerate(self.sizes)
            if (buffer not in self.idle or buffer in reads)
            and (width >= at_least if size is None else width == size)
        ]
        if old and self.rng.random() < 0.4:
            return int(self.rng.choice(old))
        return self.new_buffer(size or at_least + int(self.rng.integers(0, 5)))

    def matrix(self, outputs: int, inputs: int) -> int:
        same = [k for k, w in enumerate(self.weights) if w.shape == (outputs, inputs)]
        if same and self.rng.random() < 0.3:
            return same[0]
        scale = 1 / np.sqrt(inputs)
        self.weights.append(self.rng.normal(0, scale, (outputs, inputs)).astype(np.float32))
        self.bias.append(self.rng.normal(0, 0.3, outputs).astype(np.float32))
        return len(self.weights) - 1

    def vector(self, size: int, spread: float = 1.0) -> int:
        same = [k for k, v in enumerate(self.parameters) if len(v) in (1, size)]
        if same and self.rng.random() < 0.3:
            return same[-1]
        length = 1 if self.rng.random() < 0.25 else size
        self.parameters.append(self.rng.normal(0, spread, length).astype(np.float32))
        return len(self.parameters) - 1

    def activation(self) -> Activation:
        return self.activations[self.rng.integers(len(self.activations))]

    # -- instructions ------------------------------------------------------------------------------

    def dot(self) -> ij.Instruction:
        source = self.any_buffer()
        before = set(self.idle)
        self.idle.add(source)  # a product in place is refused
        target = self.output(None, set())
        self.idle = before
        weights = self.matrix(self.sizes[target], self.sizes[source])
        return ij.Dot(
            source, target, weights, None if self.rng.random() < 0.3 else self.activation()
        )

    def copy(self) -> ij.Instruction:
        source = self.any_buffer()
        size = self.sizes[source]
        target = self.output(None, {source}, at_least=size)
        return ij.Copy(source, target, int(self.rng.integers(self.sizes[target] - size + 1)))

    def copy_masked(self) -> ij.Instruction:
        source = self.any_buffer()
        size = self.sizes[source]
        target = self.output(None, {source})
        count = int(self.rng.integers(0, self.sizes[target] + 1))
        if self.rng.random() < 0.3 and count <= size:
            start = int(self.rng.integers(size - count + 1))
            indexes = range(start, start + count)
        else:
            indexes = self.rng.integers(-size, size, count).tolist()
        return ij.CopyMasked(source, target, tuple(indexes))

    def activate(self) -> ij.Instruction:
        return ij.Activate(self.any_buffer(), self.activation())

    def elementwise(self) -> ij.Instruction:
        kind = ij.AddElementwise if self.rng.random() < 0.5 else ij.MulElementwise
        buffer = self.any_buffer()
        return kind(buffer, self.vector(self.sizes[buffer]))

    def clip(self) -> ij.Instruction:
        buffer = self.any_buffer()
        bounds = [
            self.vector(self.sizes[buffer]) if self.rng.random() < 0.7 else None for _ in range(2)
        ]
        return ij.ClipElementwise(buffer, *bounds)

    def map_transform(self) -> ij.Instruction:
        source = self.any_buffer()
        if self.maps and self.rng.random() < 0.4:
            number = int(self.rng.integers(len(self.maps)))
        else:
            number = len(self.maps)
            size = int(self.rng.integers(1, 6))
            ids = self.rng.choice(np.arange(-4, 5), int(self.rng.integers(0, 8)), replace=False)
            self.maps.append({int(k): self.rng.normal(size=size) for k in self.spread(ids)})
            self.map_sizes.append(size)
        size = self.map_sizes[number]
        target = self.output(None, {source}, at_least=size)
        slot = int(self.rng.integers(self.sizes[source]))
        self.ids.append((source, slot, number))
        return ij.MapTransform(
            source,
            target,
            slot,
            int(self.rng.integers(self.sizes[target] - size + 1)),
            number,
            size,
            tuple(self.rng.normal(size=size)),
        )

    def join_buffers(self) -> ij.Instruction:
        size = self.sizes[self.any_buffer()]
        same = [buffer for buffer, width in enumerate(self.sizes) if width == size]
        inputs = tuple(int(b) for b in self.rng.choice(same, int(self.rng.integers(1, 5))))
        kind = (
            ij.AddElementwiseBuffers if self.rng.random() < 0.5 else ij.MultiplyElementwiseBuffers
        )
        return kind(inputs, self.output(size, set(inputs)))

    def heads(self) -> ij.Instruction:
        data = self.any_buffer()
        fitting = [b for b, width in enumerate(self.sizes) if self.sizes[data] % width == 0]
        heads = int(self.rng.choice(fitting))
        kind = ij.MultiplyBufferHeads if self.rng.random() < 0.5 else ij.AddBufferHeads
        return kind((data, heads), self.output(self.sizes[data], {data, heads}))

    def reduce_sum(self) -> ij.Instruction:
        source = self.any_buffer()
        return ij.ReduceSum(source, self.output(None, {source}))

    def attention(self) -> ij.Instruction:
        query, key = self.any_buffer(), self.any_buffer()
        size = self.sizes[query]
        target = self.output(size, {query, key})
        return ij.Attention(query, key, target, self.matrix(size, self.sizes[key]))
