"""One class a runtime: built from a net, bound to an input and an output, then run.

Whatever can be prepared once (views, bindings, intermediates) is prepared in ``bind``, so that a
run holds nothing but the runtime's own work. ``__init__`` raises ImportError where the library is
missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from bench.jobs import Float32, Layer, document
from bench.onnx_graph import INPUT, OUTPUT, onnx_bytes

Run = Callable[[], object]


class Peer(Protocol):
    """What the worker asks of a runtime; ``chunked`` says that smaller batches may help it."""

    chunked: bool
    version: str

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None: ...

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        """Return a call that fills ``out`` from ``x``, ``chunk`` rows at a time."""
        ...


def blocks(x: Float32, out: Float32, chunk: int) -> Iterator[tuple[Float32, Float32]]:
    """Views of ``chunk`` rows of both, the last one shorter where need be."""
    for start in range(0, len(x), chunk):
        yield x[start : start + chunk], out[start : start + chunk]


class Instjit:
    """``kernel.predict`` for a batch, ``kernel.row`` for single rows."""

    chunked = False

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None:
        import instjit

        self.version = instjit.__version__
        self._kernel = instjit.compile(instjit.load(document(layers)), threads=threads)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        kernel = self._kernel
        if chunk > 1:
            return lambda: kernel.predict(x, out=out)
        rows = list(zip(x, out, strict=True))
        row = kernel.row

        def run() -> None:
            for source, target in rows:
                row(source, out=target)

        return run


class Numpy:
    """BLAS products and in-place elementwise functions."""

    chunked = True
    version = np.__version__

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None:
        self._layers = [
            (np.ascontiguousarray(layer.weights.T), layer.bias, layer.activation)
            for layer in layers
        ]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        chunk = min(chunk, len(x))
        inner = [np.empty((chunk, len(bias)), np.float32) for _, bias, _ in self._layers[:-1]]
        parts = [
            (source, [*(array[: len(source)] for array in inner), target])
            for source, target in blocks(x, out, chunk)
        ]
        layers = self._layers

        def run() -> None:
            for source, targets in parts:
                value = source
                for (weights, bias, activation), target in zip(layers, targets, strict=True):
                    np.matmul(value, weights, out=target)
                    target += bias
                    if activation == "RELU":
                        np.maximum(target, 0, out=target)
                    else:
                        np.negative(target, out=target)
                        np.exp(target, out=target)
                        target += 1
                        np.reciprocal(target, out=target)
                    value = target

        return run


class OnnxRuntime:
    """A session with input and output bound to the caller's memory."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            onnx_bytes(layers), options, providers=["CPUExecutionProvider"]
        )

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        session = self._session
        bindings = []
        for source, target in blocks(x, out, chunk):
            binding = session.io_binding()
            where = ("cpu", 0, np.float32)
            binding.bind_input(INPUT, *where, source.shape, source.ctypes.data)
            binding.bind_output(OUTPUT, *where, target.shape, target.ctypes.data)
            bindings.append(binding)

        def run() -> None:
            for binding in bindings:
                session.run_with_iobinding(binding)

        return run


class PyTorch:
    """Eager, in inference mode: ``addmm`` into arrays kept between runs, activations in place."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None:
        import torch

        self.version = str(torch.__version__)
        torch.set_num_threads(threads)
        self._layers = [
            (
                torch.from_numpy(layer.weights).t(),
                torch.from_numpy(layer.bias),
                torch.relu_ if layer.activation == "RELU" else torch.sigmoid_,
            )
            for layer in layers
        ]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        import torch

        chunk = min(chunk, len(x))
        inner = [torch.empty((chunk, len(bias))) for _, bias, _ in self._layers[:-1]]
        parts = [
            (
                torch.from_numpy(source),
                [*(array[: len(source)] for array in inner), torch.from_numpy(target)],
            )
            for source, target in blocks(x, out, chunk)
        ]
        layers = self._layers

        def run() -> None:
            with torch.inference_mode():
                for source, targets in parts:
                    value = source
                    for (weights, bias, activate), target in zip(layers, targets, strict=True):
                        torch.addmm(bias, value, weights, out=target)
                        value = activate(target)

        return run


class OpenVino:
    """A model compiled for each batch size, with tensors over the caller's memory."""

    chunked = True

    def __init__(self, layers: tuple[Layer, ...], threads: int) -> None:
        import openvino

        self.version = openvino.__version__.split("-")[0]
        self._openvino = openvino
        self._bytes = onnx_bytes(layers)
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # its own choice is bf16 where the CPU has it
        }
        self._core = openvino.Core()
        self._compiled: dict[int, Any] = {}

    def _model(self, rows: int) -> Any:
        if rows not in self._compiled:
            model = self._core.read_model(self._bytes)
            model.reshape([rows, model.input().partial_shape[1]])
            self._compiled[rows] = self._core.compile_model(model, "CPU", self._options)
        return self._compiled[rows]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Run:
        tensor = self._openvino.Tensor
        requests = {
            rows: self._model(rows).create_infer_request()
            for rows in {len(source) for source, _ in blocks(x, out, chunk)}
        }
        parts = [
            (
                requests[len(source)],
                tensor(source, shared_memory=True),
                tensor(target, shared_memory=True),
            )
            for source, target in blocks(x, out, chunk)
        ]

        def run() -> None:
            for request, source, target in parts:
                request.set_input_tensor(source)
                request.set_output_tensor(target)
                request.infer()

        return run


PEERS: dict[str, type[Peer]] = {
    "instjit": Instjit,
    "NumPy": Numpy,
    "ONNX Runtime": OnnxRuntime,
    "PyTorch": PyTorch,
    "OpenVINO": OpenVino,
}
