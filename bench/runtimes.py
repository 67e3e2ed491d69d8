"""The peers that read ONNX: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.jobs import Float32
from bench.nets import Net
from bench.onnx_graph import INPUT, OUTPUT
from bench.onnx_net import onnx_bytes
from bench.peers import Bound, DoesNotApply, Setting, blocks, call_each, parallel_settings


class OnnxRuntime:
    """A session with input and output bound to the caller's memory; "run" is the plain call."""

    chunked = True

    def __init__(self, net: Net, setting: Setting) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        self._hint = setting.hint
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            onnx_bytes(net), options, providers=["CPUExecutionProvider"]
        )

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        session = self._session
        if self._hint == "run":
            feeds = [{INPUT: source} for source, _ in blocks(x, out, chunk)]
            return Bound(call_each(lambda feed: session.run(None, feed), feeds))
        bindings = []
        for source, target in blocks(x, out, chunk):
            binding = session.io_binding()
            where = ("cpu", 0, np.float32)
            binding.bind_input(INPUT, *where, source.shape, source.ctypes.data)
            binding.bind_output(OUTPUT, *where, target.shape, target.ctypes.data)
            bindings.append(binding)
        return Bound(call_each(session.run_with_iobinding, bindings))


class OpenVino:
    """A model compiled for each batch size, with tensors over the caller's memory.

    Several calls at a time are requests of a model compiled for throughput, a stream each.
    """

    chunked = True
    precision = "f32"  # its own choice is bf16 where the CPU has it

    def __init__(self, net: Net, setting: Setting) -> None:
        import openvino

        self.version = openvino.__version__.split("-")[0]
        self._openvino = openvino
        self._bytes = onnx_bytes(net)
        several = setting.workers > 1
        self._options = {
            "INFERENCE_NUM_THREADS": setting.threads * setting.workers,
            "NUM_STREAMS": setting.workers,
            "PERFORMANCE_HINT": "THROUGHPUT" if several else "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        self._core = openvino.Core()
        self._compiled: dict[int, Any] = {}

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def _model(self, rows: int) -> Any:
        if rows not in self._compiled:
            model = self._core.read_model(self._bytes)
            model.reshape([rows, model.input().partial_shape[1]])
            self._compiled[rows] = self._core.compile_model(model, "CPU", self._options)
        return self._compiled[rows]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
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

        return Bound(run)


class OpenVinoBf16(OpenVino):
    """The same in bfloat16, on CPUs that multiply it."""

    precision = "bf16"

    def __init__(self, net: Net, setting: Setting) -> None:
        super().__init__(net, setting)
        if "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DoesNotApply("this CPU multiplies no bfloat16")
