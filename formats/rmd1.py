"""RMD1: dense networks in one flat binary file, and the crate's functions over them.

==============================================  ==========================================
`native_neural_network` 0.1                     here
==============================================  ==========================================
rnn_required_dense_from_topology                ``required_from_topology``
rnn_required_dense_from_bytes_v1                ``required_from_bytes``
rnn_dense_required_buffers                      ``required_buffers``
rnn_dense_required_infer_scratch_from_specs     ``infer_scratch(widths_of(layers))``
rnn_validate_dense_topology                     ``validate_topology``
rnn_validate_dense_counts                       ``validate_counts``
build_dense_specs_from_layers                   ``contiguous``
rnn_pack_dense_v1                               ``pack``
encode of explicit records                      ``pack_dense``
rnn_unpack_dense_v1                             ``unpack``
validate of a layer plan                        ``validate_plan``
rnn_run_dense_v1, single and batch              ``run``
initializers                                    ``initial``
the sample of its README                        ``sample``
==============================================  ==========================================

A caller's mistake is an ``InputError``, a file's fault a ``FormatError``; kinds are named as the
crate names them. It gives a header without layers no certain kind: here it is BadHeader in a file,
EmptyPlan in a ``Dense``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instjit.arrays import vector
from instjit.counted import count
from instjit.formats.chain import to_dense, to_model
from instjit.formats.dense import (
    Dense,
    DenseActivation,
    Layer,
    describe_layers,
    described_ranges,
    element_type,
    unused_numbers,
    widths_of,
)
from instjit.formats.dense_run import run, validate_plan
from instjit.formats.dense_sizes import (
    Buffers,
    Counts,
    contiguous,
    infer_scratch,
    required_buffers,
    required_from_bytes,
    required_from_topology,
    validate_counts,
    validate_topology,
)
from instjit.formats.extras import NONE, Extras
from instjit.formats.initial import initial, sample
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.rmd1_bytes import MAGIC, VERSION, pack_dense, read_header, reader_of, unpack
from instjit.model import Model

__all__ = [
    "Buffers",
    "Counts",
    "Dense",
    "DenseActivation",
    "Layer",
    "contiguous",
    "decode",
    "describe",
    "encode",
    "extras",
    "infer_scratch",
    "initial",
    "pack",
    "pack_dense",
    "required_buffers",
    "required_from_bytes",
    "required_from_topology",
    "run",
    "sample",
    "sniff",
    "unpack",
    "validate_counts",
    "validate_plan",
    "validate_topology",
    "widths_of",
]


def sniff(head: bytes) -> bool:
    """Whether a file that begins with these bytes says that it is RMD1."""
    return head.startswith(MAGIC)


def decode(content: bytes, limits: Limits = DEFAULT) -> Model:
    """The model of a file; its arrays are views of the file's bytes.

    Raises
    ------
    FormatError
        As ``unpack``; IncompatibleChain.
    """
    return to_model(unpack(content, limits))


def encode(model: Model, extras: Extras = NONE) -> bytes:
    """The canonical file of a model, its layers one after the other.

    Raises
    ------
    FormatError
        NotADenseChain; BadHeader when it is too large.
    """
    return pack_dense(to_dense(model))


def extras(content: bytes, limits: Limits = DEFAULT) -> Extras:
    """What the file holds beside the model: bytes and numbers that nothing reads.

    Raises
    ------
    FormatError
        As ``unpack``.
    """
    unread = list(unused_numbers(unpack(content, limits)))
    trailing = len(content) - read_header(reader_of(content)).file_bytes
    if trailing:
        unread.append(count(trailing, "trailing byte"))
    return Extras(unread=tuple(unread))


def describe(content: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """What the file holds, for ``inspect``: JSON values.

    Raises
    ------
    FormatError
        As ``unpack``.
    """
    dense = unpack(content, limits)
    header = read_header(reader_of(content))
    return {
        "version": VERSION,
        "dtype": dense.dtype,
        "layers": describe_layers(dense.layers),
        "counts": {
            "layers": header.layers,
            "weights": header.weights,
            "biases": header.biases,
        },
        **described_ranges(dense),
        "bytes": {
            "file": len(content),
            "weights": header.weights * header.dtype.itemsize,
            "biases": header.biases * header.dtype.itemsize,
            "trailing": len(content) - header.file_bytes,
        },
    }


def pack(
    topology: Iterable[int],
    weights: Any,
    biases: Any,
    hidden: DenseActivation | str = DenseActivation.RELU,
    output: DenseActivation | str = DenseActivation.IDENTITY,
    dtype: str = "float32",
) -> bytes:
    """The file of a network of these widths.

    Parameters
    ----------
    topology
        Widths, the input first.
    weights, biases
        All numbers, layer after layer; weights of a layer [output][input].
    hidden, output
        Activation of all layers but the last, and of the last.
    dtype
        "float32" or "float64".

    Raises
    ------
    InputError
        InvalidTopology, CapacityTooSmall (another count of numbers), InvalidActivation,
        InvalidDtype.
    ModelError
        InvalidArray: no flat list of numbers.
    FormatError
        BadHeader: more of something than 32 bits count.
    """
    layers = contiguous(topology, hidden, output)
    target = element_type(dtype)
    flat = vector(weights, "weights", target), vector(biases, "biases", target)
    validate_counts(widths_of(layers), *map(len, flat))
    return pack_dense(Dense.of(layers, *flat, dtype))
