"""The peers that trace Python: PyTorch, eager and compiled, JAX, TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.functional import function
from bench.jobs import Float32
from bench.nets import Net
from bench.operations import Dense
from bench.peers import (
    Bound,
    Setting,
    blocks,
    copied,
    parallel_settings,
)


class TorchSpace:
    """Torch tensors."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._activations = {
            "RELU": torch.relu,
            "SIGMOID": torch.sigmoid,
            "TANH": torch.tanh,
            "SOFTMAX": lambda x: torch.softmax(x, 1),
        }

    def constant(self, array: Any) -> Any:
        return self._torch.from_numpy(array)

    def dense(self, x: Any, matrix: Any, bias: Any) -> Any:
        return self._torch.addmm(bias, x, matrix)

    def activate(self, name: str, x: Any) -> Any:
        return self._activations[name](x)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        return self._torch.clamp(x, low, high)

    def sum(self, x: Any) -> Any:
        return x.sum(1, keepdim=True)

    def reshape(self, x: Any, *shape: int) -> Any:
        return x.reshape(shape)

    def concatenate(self, values: list[Any]) -> Any:
        return self._torch.cat(values, 1)

    def columns(self, x: Any, columns: Any) -> Any:
        return self._torch.index_select(x, 1, columns)

    def rows(self, table: Any, ids: Any, first: int) -> Any:
        return self._torch.index_select(
            table, 0, (ids.to(self._torch.int64) - first).clamp(0, len(table) - 1)
        )


class PyTorch:
    """Eager, in inference mode.

    Chains of dense layers work in arrays kept between runs: ``addmm`` into them, activations in
    place. Other nets make new tensors, and the last one is copied out.
    """

    chunked = True

    def __init__(self, net: Net, setting: Setting) -> None:
        import torch

        self.version = str(torch.__version__)
        torch.set_num_threads(setting.threads)
        self._net, self._space = net, TorchSpace(torch)

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        import torch

        layers = [op for op in self._net.operations if isinstance(op, Dense)]
        parts = list(blocks(x, out, chunk))
        if len(layers) == len(self._net.operations):
            return self._chain(layers, parts)
        forward = function(self._net, self._space)
        pairs = [(torch.from_numpy(x), out) for x, out in parts]
        return inferring(torch, copied(forward, pairs, lambda tensor: tensor.numpy()))

    def _chain(self, layers: list[Dense], parts: list[tuple[Float32, Float32]]) -> Bound:
        import torch

        rows = len(parts[0][0])
        inner = [torch.empty((rows, layer.width)) for layer in layers[:-1]]
        steps = [
            (
                torch.from_numpy(layer.weights).t(),
                torch.from_numpy(layer.bias),
                in_place(torch, layer.activation),
            )
            for layer in layers
        ]
        bound = [
            (torch.from_numpy(x), [*(a[: len(x)] for a in inner), torch.from_numpy(out)])
            for x, out in parts
        ]

        def run() -> None:
            with torch.inference_mode():
                for value, targets in bound:
                    for (weights, bias, activate), target in zip(steps, targets, strict=True):
                        torch.addmm(bias, value, weights, out=target)
                        value = activate(target)

        return Bound(run)


def in_place(torch: Any, activation: str | None) -> Callable[[Any], Any]:
    """The activation that writes to what it reads."""
    functions: dict[str | None, Callable[[Any], Any]] = {
        "RELU": torch.relu_,
        "SIGMOID": torch.sigmoid_,
        "TANH": torch.tanh_,
        "SOFTMAX": lambda x: torch.softmax(x, 1, out=x),
        None: lambda x: x,
    }
    return functions[activation]


def inferring(torch: Any, bound: Bound) -> Bound:
    """The same in inference mode, which each thread enters for itself."""

    def run() -> None:
        with torch.inference_mode():
            bound.run()

    return Bound(run, bound.finish)


class TorchCompile:
    """``torch.compile``: one function for every size of batch, and one for a single row."""

    chunked = True

    def __init__(self, net: Net, setting: Setting) -> None:
        import torch

        self.version = str(torch.__version__)
        torch.set_num_threads(setting.threads)
        torch._dynamo.reset()  # beyond eight versions of a function it would not compile
        forward = function(net, TorchSpace(torch))
        self._single = torch.compile(forward, dynamic=False)
        self._batch = torch.compile(forward, dynamic=True)

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        import torch

        forward = self._single if min(chunk, len(x)) == 1 else self._batch
        pairs = [(torch.from_numpy(x), out) for x, out in blocks(x, out, chunk)]
        with torch.inference_mode():
            forward(pairs[0][0])  # compiles
        return inferring(torch, copied(forward, pairs, lambda tensor: tensor.numpy()))


