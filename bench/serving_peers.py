"""The app of ``examples/server`` on ONNX Runtime, on nothing at all, and without its queue."""

from __future__ import annotations

import os

import numpy as np
from starlette.applications import Starlette

from bench.jobs import Float32
from bench.nets import chain
from bench.onnx_graph import INPUT
from bench.onnx_net import onnx_bytes
from examples.server import app
from examples.server.batching import Batcher, Predict
from examples.server.settings import Settings
from instjit import load

WIDTHS = "BENCH_WIDTHS"
"""The environment variable with the widths of the net, as ``250-300-200``."""


def onnx_runtime() -> Starlette:
    """ONNX Runtime's plain ``run``, on as many threads as instjit has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = Settings.of(os.environ).threads
    options.log_severity_level = 3
    net = chain(*map(int, os.environ[WIDTHS].split("-")))
    session = onnxruntime.InferenceSession(
        onnx_bytes(net), options, providers=["CPUExecutionProvider"]
    )

    def predict(rows: Float32) -> Float32:
        (outputs,) = session.run(None, {INPUT: rows})
        return outputs  # type: ignore[no-any-return]

    return _app(predict)


def onnx_runtime_direct() -> Starlette:
    """The same, without the queue."""
    _without_queue()
    return onnx_runtime()


def instjit_direct() -> Starlette:
    """The example, without the queue."""
    _without_queue()
    return app.create()


def nothing() -> Starlette:
    """What all else costs: the outputs are the same numbers every time."""
    width = int(os.environ[WIDTHS].split("-")[-1])
    outputs = np.random.default_rng(0).random((4096, width), dtype=np.float32)
    return _app(lambda rows: outputs[: len(rows)])


class _Direct(Batcher):
    """Every request is a batch of its own, worked out at once."""

    async def outputs(self, rows: Float32) -> Float32:
        return self._predict(rows)


def _without_queue() -> None:
    app.Batcher = _Direct  # type: ignore[attr-defined]


def _app(predict: Predict) -> Starlette:
    settings = Settings.of(os.environ)
    return app.application(load(settings.model), predict, settings)
