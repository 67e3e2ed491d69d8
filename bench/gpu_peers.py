"""One class a runtime: a net on the device, bound to rows and outputs there or on the host.

As ``bench.peers``: what can be prepared once is prepared in ``bind``. ``place`` says where ``x``
and ``out`` lie: "device", arrays of Numba, or "host", arrays of NumPy, whose rows are copied as the
runtime copies them by itself. All run float32 without TF32. ``__init__`` raises ImportError where
the library or its CUDA part is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from bench.jobs import Layer, document
from bench.onnx_graph import INPUT, OUTPUT, onnx_bytes

Run = Callable[[], object]


class GpuPeer(Protocol):
    """What the race asks of a runtime; ``chunked`` says that smaller batches may help it."""

    chunked: bool
    version: str

    def __init__(self, layers: tuple[Layer, ...]) -> None: ...

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        """Return a call that fills ``out`` from ``x``, ``chunk`` rows at a time."""
        ...


def blocks(x: Any, out: Any, chunk: int) -> Iterator[tuple[Any, Any]]:
    """Views of ``chunk`` rows of both, the last one shorter where need be."""
    for start in range(0, len(x), chunk):
        yield x[start : start + chunk], out[start : start + chunk]


class Instjit:
    """``kernel.predict``, which copies rows from the host in pieces by itself."""

    chunked = False

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        import instjit

        self.version = instjit.__version__
        self._kernel = instjit.compile(instjit.load(document(layers)), target="cuda")

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        return lambda: self._kernel.predict(x, out)


class Torch:
    """Eager, in inference mode: ``addmm`` into arrays kept between runs, activations in place."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...], device: str = "cuda") -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise ImportError(f"torch {torch.__version__} sees no CUDA device")
        torch.backends.cuda.matmul.allow_tf32 = False
        self.version = str(torch.__version__)
        self._device = device
        self._layers = [
            (
                torch.from_numpy(layer.weights).to(device).t(),
                torch.from_numpy(layer.bias).to(device),
                torch.relu_ if layer.activation == "RELU" else torch.sigmoid_,
            )
            for layer in layers
        ]

    def bind(self, x: Any, out: Any, chunk: int, place: str) -> Run:
        import torch

        there = "cpu" if place == "host" else self._device
        x, out = (torch.as_tensor(array, device=there) for array in (x, out))
        chunk = min(chunk, len(x))
        step = self._step(chunk)
        moved = [torch.empty((chunk, a.shape[1]), device=self._device) for a in (x, out)]
        parts = list(blocks(x, out, chunk))

        def run() -> None:
            with torch.inference_mode():
                for source, target in parts:
                    if place == "device":
                        step(source, target)
                        continue
                    held_x, held_y = (array[: len(source)] for array in moved)
                    held_x.copy_(source)
                    step(held_x, held_y)
                    target.copy_(held_y)

        return run

    def _step(self, chunk: int) -> Callable[[Any, Any], None]:
        import torch

        inner = [
            torch.empty((chunk, len(bias)), device=self._device) for _, bias, _ in self._layers[:-1]
        ]

        def step(x: Any, out: Any) -> None:
            value = x
            targets = [*(array[: len(x)] for array in inner), out]
            for (weights, bias, activate), target in zip(self._layers, targets, strict=True):
                torch.addmm(bias, value, weights, out=target)
                value = activate(target)

        return step


class TorchCompile(Torch):
    """The same net through ``torch.compile``, which writes to ``out`` itself."""

    def _step(self, chunk: int) -> Callable[[Any, Any], None]:
        import torch

        def step(x: Any, out: Any) -> None:
            value = x
            for weights, bias, activate in self._layers:
                value = torch.addmm(bias, value, weights)
                value = torch.relu(value) if activate is torch.relu_ else torch.sigmoid(value)
            out.copy_(value)

        compiled: Callable[[Any, Any], None] = torch.compile(step, dynamic=False)
        return compiled


class CuPy:
    """cuBLAS products into arrays kept between runs; bias and activation in one kernel."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...]) -> None:
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
                if place == "host":
                    value.get(out=target)

        return run


class OnnxRuntime:
    """A session of the CUDA provider with input and output bound to the given memory."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...], device: str = "cuda") -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ImportError(f"onnxruntime {self.version} has no {provider}")
        chosen = (provider, {"use_tf32": "0"}) if device == "cuda" else provider
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


def address(array: Any) -> int:
    """Where an array begins, on the device or on the host."""
    if isinstance(array, np.ndarray):
        return int(array.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])


PEERS: dict[str, type[GpuPeer]] = {
    "instjit": Instjit,
    "PyTorch": Torch,
    "torch.compile": TorchCompile,
    "CuPy": CuPy,
    "ONNX Runtime": OnnxRuntime,
}
