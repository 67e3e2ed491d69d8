"""The app of ``examples/server`` as it is, on ONNX Runtime, and on nothing at all."""

from __future__ import annotations

import os

import numpy as np
from starlette.applications import Starlette

from bench.jobs import Float32
from bench.nets import chain
from bench.onnx_graph import INPUT
from bench.onnx_net import onnx_bytes
from examples.server import app, batching
from examples.server.batching import Predict
from examples.server.settings import Settings
from instjit import load

WIDTHS = "BENCH_WIDTHS"
"""The environment variable with the widths of the net, as ``250-300-200``."""

QUEUE = "BENCH_QUEUE"
"""The environment variable that says whether requests are put together: 0 or 1."""


def instjit() -> Starlette:
    """The example as it is."""
    _choose()
    return app.create()


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


def nothing() -> Starlette:
    """What all else costs: the outputs are the same numbers every time."""
    width = int(os.environ[WIDTHS].split("-")[-1])
    outputs = np.random.default_rng(0).random((4096, width), dtype=np.float32)
    return _app(lambda rows: outputs[: len(rows)])


def _app(predict: Predict) -> Starlette:
    _choose()
    settings = Settings.of(os.environ)
    return app.application(load(settings.model), predict, settings)


def _choose() -> None:
    batching.TURN_SECONDS = float("-inf" if os.environ[QUEUE] == "1" else "inf")
