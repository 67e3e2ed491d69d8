r"""RNN\0: a container of named blobs, one network among them.

``load`` refuses what the scanner refuses, except a missing benchmark record and another version.
Signatures (``auth.*`` blobs) are kept and shown, not verified; a file that is written anew with
them will not match them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from instjit.collecting import Collected, refuse
from instjit.errors import FormatError, Problem
from instjit.formats import summary
from instjit.formats.chain import to_dense, to_model
from instjit.formats.container import (
    BENCHMARK,
    ENCRYPTED_MAGIC,
    MAGIC,
    NAME,
    SUMMARY,
    TABLE,
    VERSION,
    Container,
    Entry,
    key_version,
    parse,
    printable,
)
from instjit.formats.container_writing import pack
from instjit.formats.dense import U32_MAX, Dense, describe_layers, record, unused_numbers
from instjit.formats.extras import NONE, Blob, Extras
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.reader import F64
from instjit.formats.scanner import (
    BIASES,
    LAYER_META,
    MODEL_BLOBS,
    WEIGHTS,
    blob_problems,
    digest_problems,
    digests,
    network,
    network_problems,
    scan,
    scan_parsed,
    version_problems,
)
from instjit.model import Model

__all__ = ["decode", "describe", "encode", "extras", "scan", "sniff"]

EMPTY_BENCHMARK = b"BMK\x01"
"""Written where there is no benchmark record, since the scanner demands one."""

SHOWN_BYTES = 32
"""Bytes of a record that ``describe`` shows."""


def sniff(head: bytes) -> bool:
    r"""Whether a file that begins with these bytes says that it is an RNN\0 container.

    Encrypted ones begin otherwise; they are known so that they can be refused by name.
    """
    return head.startswith((MAGIC, ENCRYPTED_MAGIC))


def decode(content: bytes, limits: Limits = DEFAULT) -> Model:
    """Read a model: its arrays are views of the file's bytes where these are aligned.

    Raises
    ------
    FormatError
        The parser's kinds (``container.parse``); BadBounds, InvalidPayload, InvalidActivation,
        InvalidLayer (``scan``); EmptyPlan, IncompatibleChain; LimitExceeded.
    """
    return to_model(_dense(content, limits))


def extras(content: bytes, limits: Limits = DEFAULT) -> Extras:
    """What the file holds beside the model.

    A name that is not UTF-8 stays a record, and so do all others of its type. Network summaries are
    left out, and so is a benchmark record that says nothing: they are written anew.
    """
    container = parse(content, limits)
    name = _name(container)
    benchmark = container.record(BENCHMARK)
    single = ({NAME} if name is not None else set()) | {BENCHMARK}
    records = []
    for kind, value in container.records:
        if kind in single:
            single.remove(kind)
        elif kind not in (TABLE, SUMMARY):
            records.append((kind, value))
    taken = {id(container.entry(name)) for name in MODEL_BLOBS}
    blobs = tuple(
        Blob(entry.name, entry.dtype, entry.dims, bytes(container.payload(entry)))
        for entry in container.entries
        if id(entry) not in taken
    )
    has_digests = any(entry.digest for entry in container.entries)
    kept = None if benchmark in (b"", EMPTY_BENCHMARK) else benchmark
    return Extras(name, kept, tuple(records), blobs, has_digests, tuple(_unread(container, limits)))


def encode(model: Model, extras: Extras = NONE) -> bytes:
    """Write a model, with digests: a file that ``scan`` has nothing against.

    Raises
    ------
    FormatError
        NotADenseChain; BadHeader for a header longer than the format allows, or numbers that have
        no room in it; InvalidPayload for a float32 layer whose first weight is not finite.
    """
    dense = to_dense(model)
    figures = _summary(dense, extras)
    largest = max(figures.total_neurons, figures.weights_len)
    if largest > U32_MAX:
        message = (
            f"the network has {largest:,} neurons or weights, the format counts to {U32_MAX:,}"
        )
        raise FormatError(Problem("BadHeader", message))
    refuse(network_problems(dense))
    meta = b"".join(record(layer) for layer in dense.layers)
    blobs = (
        Blob(LAYER_META, figures.dtype, (len(dense.layers), 5), meta),
        Blob(WEIGHTS, figures.dtype, (dense.weights.count,), dense.weights.array.tobytes()),
        Blob(BIASES, figures.dtype, (dense.biases.count,), dense.biases.array.tobytes()),
        *extras.blobs,
    )
    records = [] if extras.name is None else [(NAME, _encoded(extras.name))]
    records.append((BENCHMARK, extras.benchmark or EMPTY_BENCHMARK))
    records.append((SUMMARY, summary.encode(figures)))
    return pack((*records, *extras.records), blobs)


def describe(content: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """What the file holds, for ``inspect``: JSON values.

    A file without a network has ``layers`` null. ``digest_ok`` is null where there is no digest;
    ``not_verified`` names the signatures, of which nobody knows more than that they are there.

    Raises
    ------
    FormatError
        The file does not parse and is no encrypted container either.
    """
    key = key_version(content)
    if key is not None:
        return {"encrypted": True, "key_version": key, "problems": _said(scan(content, limits))}
    container = parse(content, limits)
    matches = digests(container)
    found = Collected(version_problems(container.header))
    found.extend(scan_parsed(container, matches, limits))
    benchmark = container.record(BENCHMARK)
    return {
        "encrypted": False,
        "version": container.header.version,
        "flags": container.header.flags,
        "header_size": container.header.size,
        "name": _name(container),
        "summary": _described_summary(container.record(SUMMARY)),
        "benchmark": None if benchmark is None else _described_bytes(benchmark),
        "records": [{"type": kind, **_described_bytes(each)} for kind, each in container.records],
        "blobs": list(map(_described_blob, container.entries, matches)),
        "not_verified": [printable(name) for name in _signatures(container)],
        "layers": _described_layers(container, limits),
        "problems": _said(found.problems()),
    }


def _dense(content: bytes, limits: Limits) -> Dense:
    """The network; what was parsed on the way is gone when the model is built."""
    container = parse(content, limits)
    refuse(digest_problems(container, digests(container)))
    refuse(blob_problems(container))
    dense = network(container, limits)
    refuse(network_problems(dense))
    return dense


def _unread(container: Container, limits: Limits) -> Iterator[str]:
    header = container.header
    if header.version != VERSION:
        yield f"version {header.version}"
    if header.flags:
        yield f"flags {header.flags:#06x}"
    if any(_signatures(container)):
        yield "the truth of its signatures, which are copied but made for the old file"
    if not any(blob_problems(container)):
        with suppress(FormatError):
            yield from unused_numbers(network(container, limits))


def _name(container: Container) -> str | None:
    """The first name record, if it is UTF-8."""
    value = container.record(NAME)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        message = f"the name {name[:64]!r} cannot be written in UTF-8"
        raise FormatError(Problem("BadHeader", message)) from error


def _signatures(container: Container) -> Iterator[bytes]:
    return (entry.name for entry in container.entries if entry.name.startswith(b"auth."))


def _summary(dense: Dense, extras: Extras) -> summary.Summary:
    flags = summary.LAYER_META | summary.WEIGHTS | summary.BIASES
    if any(blob.name == b"neuron_positions" for blob in extras.blobs):
        flags |= summary.NEURON_POSITIONS
    return summary.Summary(
        dtype=int(dense.weights.dtype == F64),
        layer_count=len(dense.layers),
        total_neurons=dense.layers[0].input_size + dense.biases.count,
        weights_len=dense.weights.count,
        biases_len=dense.biases.count,
        blob_count=len(MODEL_BLOBS) + len(extras.blobs),
        flags=flags,
    )


def _described_summary(value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        return asdict(summary.decode(value))
    except FormatError as error:
        return {"error": error.problems[0].message}


def _described_bytes(value: bytes) -> dict[str, Any]:
    return {"bytes": len(value), "hex": value[:SHOWN_BYTES].hex()}


def _described_blob(entry: Entry, match: bool | None) -> dict[str, Any]:
    return {
        "name": printable(entry.name),
        "dtype": entry.dtype,
        "dims": list(entry.dims),
        "offset": entry.offset,
        "bytes": entry.length,
        "digest": entry.digest.hex() if entry.digest else None,
        "digest_ok": match,
    }


def _described_layers(container: Container, limits: Limits) -> list[dict[str, Any]] | None:
    """The layer records; None where there are none, or none that can be read."""
    if any(blob_problems(container)):
        return None
    try:
        layers = network(container, limits).layers
    except FormatError:
        return None
    return describe_layers(layers)


def _said(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"kind": problem.kind, "message": problem.message} for problem in problems]
