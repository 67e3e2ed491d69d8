"""One class a runtime: a net on the device, bound to rows and outputs there or on the host.

What can be prepared once is prepared in ``bind``; rows from the host are copied as tuned programs
of that runtime do it. A peer computes in its precision: float32 without TF32, or products of fewer
bits as ``bench.gpu_bounds`` has them. ``__init__`` raises ImportError where the library or its CUDA
part is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.gpu_peer import PLACES, GpuPeer, NotApplicable, Run, address, blocks
from bench.gpu_torch import kinds
from bench.jobs import Layer, document
from bench.onnx_graph import INPUT, OUTPUT, onnx_bytes


class Instjit:
    """``kernel.predict``, which copies rows from the host in pieces by itself."""

    pieces: tuple[int, ...] = (1,)
    places: tuple[str, ...] = PLACES

    def __init__(self, layers: tuple[Layer, ...], precision: str = "float32") -> None:
        import instjit
        from instjit.errors import CompileError
        from instjit.gpu import build

        if precision != "float32" and build.simulated():
            raise NotApplicable("not simulated")
        self.version = instjit.__version__
        model = instjit.load(document(layers))
        try:
            self.kernel = instjit.compile(model, target="cuda", precision=precision)
        except CompileError as error:
            if error.kind == "Unsupported":
                raise NotApplicable(str(error)) from error
            raise

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        return lambda: self.kernel.predict(x, out)


class CuPy:
    """cuBLAS products into arrays kept between runs; bias and activation in one kernel."""

    pieces: tuple[int, ...] = (1, 2, 16, 128)
    places: tuple[str, ...] = PLACES

    def __init__(self, layers: tuple[Layer, ...], precision: str = "float32") -> None:
        import cupy

        if not cupy.cuda.is_available():
            raise ImportError(f"cupy {cupy.__version__} sees no CUDA device")
        self.version = cupy.__version__
        values = {"RELU": "max(x + b, 0.0f)", "SIGMOID": "1.0f / (1.0f + exp(-(x + b)))"}
        functions = {
            name: cupy.ElementwiseKernel("float32 x, float32 b", "float32 y", f"y = {value}", name)
            for name, value in values.items()
        }
        self._layers = [
            (
                cupy.asarray(np.ascontiguousarray(layer.weights.T)),
                cupy.asarray(layer.bias),
                functions[layer.activation],
            )
            for layer in layers
        ]

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        import cupy

        chunk = min(chunk, len(x))
        if place == "device":
            x, out = cupy.asarray(x), cupy.asarray(out)
        arrays = [cupy.empty((chunk, len(bias)), np.float32) for _, bias, _ in self._layers]
        moved = cupy.empty((chunk, x.shape[1]), np.float32)
        parts = list(blocks(x, out, chunk))

        def run() -> None:
            for source, target in parts:
                targets = [array[: len(source)] for array in arrays]
                value = source
                if place == "device":
                    targets[-1] = target
                else:
                    value = moved[: len(source)]
                    value.set(source)
                for (weights, bias, activate), y in zip(self._layers, targets, strict=True):
                    cupy.matmul(value, weights, out=y)
                    value = activate(y, bias, y)
                if place != "device":
                    value.get(out=target)

        return run


class OnnxRuntime:
    """A session of the CUDA provider with input and output bound to the given memory."""

    pieces: tuple[int, ...] = (1, 2, 16, 128)
    places: tuple[str, ...] = PLACES

    def __init__(
        self, layers: tuple[Layer, ...], precision: str = "float32", device: str = "cuda"
    ) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ImportError(f"onnxruntime {self.version} has no {provider}")
        tf32 = "1" if precision == "tf32" else "0"
        chosen = (provider, {"use_tf32": tf32}) if device == "cuda" else provider
        self._session = onnxruntime.InferenceSession(onnx_bytes(layers), providers=[chosen])
        if self._session.get_providers()[0] != provider:
            raise ImportError(f"onnxruntime {self.version} cannot load its {provider}")
        self._device = device

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        session, bindings = self._session, []
        device = self._device if place == "device" else "cpu"
        for source, target in blocks(x, out, chunk):
            binding = session.io_binding()
            where = (device, 0, np.float32)
            binding.bind_input(INPUT, *where, source.shape, address(source))
            binding.bind_output(OUTPUT, *where, target.shape, address(target))
            bindings.append(binding)

        def run() -> None:
            for binding in bindings:
                session.run_with_iobinding(binding)

        return run


@dataclass(frozen=True)
class Entrant:
    """A runtime at a precision: ``make(layers, precision)``; only its like are compared with it."""

    make: Callable[..., GpuPeer]
    precision: str = "float32"


OURS = {
    "float32": "instjit",
    "bf16x3": "instjit bf16x3",
    "tf32": "instjit tf32",
    "bf16": "instjit bf16",
}
"""The name of our kernel at each precision."""

PEERS: dict[str, Entrant] = {
    **{name: Entrant(Instjit, precision) for precision, name in OURS.items()},
    **{name: Entrant(make, precision) for name, make, precision in kinds()},
    "CuPy": Entrant(CuPy),
    "ONNX Runtime": Entrant(OnnxRuntime),
    "ONNX Runtime tf32": Entrant(OnnxRuntime, "tf32"),
}
COMPILED = "torch.compile"
"""Peers whose names begin so take many seconds to get ready."""

NOT_CHOSEN, TOO_SLOW = "left out of this run", "left out of this run: it compiles for long"
"""Why peers take no part in a contest that they could take part in."""
