"""Torch as a peer: eager, through ``torch.compile``, and as a CUDA graph.

Its rows from the host go through page-locked memory, asynchronously and in turns on two streams, as
tuned programs do it: rows in ordinary memory are copied there first, rows that lie in page-locked
memory already ("pinned") travel from where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from bench.gpu_bounds import PRODUCTS
from bench.gpu_peer import HOST_PLACES, PLACES, Run, blocks
from bench.jobs import Layer

SLOTS = 2  # pieces under way at a time
MATMUL = {"tf32": "high"}
"""What ``set_float32_matmul_precision`` is given; "highest" where nothing is said."""

MOST_SHAPES = 64  # that torch.compile keeps code for, rather than falling back to eager


class Torch:
    """``addmm`` into arrays kept between runs, activations in place.

    In "bf16" weights and activations are bfloat16, rows and outputs float32 as for everybody.
    """

    pieces: tuple[int, ...] = (1, 2, 16, 128)
    places: tuple[str, ...] = PLACES

    def __init__(
        self, layers: tuple[Layer, ...], precision: str = "float32", device: str = "cuda"
    ) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise ImportError(f"torch {torch.__version__} sees no CUDA device")
        if precision not in PRODUCTS or precision == "bf16x3":
            raise ValueError(f"Torch has no precision {precision!r}")
        self.version = str(torch.__version__)
        self._device, self._precision = device, precision
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._layers = [
            (
                torch.tensor(layer.weights, device=device, dtype=self._dtype).t(),
                torch.tensor(layer.bias, device=device, dtype=self._dtype),
                torch.relu_ if layer.activation == "RELU" else torch.sigmoid_,
            )
            for layer in layers
        ]

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        import torch

        there = "cpu" if place in HOST_PLACES else self._device
        x, out = (torch.as_tensor(array, device=there) for array in (x, out))
        chunk = min(chunk, len(x))
        body = self._on_device if place == "device" else self._from_host
        run = body(x, out, chunk, place)

        def bound() -> None:
            torch.set_float32_matmul_precision(MATMUL.get(self._precision, "highest"))
            with torch.inference_mode():
                run()

        return bound

    def _on_device(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        step, parts = self._step(chunk), list(blocks(x, out, chunk))

        def run() -> None:
            for source, target in parts:
                step(source, target)

        return run

    def _from_host(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        parts = list(blocks(x, out, chunk))
        slots = [self._slot(x, out, chunk, place) for _ in range(SLOTS)]

        def run() -> None:
            waiting: list[Any] = [None] * SLOTS
            for number, (source, target) in enumerate(parts):
                slot = slots[number % SLOTS]
                slot.finish(waiting[number % SLOTS])
                slot.start(source, target)
                waiting[number % SLOTS] = target
            for number in range(len(parts), len(parts) + SLOTS):
                slots[number % SLOTS].finish(waiting[number % SLOTS])

        return run

    def _slot(self, x: Any, out: Any, chunk: int, place: str) -> _Slot:
        return _Slot(self._step(chunk), x, out, chunk, self._device, place == "host")

    def _step(self, chunk: int) -> Callable[[Any, Any], None]:
        import torch

        def empty(width: int) -> Any:
            return torch.empty((chunk, width), device=self._device, dtype=self._dtype)

        narrow = self._dtype != torch.float32
        taken = [empty(self._layers[0][0].shape[0])] if narrow else []
        kept = [empty(len(bias)) for _, bias, _ in self._layers]

        def step(x: Any, out: Any) -> None:
            value = taken[0][: len(x)].copy_(x) if narrow else x
            targets = [array[: len(x)] for array in kept]
            if not narrow:
                targets[-1] = out
            for (weights, bias, activate), target in zip(self._layers, targets, strict=True):
                torch.addmm(bias, value, weights, out=target)
                value = activate(target)
            if narrow:
                out.copy_(value)

        return step


class _Slot:
    """A piece's arrays on the device, where rows are copied from and outputs to, and a stream."""

    def __init__(self, step: Any, x: Any, out: Any, chunk: int, device: str, through: bool) -> None:
        import torch

        cuda = device == "cuda"
        shapes = [(chunk, array.shape[1]) for array in (x, out)]
        self._step = step
        self._there = [torch.empty(shape, device=device) for shape in shapes]
        self._held = [torch.empty(shape, pin_memory=cuda) for shape in shapes] if through else None
        self._stream = torch.cuda.Stream() if cuda else None
        if cuda:
            torch.cuda.synchronize()  # the weights are there before another stream reads them

    def start(self, source: Any, target: Any) -> None:
        import torch

        rows = len(source)
        x, y = (array[:rows] for array in self._there)
        if self._held is not None:
            source, target = self._held[0][:rows].copy_(source), self._held[1][:rows]
        with torch.cuda.stream(self._stream) if self._stream else nullcontext():
            x.copy_(source, non_blocking=True)
            self._step(x, y)
            target.copy_(y, non_blocking=True)

    def finish(self, target: Any) -> None:
        """Wait for the piece that went to ``target``, if any, and bring it there."""
        if target is None:
            return
        if self._stream:
            self._stream.synchronize()
        if self._held is not None:
            target.copy_(self._held[1][: len(target)])


