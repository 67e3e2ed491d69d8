"""One class a runtime: built from a net, bound to an input and an output, then run.

Whatever can be prepared once (views, bindings, intermediates) is prepared in ``bind``, so that a
run holds nothing but the runtime's own work. ``__init__`` raises ImportError where the library is
missing, and DoesNotApply where it cannot express the net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from bench import numpy_net
from bench.jobs import Float32
from bench.models import model
from bench.nets import Net
from bench.operations import Dense


class DoesNotApply(Exception):
    """The runtime has no means to compute this net."""


@dataclass(frozen=True)
class Setting:
    """Threads of a call, calls at a time (each on its part of the rows), and what else differs."""

    threads: int
    workers: int = 1
    hint: str = ""

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        parallel = f"{self.workers} x " if self.workers > 1 else ""
        return f"{parallel}{threads}{', ' * bool(self.hint)}{self.hint}"


@dataclass(frozen=True)
class Bound:
    """``run`` does the work; ``finish``, which is not timed, sees that ``out`` holds the result.

    A runtime that cannot write to the caller's memory keeps its own array where one call makes all
    of it, and copies the parts where several do.
    """

    run: Callable[[], object]
    finish: Callable[[], object] = lambda: None


class Peer(Protocol):
    """What the worker asks of a runtime; ``chunked`` says that smaller batches may help it."""

    chunked: ClassVar[bool]
    version: str

    def __init__(self, net: Net, setting: Setting) -> None: ...

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        """What is worth trying for batches of that size."""
        ...

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        """Return what fills ``out`` from ``x``, ``chunk`` rows at a time."""
        ...


def thread_settings(threads: int, *hints: str) -> list[Setting]:
    """One thread, and all of them in one call."""
    counts = sorted({1, threads})
    return [Setting(count, hint=hint) for hint in hints or ("",) for count in counts]


def parallel_settings(threads: int, rows: int, *hints: str) -> list[Setting]:
    """These, and as many calls at a time as there are threads."""
    several = [Setting(1, threads)] if threads > 1 and rows >= 2 * SHORTEST else []
    return [*thread_settings(threads, *hints), *several]


SHORTEST = 64  # rows that a call in parallel with others should have


def blocks(x: Float32, out: Float32, chunk: int) -> Iterator[tuple[Float32, Float32]]:
    """Views of ``chunk`` rows of both, the last one shorter where need be."""
    for start in range(0, len(x), chunk):
        yield x[start : start + chunk], out[start : start + chunk]


class Instjit:
    """``kernel.predict`` for a batch, ``kernel.row`` for single rows.

    ``precision`` is the argument of ``instjit.compile``. The kernel itself decides how many of
    its threads a batch is worth.
    """

    chunked = False
    precision = "float32"

    def __init__(self, net: Net, setting: Setting) -> None:
        import instjit

        self.version = instjit.__version__
        self._hint = setting.hint
        options: Any = {"threads": setting.threads, "precision": self.precision}
        try:
            self._kernel = instjit.compile(model(net), **options)
        except instjit.CompileError as error:
            raise DoesNotApply(str(error)) from error

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        calls = ("row", "predict") if rows == 1 else ("",)
        return [Setting(threads, hint=call) for call in calls]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        kernel = self._kernel
        if len(x) > 1 and chunk > 1:
            return Bound(lambda: kernel.predict(x, out=out))
        if self._hint == "predict":
            return Bound(lambda: kernel.predict(x, out=out))
        row = kernel.row
        if self._hint == "new array":
            return Bound(call_each(row, list(x)))
        rows = list(zip(x, out, strict=True))

        def run() -> None:
            for source, target in rows:
                row(source, out=target)

        return Bound(run)


def call_each(function: Callable[[Any], object], rows: list[Any]) -> Callable[[], None]:
    """One call a row, results dropped."""

    def run() -> None:
        for row in rows:
            function(row)

    return run


class Numpy:
    """BLAS products and elementwise functions into arrays kept between runs."""

    chunked = True
    version = np.__version__

    def __init__(self, net: Net, setting: Setting) -> None:
        limit_pools(setting.threads)
        self._net, self._steps = net, numpy_net.steps(net)

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        chunk = min(chunk, len(x))
        widths = self._net.widths()[1:-1]
        inner = [np.empty((chunk, width), np.float32) for width in widths]
        parts = []
        for source, target in blocks(x, out, chunk):
            values = [source, *(array[: len(source)] for array in inner), target]
            parts.append((values, list(zip(self._steps, values[1:], strict=True))))

        def run() -> None:
            for values, steps in parts:
                for step, target in steps:
                    step(values, target)

        return Bound(run)


class ScikitLearn:
    """``MLPRegressor.predict`` with the net's weights, for chains of dense layers."""

    chunked = True
    names: ClassVar = {"RELU": "relu", "TANH": "tanh", "SIGMOID": "logistic", None: "identity"}

    def __init__(self, net: Net, setting: Setting) -> None:
        import sklearn
        from sklearn.neural_network import MLPRegressor

        self.version = sklearn.__version__
        limit_pools(setting.threads)
        layers = [op for op in net.operations if isinstance(op, Dense)]
        inner = {layer.activation for layer in layers[:-1]}
        if len(layers) < len(net.operations) or len(inner) > 1:
            raise DoesNotApply("MLPRegressor has dense layers of one activation only")
        self._regressor = MLPRegressor(
            hidden_layer_sizes=[layer.width for layer in layers[:-1]],
            activation=self.names[inner.pop()] if inner else "identity",
        )
        last = layers[-1].activation
        for name, value in {
            "coefs_": [np.ascontiguousarray(layer.weights.T) for layer in layers],
            "intercepts_": [layer.bias for layer in layers],
            "n_layers_": len(layers) + 1,
            "n_outputs_": net.outputs,
            "n_features_in_": net.width,
            "out_activation_": "softmax" if last == "SOFTMAX" else self.names[last],
        }.items():
            setattr(self._regressor, name, value)

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        return copied(self._regressor.predict, list(blocks(x, out, chunk)), np.asarray)


def copied(
    function: Callable[[Any], Any],
    parts: list[tuple[Any, Float32]],
    array: Callable[[Any], Any],
) -> Bound:
    """Bind a function that makes arrays: their parts are copied, an only one is kept till asked."""
    if len(parts) > 1:

        def run() -> None:
            for source, target in parts:
                target[:] = array(function(source)).reshape(target.shape)

        return Bound(run)
    ((source, target),) = parts
    kept: list[Any] = [None]

    def run_once() -> None:
        kept[0] = array(function(source))

    def finish() -> None:
        target[:] = kept[0].reshape(target.shape)

    return Bound(run_once, finish)


def limit_pools(threads: int) -> None:
    """Give BLAS and OpenMP pools so many threads, where threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(threads)
