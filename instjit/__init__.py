"""Compiles instruction models into fused kernels for batches and single rows.

::

    import instjit

    model = instjit.load("fraud.json")        # a path, bytes, an open file or a parsed document
    kernel = instjit.compile(model)           # machine code for this CPU
    y = kernel.predict(X)                     # (rows, outputs) float32, from (rows, inputs)
    y0 = kernel.row(x)                        # one row, the shortest path
    print(kernel.source)                      # the generated function

    instjit.reference.run(model, X)           # the same bits in plain NumPy, slowly
    net = instjit.Model([2, 1], [instjit.Dot(0, 1, weights=0, activation="SIGMOID")],
                        weights=[[[0.5, -1]]], bias=[[2]], features=["a", "b"])
    instjit.validate(net)                     # () or every problem at once
    instjit.save(net, "net.json")             # or .rmd1, .rnn: the suffix tells the format
    instjit.convert("net.json", "net.rmd1")   # the same bits of output, or no file
    instjit.build("net.json", "libnet.so")    # a C library and its header
    instjit.load_library("libnet.so")         # called like a kernel, without Numba
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instjit import gpu as gpu
    from instjit import reference as reference
    from instjit.batch_predictor import BatchPredictor as BatchPredictor
    from instjit.compiler import compile as compile
    from instjit.compose import concatenate as concatenate
    from instjit.compose import from_transformations as from_transformations
    from instjit.convert import convert as convert
    from instjit.cost import Cost as Cost
    from instjit.cost import ModelCost as ModelCost
    from instjit.cost import cost as cost
    from instjit.errors import CompileError as CompileError
    from instjit.errors import FormatError as FormatError
    from instjit.errors import InputError as InputError
    from instjit.errors import InstjitError as InstjitError
    from instjit.errors import LossWarning as LossWarning
    from instjit.errors import ModelError as ModelError
    from instjit.errors import Problem as Problem
    from instjit.formats.limits import Limits as Limits
    from instjit.graph import Graph as Graph
    from instjit.graph import graph as graph
    from instjit.kernel import Kernel as Kernel
    from instjit.library.build import build as build
    from instjit.library.generic import build_generic as build_generic
    from instjit.library.loader import LibraryKernel as LibraryKernel
    from instjit.library.loader import load_library as load_library
    from instjit.load import load as load
    from instjit.load import save as save
    from instjit.model import Buffer as Buffer
    from instjit.model import LookupTable as LookupTable
    from instjit.model import Model as Model
    from instjit.model import ValidationData as ValidationData
    from instjit.ops import Activate as Activate
    from instjit.ops import Activation as Activation
    from instjit.ops import AddBufferHeads as AddBufferHeads
    from instjit.ops import AddElementwise as AddElementwise
    from instjit.ops import AddElementwiseBuffers as AddElementwiseBuffers
    from instjit.ops import Attention as Attention
    from instjit.ops import ClipElementwise as ClipElementwise
    from instjit.ops import Copy as Copy
    from instjit.ops import CopyMasked as CopyMasked
    from instjit.ops import Dot as Dot
    from instjit.ops import Instruction as Instruction
    from instjit.ops import MapTransform as MapTransform
    from instjit.ops import MulElementwise as MulElementwise
    from instjit.ops import MultiplyBufferHeads as MultiplyBufferHeads
    from instjit.ops import MultiplyElementwiseBuffers as MultiplyElementwiseBuffers
    from instjit.ops import ReduceSum as ReduceSum
    from instjit.population import Population as Population
    from instjit.table import generate_features as generate_features
    from instjit.validate import validate as validate

__version__ = "0.1.0"

_HOMES = {
    "batch_predictor": "BatchPredictor",
    "compiler": "compile",
    "compose": "concatenate from_transformations",
    "convert": "convert",
    "cost": "Cost ModelCost cost",
    "errors": "CompileError FormatError InputError InstjitError LossWarning ModelError Problem",
    "graph": "Graph graph",
    "kernel": "Kernel",
    "formats.limits": "Limits",
    "library.build": "build",
    "library.generic": "build_generic",
    "library.loader": "LibraryKernel load_library",
    "load": "load save",
    "model": "Buffer LookupTable Model ValidationData",
    "ops": (
        "Activate Activation AddBufferHeads AddElementwise AddElementwiseBuffers Attention "
        "ClipElementwise Copy CopyMasked Dot Instruction MapTransform MulElementwise "
        "MultiplyBufferHeads MultiplyElementwiseBuffers ReduceSum"
    ),
    "population": "Population",
    "table": "generate_features",
    "validate": "validate",
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

_PACKAGES = ("gpu", "reference")
"""What is reached as ``instjit.gpu.pack`` and ``instjit.reference.run``."""

__all__ = ["__version__", *_PACKAGES, *sorted(_MODULE_OF)]


def unpickled(*content: Any) -> Any:
    """What a pickle of a model or a kernel calls: its name is in each, so the path is short."""
    from instjit.portable import restored

    return restored(*content)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"instjit.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'instjit' has no attribute {name!r}")
    value = getattr(import_module(f"instjit.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``instjit.validate`` the function when the module ``instjit.validate`` is imported.

    The import system sets every submodule as an attribute of its package; the public functions that
    are named as their modules (validate, graph, compile, load, cost) would vanish behind those.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _MODULE_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
