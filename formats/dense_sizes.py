"""How much a dense network takes: from its widths, its records, or the header of its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from instjit.counted import shown, whole
from instjit.errors import FormatError, InputError, Problem
from instjit.formats.dense import DenseActivation, Layer
from instjit.formats.rmd1_bytes import read_start, reader_of

LARGEST = 2**64 - 1
"""Largest size of anything: the crate counts in 64 bits."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many layers, weights and biases a network has."""

    layers: int
    weights: int
    biases: int


@dataclass(frozen=True, slots=True)
class Buffers:
    """How many elements the buffers of a caller of the crate hold."""

    layer_specs: int
    weights: int
    biases: int
    infer_scratch: int


def validate_topology(topology: Iterable[int], kind: str = "InvalidTopology") -> tuple[int, ...]:
    """The widths, input first, as ints.

    Raises
    ------
    InputError
        InvalidTopology, or the given kind: fewer than two widths, or one that is no number above 0.
    """
    try:
        widths = tuple(whole(width) for width in topology)
    except TypeError as error:
        message = f"topology: expected widths such as [2, 3, 1], got {shown(topology, 60)}"
        raise InputError(Problem(kind, message)) from error
    if len(widths) < 2:
        message = f"topology: expected at least 2 widths, input and output, got {len(widths)}"
        raise InputError(Problem(kind, message))
    for place, width in enumerate(widths):
        if width < 1:
            message = f"topology: width {place} is {shown(width)}, must be above 0"
            raise InputError(Problem(kind, message, fields={"place": place, "width": width}))
    return widths


def required_from_topology(topology: Iterable[int]) -> Counts:
    """Counts of a network of these widths.

    Raises
    ------
    InputError
        InvalidTopology, also for more than 2^64 - 1 of anything.
    """
    counts = _counts(validate_topology(topology))
    _check_size(counts.weights, "InvalidTopology", "weights")
    return counts


def required_from_bytes(content: bytes) -> Counts:
    """Counts as the header of an RMD1 file states them; nothing behind the header is asked for.

    Raises
    ------
    FormatError
        BadBytes: fewer than 20 bytes, another magic, another version, in this order.
    """
    reader = reader_of(content)
    try:
        read_start(reader)
    except FormatError as error:
        raise FormatError(Problem("BadBytes", str(error), fields=error.fields)) from None
    reader.u16("the flags")
    layers, weights, biases = (reader.u32(what) for what in ("layers", "weights", "biases"))
    return Counts(layers, weights, biases)


def required_buffers(topology: Iterable[int]) -> Buffers:
    """Elements of the crate's buffers for a network of these widths and one row.

    Raises
    ------
    InputError
        InvalidTopology; CapacityTooSmall for more than 2^64 - 1 of anything.
    """
    widths = validate_topology(topology)
    counts = _counts(widths)
    scratch = 2 * max(widths)
    _check_size(max(counts.weights, scratch), "CapacityTooSmall", "elements")
    return Buffers(counts.layers, counts.weights, counts.biases, scratch)


def infer_scratch(topology: Iterable[int], rows: int = 1) -> int:
    """Elements of scratch that the crate takes for so many rows: two lanes of the widest buffer.

    ``widths_of`` gives the topology of layer records.

    Raises
    ------
    InputError
        InvalidTopology; ShapeMismatch for less than one row, or what is no number of rows;
        CapacityTooSmall for more than 2^64 - 1 elements.
    """
    try:
        height = whole(rows)
    except TypeError:
        height = 0
    if height < 1:
        message = f"rows: expected a number of at least 1, got {shown(rows)}"
        raise InputError(Problem("ShapeMismatch", message))
    size = 2 * height * max(validate_topology(topology))
    _check_size(size, "CapacityTooSmall", f"elements for {shown(height)} rows")
    return size


def validate_counts(topology: Iterable[int], weights: int, biases: int) -> None:
    """Compare lengths with what a topology takes.

    Raises
    ------
    InputError
        InvalidTopology; CapacityTooSmall when they are not equal, or are no numbers.
    """
    wanted = required_from_topology(topology)
    for what, expected, got in (
        ("weights", wanted.weights, weights),
        ("biases", wanted.biases, biases),
    ):
        try:
            equal = whole(got) == expected
        except TypeError:
            equal = False
        if not equal:
            message = f"the topology takes {expected} {what}, got {shown(got)}"
            fields = {"expected": expected, "got": got}
            raise InputError(Problem("CapacityTooSmall", message, fields=fields))


def contiguous(
    topology: Iterable[int],
    hidden: DenseActivation | str = DenseActivation.RELU,
    output: DenseActivation | str = DenseActivation.IDENTITY,
) -> tuple[Layer, ...]:
    """Records of a network of these widths, their ranges one after the other.

    Raises
    ------
    InputError
        InvalidTopology, InvalidActivation.
    """
    widths = validate_topology(topology)
    last = len(widths) - 2
    between, final = _activation(hidden), _activation(output)
    layers, weight_offset, bias_offset = [], 0, 0
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        kind = final if number == last else between
        layers.append(Layer(inputs, outputs, weight_offset, bias_offset, kind))
        weight_offset += inputs * outputs
        bias_offset += outputs
    return tuple(layers)


def _activation(named: Any) -> DenseActivation:
    try:
        key = named if isinstance(named, str) else whole(named)
    except TypeError:
        key = None
    for member in DenseActivation:
        if key in (member.value, member.name, member.name.lower()):
            return member
    known = ", ".join(member.name.lower() for member in DenseActivation)
    message = f"there is no activation {shown(named)}, expected one of {known}"
    raise InputError(Problem("InvalidActivation", message))


def _counts(widths: Sequence[int]) -> Counts:
    weights = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    return Counts(len(widths) - 1, weights, sum(widths[1:]))


def _check_size(size: int, kind: str, what: str) -> None:
    if size > LARGEST:
        message = f"topology: takes more than {LARGEST:,} {what}, which nothing counts"
        raise InputError(Problem(kind, message, fields={"max": LARGEST}))
