r"""The scanner's rules for an RNN\0 container: those for the network in it, and those for the rest.

The order and the kinds are those of the scanner in the Rust crate `native_neural_network` 0.3,
which has one kind, InvalidPayload, for most of them. What it finds in the layer records as RMD1
keeps the kind it has there. Its checks of neuron positions are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from instjit.collecting import Collected
from instjit.errors import FormatError, Problem
from instjit.formats.container import (
    BENCHMARK,
    FIXED_BYTES,
    VERSION,
    Container,
    Entry,
    Header,
    parse,
    printable,
    read_header,
)
from instjit.formats.dense import (
    DTYPES,
    RECORD_BYTES,
    Dense,
    chain_problems,
    check_layer_count,
    range_problems,
    read_layers,
)
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.reader import F32, Reader

LAYER_META, WEIGHTS, BIASES = b"layer_meta", b"weights", b"biases"
MODEL_BLOBS = (LAYER_META, WEIGHTS, BIASES)


def scan(content: bytes, limits: Limits = DEFAULT) -> tuple[Problem, ...]:
    """What the rules have against a file, in their order."""
    found = Collected()
    try:
        found.extend(version_problems(read_header(content)))
        container = _parsed(content, limits)
        found.extend(scan_parsed(container, digests(container), limits))
    except FormatError as error:
        found.extend(error.problems)
    return found.problems()


def version_problems(header: Header) -> Iterator[Problem]:
    """BadVersion."""
    if header.version != VERSION:
        message = f"version is {header.version}, expected {VERSION}"
        yield Problem("BadVersion", message, fields={"version": header.version})


def digests(container: Container) -> tuple[bool | None, ...]:
    """Of every blob, whether its payload has the digest of the table; None where it has none."""
    return tuple(container.digest_matches(entry) for entry in container.entries)


def scan_parsed(
    container: Container, matches: Sequence[bool | None], limits: Limits
) -> Iterator[Problem]:
    """The problems of a file that parses, but for its version; ``matches`` are its ``digests``."""
    yield from digest_problems(container, matches)
    blobs = tuple(blob_problems(container))
    yield from blobs
    yield from _benchmark_problems(container)
    if blobs:
        return
    try:
        dense = network(container, limits)
    except FormatError as error:
        yield from error.problems
        return
    yield from network_problems(dense)
    yield from chain_problems(dense.layers)


def digest_problems(container: Container, matches: Sequence[bool | None]) -> Iterator[Problem]:
    """BadBounds for every blob whose payload has another digest than its table says."""
    for number, (entry, match) in enumerate(zip(container.entries, matches, strict=True)):
        if match is False:
            message = (
                f"blob {number} ({printable(entry.name)!r}): the SHA-256 of its payload is not"
            )
            yield Problem("BadBounds", f"{message} that of the table", fields={"blob": number})


def blob_problems(container: Container) -> Iterator[Problem]:
    """InvalidPayload unless the container's blobs can hold a network."""
    found = {name: container.entry(name) for name in MODEL_BLOBS}
    present = {name: entry for name, entry in found.items() if entry and entry.length}
    for name, entry in found.items():
        if name not in present:
            yield _invalid(name, "is empty" if entry else "is missing")
    if LAYER_META in present and present[LAYER_META].length % RECORD_BYTES:
        length = present[LAYER_META].length
        yield _invalid(LAYER_META, f"has {length} bytes, which are no records of {RECORD_BYTES}")
    yield from _dtype_problems(present)


def network(container: Container, limits: Limits) -> Dense:
    """The network of a container whose blobs can hold one.

    Raises
    ------
    FormatError
        LimitExceeded; InvalidActivation.
    """
    entries = {entry.name: entry for entry in reversed(container.entries)}  # the first one stays
    count = entries[LAYER_META].length // RECORD_BYTES
    check_layer_count(count, limits)
    dtype = DTYPES[entries[WEIGHTS].dtype]
    payloads = (
        _reader(container, entries[name]).floats(
            entries[name].length // dtype.itemsize, dtype, name.decode()
        )
        for name in (WEIGHTS, BIASES)
    )
    return Dense(read_layers(_reader(container, entries[LAYER_META]), count), *payloads)


def network_problems(dense: Dense) -> Iterator[Problem]:
    """InvalidPayload for float32 payloads that are not the layers'; InvalidLayer."""
    if dense.weights.dtype == F32:
        for name, wanted, held in (
            (WEIGHTS, sum(layer.weights for layer in dense.layers), dense.weights.count),
            (BIASES, sum(layer.output_size for layer in dense.layers), dense.biases.count),
        ):
            if wanted != held:
                yield _invalid(name, f"holds {held} numbers, the layers have {wanted}")
        yield from _not_finite(dense)
    yield from range_problems(dense.layers, dense.weights.count, dense.biases.count)


def _parsed(content: bytes, limits: Limits) -> Container:
    try:
        return parse(content, limits)
    except FormatError as error:
        if error.kind == "LimitExceeded":
            raise
        message = f"the container cannot be read: {error.problems[0].message}"
        fields = {**error.fields, "cause": error.kind}
        raise FormatError(Problem("InvalidContainer", message, fields=fields)) from error


def _reader(container: Container, entry: Entry) -> Reader:
    stop = entry.offset + entry.length
    return Reader(container.content, entry.name.decode(), "InvalidPayload", entry.offset, stop)


def _dtype_problems(present: dict[bytes, Entry]) -> Iterator[Problem]:
    dtypes = {name: entry.dtype for name, entry in present.items()}
    if len(set(dtypes.values())) > 1:
        said = ", ".join(f"{name.decode()} {dtype}" for name, dtype in dtypes.items())
        message = f"the blobs of a network have the same dtype, these have {said}"
        yield Problem("InvalidPayload", message, fields={"blob": "weights"})
    for name, entry in present.items():
        if entry.dtype not in DTYPES:
            yield _invalid(name, f"dtype is {entry.dtype}, expected 0 f32 or 1 f64")
        elif name != LAYER_META and entry.length % DTYPES[entry.dtype].itemsize:
            size = DTYPES[entry.dtype].itemsize
            yield _invalid(name, f"has {entry.length} bytes, which are no numbers of {size}")


def _benchmark_problems(container: Container) -> Iterator[Problem]:
    size = container.header.size
    if size < FIXED_BYTES:  # the parser lets it pass, the search for a record does not
        message = f"header_size is {size}, the header takes at least {FIXED_BYTES} bytes"
        yield Problem("BadHeader", message, fields={"size": size})
    elif not container.record(BENCHMARK):
        message = "the benchmark record is missing or empty"
        yield Problem("InvalidPayload", message, fields={"record": BENCHMARK})


def _not_finite(dense: Dense) -> Iterator[Problem]:
    count = dense.weights.count
    starts = [min(layer.weight_offset, count) for layer in dense.layers]
    held = [number for number, start in enumerate(starts) if start < count]
    firsts = dense.weights.array[[starts[number] for number in held]]
    for number in np.flatnonzero(~np.isfinite(firsts)):
        layer = held[number]
        message = f"layer {layer}: its first weight is not finite"
        yield Problem("InvalidPayload", message, fields={"layer": layer})


def _invalid(name: bytes, message: str) -> Problem:
    text = name.decode()
    return Problem("InvalidPayload", f"blob {text!r} {message}", fields={"blob": text})
