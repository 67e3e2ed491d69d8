"""The embed case in Torch: a step of all episodes at once, models of rows as batched products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.gpu_simulation import Bound
from bench.gpu_tensor import layers_of
from bench.gpu_torch import Torch, TorchCompileGraph, TorchGraph, captured, compiled
from bench.jobs import Float32
from examples.simulation import cartpole

MASS = cartpole.CART_MASS + cartpole.POLE_MASS
LEVER = cartpole.POLE_MASS * cartpole.POLE_HALF_LENGTH


class Episodes:
    """Cart-poles as columns of tensors, float32."""

    def __init__(self, policy: Any, starts: Float32, device: str) -> None:
        import torch

        self._starts = torch.from_numpy(starts).to(device)
        self._state = self._starts.clone()
        self._alive = torch.ones(len(starts), dtype=torch.bool, device=device)
        self.steps = torch.zeros(len(starts), dtype=torch.int64, device=device)
        self._layers = [
            tuple(torch.tensor(np.asarray(a, np.float32), device=device) for a in pair)
            for pair in zip(policy.weights, policy.bias, strict=True)
        ]

    def begin(self) -> None:
        """Back to the starts."""
        self._state.copy_(self._starts)
        self._alive.fill_(True)
        self.steps.zero_()

    def step(self) -> None:
        """A step of all; fallen poles go on, and count no longer."""
        import torch

        value = self._state
        for weights, bias in self._layers:
            value = torch.tanh(torch.addmm(bias, value, weights.t()))
        _, speed, angle, spin = self._state.unbind(1)
        sine, cosine = torch.sin(angle), torch.cos(angle)
        pull = (cartpole.FORCE * value[:, 0] + LEVER * spin * spin * sine) / MASS
        inertia = cartpole.POLE_HALF_LENGTH * (
            4.0 / 3.0 - cartpole.POLE_MASS * cosine * cosine / MASS
        )
        spin_rate = (cartpole.GRAVITY * sine - cosine * pull) / inertia
        rates = speed, pull - LEVER * spin_rate * cosine / MASS, spin, spin_rate
        self._state.add_(torch.stack(rates, 1), alpha=cartpole.TIME_STEP)
        up = self._state[:, 0].abs() <= cartpole.POSITION_LIMIT
        self._alive.logical_and_(up & (self._state[:, 2].abs() <= cartpole.ANGLE_LIMIT))
        self.steps.add_(self._alive)


def eager(policy: Any, starts: Float32, longest: int, judge: Any, device: str = "cuda") -> Bound:
    """A call of Torch for each operation of each step."""
    episodes = Episodes(policy, starts, _present(device))
    return _bound(episodes, episodes.step, longest, judge)


def graph(policy: Any, starts: Float32, longest: int, judge: Any, device: str = "cuda") -> Bound:
    """A CUDA graph of a step, launched for each of them."""
    import torch

    episodes = Episodes(policy, starts, _present(device))
    replay = captured(episodes.step, torch.no_grad)
    return _bound(episodes, replay, longest, judge)


def by_compiler(
    policy: Any, starts: Float32, longest: int, judge: Any, device: str = "cuda"
) -> Bound:
    """A step through ``torch.compile``."""
    episodes = Episodes(policy, starts, _present(device))
    return _bound(episodes, compiled(lambda: episodes.step()), longest, judge)


def graph_by_compiler(
    policy: Any, starts: Float32, longest: int, judge: Any, device: str = "cuda"
) -> Bound:
    """A CUDA graph of what ``torch.compile`` makes of a step."""
    import torch

    episodes = Episodes(policy, starts, _present(device))
    replay = captured(compiled(lambda: episodes.step()), torch.no_grad)
    return _bound(episodes, replay, longest, judge)


EPISODES: dict[str, Callable[..., Bound]] = {
    "PyTorch": eager,
    "PyTorch graph": graph,
    "torch.compile": by_compiler,
    "torch.compile graph": graph_by_compiler,
}


def one_model(
    make: type[Torch], model: Any, rows: Float32, judge: Any, device: str = "cuda"
) -> Bound:
    """All rows through the same model, as a peer of the race runs them."""
    import torch

    peer = make(tuple(layers_of(model)), device=device)
    x = torch.tensor(rows, device=device)
    out = torch.full((len(rows), model.output_size), torch.nan, device=device)
    return Bound(peer.bind(x, out, len(rows), "device"), lambda: out.cpu().numpy(), judge)


ONE_MODEL: dict[str, type[Torch]] = {
    "PyTorch": Torch,
    "PyTorch graph": TorchGraph,
    "torch.compile graph": TorchCompileGraph,
}


def models_each(
    models: list[Any],
    kind: str,
    threads: int,
    rows: Float32,
    judge: Any,
    graph: bool = False,
    device: str = "cuda",
) -> Bound:
    """Rows grouped by their models, ``threads`` each: one batched product a layer."""
    import torch

    _present(device)
    layers = [
        (
            stacked([model.weights[n] for model in models], device),
            stacked([model.bias[n] for model in models], device)[:, None],
        )
        for n in range(len(models[0].weights))
    ]
    x = torch.tensor(rows, device=device)
    if kind == "thread":  # row r has model r % models: the same memory, read across
        x = x.reshape(threads, len(models), -1).transpose(0, 1)
    else:
        x = x.reshape(len(models), threads, -1)
    kept = [x.new_full((len(models), threads, bias.shape[2]), torch.nan) for _, bias in layers]

    def run() -> None:
        with torch.inference_mode():
            value = x
            for (weights, bias), target in zip(layers, kept, strict=True):
                torch.baddbmm(bias, value, weights.transpose(1, 2), out=target)
                value = torch.sigmoid_(target) if target is kept[-1] else torch.relu_(target)

    def result() -> Any:
        value = kept[-1].transpose(0, 1) if kind == "thread" else kept[-1]
        return value.reshape(len(rows), -1).cpu().numpy()

    return Bound(captured(run, torch.inference_mode) if graph else run, result, judge)


def stacked(arrays: list[Any], device: str) -> Any:
    """One tensor of an array for each model."""
    import torch

    return torch.tensor(np.stack([np.asarray(a, np.float32) for a in arrays]), device=device)


def _present(device: str) -> str:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ImportError(f"torch {torch.__version__} sees no CUDA device")
    torch.set_float32_matmul_precision("highest")
    return device


def _bound(episodes: Episodes, step: Callable[[], object], longest: int, judge: Any) -> Bound:
    import torch

    def run() -> None:
        with torch.no_grad():
            episodes.begin()
            for _ in range(longest):
                step()

    return Bound(run, lambda: episodes.steps.cpu().numpy(), judge)