class TorchCompile(Torch):
    """The same net through ``torch.compile``, which writes to ``out`` itself."""

    pieces = (1, 16)  # every size is compiled
    places = ("device",)

    def __init__(
        self, layers: tuple[Layer, ...], precision: str = "float32", device: str = "cuda"
    ) -> None:
        super().__init__(layers, precision, device)
        self._steps: dict[int, Callable[[Any, Any], None]] = {}

    def _step(self, chunk: int) -> Callable[[Any, Any], None]:
        if chunk not in self._steps:  # a size is bound again once it is found to be the fastest
            self._steps[chunk] = compiled(self._plain_step())
        return self._steps[chunk]

    def _plain_step(self) -> Callable[[Any, Any], None]:
        import torch

        def step(x: Any, out: Any) -> None:
            value = x.to(self._dtype)
            for weights, bias, activate in self._layers:
                value = torch.addmm(bias, value, weights)
                value = torch.relu(value) if activate is torch.relu_ else torch.sigmoid(value)
            out.copy_(value)

        return step


class TorchGraph(Torch):
    """The eager calls captured once as a CUDA graph: one launch a run, whatever the chunk."""

    places = ("device",)

    def _on_device(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        import torch

        eager = super()._on_device(x, out, chunk, place)
        return captured(eager, torch.inference_mode, MATMUL.get(self._precision, "highest"))


@dataclass(frozen=True)
class Replay:
    """A graph and what it was captured from.

    ``run`` keeps the arrays made before the capture: the graph writes to their memory, which is
    given to somebody else once they are gone.
    """

    graph: Any
    run: Run

    def __call__(self) -> None:
        self.graph.replay()


class TorchCompileGraph(TorchGraph, TorchCompile):
    """What ``torch.compile`` makes, captured as a CUDA graph.

    mode="reduce-overhead" captures graphs too, but none of a function that writes to its argument,
    and it copies the rows into memory of its own.
    """


def captured(run: Run, mode: Callable[[], Any], matmul: str = "highest") -> Run:
    """The replay of a graph of what ``run`` queues, warmed up on a stream of its own as asked."""
    import torch

    torch.set_float32_matmul_precision(matmul)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside), mode():
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with mode(), torch.cuda.graph(graph):
        run()
    return Replay(graph, run)


def compiled(step: Any) -> Any:
    """``torch.compile`` of a copy of its code: code kept for one function stays its own."""
    import torch

    dynamo: Any = torch._dynamo.config
    name = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    setattr(dynamo, name, MOST_SHAPES)
    own = FunctionType(
        step.__code__.replace(), step.__globals__, step.__name__, None, step.__closure__
    )
    return torch.compile(own, dynamic=False)


def kinds() -> Iterator[tuple[str, type[Torch], str]]:
    """Names, classes and precisions of the peers."""
    yield "PyTorch", Torch, "float32"
    yield "PyTorch tf32", Torch, "tf32"
    yield "PyTorch bf16", Torch, "bf16"
    yield "PyTorch graph", TorchGraph, "float32"
    yield "PyTorch graph tf32", TorchGraph, "tf32"
    yield "PyTorch graph bf16", TorchGraph, "bf16"
    yield "torch.compile", TorchCompile, "float32"
    yield "torch.compile tf32", TorchCompile, "tf32"
    yield "torch.compile bf16", TorchCompile, "bf16"
    yield "torch.compile graph", TorchCompileGraph, "float32"
    yield "torch.compile graph tf32", TorchCompileGraph, "tf32"
    yield "torch.compile graph bf16", TorchCompileGraph, "bf16"
