"""Who takes part: instjit in each precision, and the peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from bench import peers
from bench.entry import BF16, OURS
from bench.nets import Net
from bench.peers import Peer, Setting

PRECISIONS = ("float32", "bf16", "bf16x3", "bf16x6")
"""The ``precision`` arguments of ``instjit.compile`` that take part, where the CPU has them."""

TOLERANCES = {"bf16": 5e-2}
"""Largest error of outputs near 1, where it is not ``TOLERANCE``: factors keep 8 bits."""

TOLERANCE = 1e-5
"""Of float32: sums of 300 products stay below 1e-6. Validation rows allow as much."""


@dataclass(frozen=True)
class Contestant:
    """A class of peer, imported on use, and what is fixed about it.

    ``hint`` is the one way of calling that it has; ``answers`` says that its output is the net's;
    ``tolerance`` is its largest error.
    """

    load: Callable[[], Any]
    hint: str = ""
    answers: bool = True
    tolerance: float = TOLERANCE

    @property
    def chunked(self) -> bool:
        return bool(self.load().chunked)

    def settings(self, threads: int, rows: int) -> list[Setting]:
        """What to try for batches of that size."""
        offered: list[Setting] = self.load().settings(threads, rows)
        if not self.hint:
            return offered
        serial = (replace(setting, hint=self.hint) for setting in offered if setting.workers == 1)
        return list(dict.fromkeys(serial))

    def build(self, net: Net, setting: Setting) -> Peer:
        """A peer for the net; raises what the class does."""
        made: Peer = self.load()(net, setting)
        return made


def _from(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(f"bench.{module}"), name)


def _instjit(precision: str) -> Callable[[], Any]:
    return lambda: type(precision, (peers.Instjit,), {"precision": precision})


def mode_name(precision: str) -> str:
    """How the table calls instjit in that precision."""
    return OURS if precision == "float32" else f"{OURS} {precision}"


MODES = {
    mode_name(precision): Contestant(
        _instjit(precision), tolerance=TOLERANCES.get(precision, TOLERANCE)
    )
    for precision in PRECISIONS
}

PEERS = {
    "NumPy": Contestant(_from("peers", "Numpy")),
    "ONNX Runtime": Contestant(_from("runtimes", "OnnxRuntime")),
    "OpenVINO": Contestant(_from("runtimes", "OpenVino")),
    f"OpenVINO{BF16}": Contestant(_from("runtimes", "OpenVinoBf16"), tolerance=TOLERANCES["bf16"]),
    "PyTorch": Contestant(_from("frameworks", "PyTorch")),
    "torch.compile": Contestant(_from("frameworks", "TorchCompile")),
    "JAX": Contestant(_from("frameworks", "Jax")),
    "scikit-learn": Contestant(_from("peers", "ScikitLearn")),
    "TensorFlow": Contestant(_from("frameworks", "TensorFlow")),
}

SINGLE = {
    OURS: Contestant(_instjit("float32"), "row"),
    f"{OURS}, new array": Contestant(_instjit("float32"), "new array", answers=False),
    "ONNX Runtime": PEERS["ONNX Runtime"],
    "ONNX Runtime, run": Contestant(_from("runtimes", "OnnxRuntime"), "run", answers=False),
    "NumPy": PEERS["NumPy"],
    "PyTorch": PEERS["PyTorch"],
    "OpenVINO": PEERS["OpenVINO"],
    "read loop": Contestant(_from("read_loop", "ReadLoop"), answers=False),
}
"""For one call a row; "read loop" reads as many bytes as the kernel's constants hold."""

CONTESTANTS = {**MODES, **PEERS}