class JaxSpace:
    """JAX arrays."""

    def __init__(self, jax: Any) -> None:
        self._numpy = jax.numpy
        self._activations = {
            "RELU": jax.nn.relu,
            "SIGMOID": jax.nn.sigmoid,
            "TANH": jax.numpy.tanh,
            "SOFTMAX": lambda x: jax.nn.softmax(x, 1),
        }

    def constant(self, array: Any) -> Any:
        return self._numpy.asarray(array)

    def dense(self, x: Any, matrix: Any, bias: Any) -> Any:
        return x @ matrix + bias

    def activate(self, name: str, x: Any) -> Any:
        return self._activations[name](x)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        return self._numpy.clip(x, low, high)

    def sum(self, x: Any) -> Any:
        return x.sum(1, keepdims=True)

    def reshape(self, x: Any, *shape: int) -> Any:
        return x.reshape(shape)

    def concatenate(self, values: list[Any]) -> Any:
        return self._numpy.concatenate(values, 1)

    def columns(self, x: Any, columns: Any) -> Any:
        return x[:, columns]

    def rows(self, table: Any, ids: Any, first: int) -> Any:
        return self._numpy.take(table, ids.astype(np.int32) - first, 0, mode="clip")


class Jax:
    """``jax.jit``, compiled ahead for each size of batch, on arrays that are JAX's already."""

    chunked = True

    def __init__(self, net: Net, setting: Setting) -> None:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        self.version = jax.__version__
        self._jax, self._width = jax, net.width
        self._jitted = jax.jit(function(net, JaxSpace(jax)))
        self._options: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": setting.threads > 1}
        self._compiled: dict[int, Any] = {}

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return parallel_settings(threads, rows)

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        pairs = [(self._array(x), out) for x, out in blocks(x, out, chunk)]
        for x, _ in pairs:
            self._compile(len(x))
        return copied(lambda x: self._compiled[len(x)](x), pairs, np.asarray)

    def _array(self, x: Float32) -> Any:
        aligned = x.ctypes.data % 64 == 0 and len(x) > 1
        return self._jax.numpy.from_dlpack(x) if aligned else self._jax.device_put(x)

    def _compile(self, rows: int) -> None:
        if rows not in self._compiled:
            shape = self._jax.ShapeDtypeStruct((rows, self._width), np.float32)
            lowered = self._jitted.lower(shape)
            self._compiled[rows] = lowered.compile(compiler_options=self._options)


class TensorFlowSpace:
    """TensorFlow tensors."""

    def __init__(self, tensorflow: Any) -> None:
        self._tf = tensorflow
        self._activations = {
            "RELU": tensorflow.nn.relu,
            "SIGMOID": tensorflow.sigmoid,
            "TANH": tensorflow.tanh,
            "SOFTMAX": tensorflow.nn.softmax,
        }

    def constant(self, array: Any) -> Any:
        return self._tf.constant(array)

    def dense(self, x: Any, matrix: Any, bias: Any) -> Any:
        return self._tf.nn.bias_add(x @ matrix, bias)

    def activate(self, name: str, x: Any) -> Any:
        return self._activations[name](x)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        return self._tf.clip_by_value(x, low, high)

    def sum(self, x: Any) -> Any:
        return self._tf.reduce_sum(x, 1, keepdims=True)

    def reshape(self, x: Any, *shape: int) -> Any:
        return self._tf.reshape(x, shape)

    def concatenate(self, values: list[Any]) -> Any:
        return self._tf.concat(values, 1)

    def columns(self, x: Any, columns: Any) -> Any:
        return self._tf.gather(x, columns, axis=1)

    def rows(self, table: Any, ids: Any, first: int) -> Any:
        places = self._tf.cast(ids, self._tf.int32) - first
        return self._tf.gather(table, self._tf.clip_by_value(places, 0, len(table) - 1))


class TensorFlow:
    """``tf.function``, as a graph or through XLA; its threads are set once a process, to all."""

    chunked = True

    def __init__(self, net: Net, setting: Setting) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        import tensorflow

        self.version = tensorflow.__version__
        self._tensorflow = tensorflow
        spec = tensorflow.TensorSpec((None, net.width), tensorflow.float32)
        forward = function(net, TensorFlowSpace(tensorflow))
        compiled = tensorflow.function(forward, [spec], jit_compile=setting.hint == "XLA")
        self._forward = compiled.get_concrete_function()

    @staticmethod
    def settings(threads: int, rows: int) -> list[Setting]:
        return [Setting(threads), Setting(threads, hint="XLA")]

    def bind(self, x: Float32, out: Float32, chunk: int) -> Bound:
        constant = self._tensorflow.constant
        pairs = [(constant(x), out) for x, out in blocks(x, out, chunk)]
        return copied(self._forward, pairs, lambda tensor: tensor.numpy())
