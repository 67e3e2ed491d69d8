"""Files cut off and changed in every place, and files whose header asks for the impossible."""

from __future__ import annotations

import hashlib
import json
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz.damage import SAMPLES
from memory_probe import MIB, allowed, peak_growth, supported

import instjit as ij

ROOT = Path(__file__).parents[1]
FAMILY = {"instmodel": "json", "rmd1": "binary", "rnn0": "binary"}
PADDING = {"instmodel": 1, "rmd1": 1, "rnn0": 16}
"""Bytes at the end of a file that may be missing, and one."""

SECONDS = 0.5
needs_peak = pytest.mark.skipif(not supported(), reason="this system does not tell the peak")


@needs_peak
@pytest.mark.parametrize(
    ("codec", "way"),
    [
        ("instmodel", "truncations"),
        ("instmodel", "bits"),
        pytest.param("instmodel", "bytes", marks=pytest.mark.exhaustive),
        ("rmd1", "truncations"),
        ("rmd1", "bytes"),
        ("rnn0", "truncations"),
        ("rnn0", "bits"),
        pytest.param("rnn0", "bytes", marks=pytest.mark.exhaustive),
        ("rnn0", "repaired"),
    ],
)
def test_a_damaged_file_is_refused_or_means_something(codec, way) -> None:
    """In little time and memory, all of them one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.damage", codec, way],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    content = SAMPLES[codec]()
    assert told["files"] >= len(content) * {"truncations": 1, "bytes": 255}.get(way, 8)
    assert "a model with problems" not in told["kinds"]
    models = told["kinds"].get("Model", 0)
    assert models < PADDING[codec] if way == "truncations" else models > 0
    assert told["slowest"] < SECONDS
    assert told["growth"] < allowed(content, FAMILY[codec])


def rmd1(layers: bytes, count: int, weights: int, biases: int, payload: bytes = b"") -> bytes:
    return b"RMD1" + struct.pack("<2H3I", 1, 0, count, weights, biases) + layers + payload


def record(inputs: int, outputs: int, weights: int = 0, biases: int = 0) -> bytes:
    return struct.pack("<4I4x", inputs, outputs, weights, biases)


def chain(count: int, width: int, weights: int, biases: int) -> bytes:
    """Layers of one width that all use the same numbers."""
    payload = bytes(4 * (weights + biases))
    return rmd1(record(width, width) * count, count, weights, biases, payload)


def spread(count: int, width: int, weights: int) -> bytes:
    """Layers of one width whose ranges begin anywhere, all of them in each other."""
    last = weights - width * width
    layers = b"".join(record(width, width, k * 7919 % (last + 1)) for k in range(count))
    return rmd1(layers, count, weights, width, bytes(4 * (weights + width)))


def rnn0(blobs: list[bytes], payload: bytes, *others: bytes) -> bytes:
    """A container of blob records; what they refer to begins where the header ends."""
    table = b"".join(blobs)
    area = b"".join(others) + (b"\x03" + struct.pack("<I", len(table)) + table if blobs else b"")
    return b"RNN\0" + struct.pack("<2HI", 1, 0, 12 + len(area)) + area + payload


def blob(name: bytes, offset: int, length: int, digest: bytes = b"") -> bytes:
    head = struct.pack("<H", len(name)) + name + struct.pack("<2BI", 0, 1, length // 4 % 2**32)
    return head + struct.pack("<2Q", offset, length) + digest


def container(layers: bytes, weights: int, biases: int, extra: list[bytes], digests: bool) -> bytes:
    """A network, and other blobs that may refer to anything in the file."""
    payload = layers + bytes(4 * (weights + biases))
    digest = 32 * digests
    named = [(b"layer_meta", len(layers)), (b"weights", 4 * weights), (b"biases", 4 * biases)]
    size = 12 + 5 + sum(map(len, extra)) + sum(24 + len(name) + digest for name, _ in named)
    blobs, at = [], size
    for name, length in named:
        part = payload[at - size : at - size + length]
        sha = hashlib.sha256(part).digest() if digests else b""
        blobs.append(blob(name, at, length, sha))
        at += length
    return rnn0(blobs + extra, payload)


def overlapping(count: int, digest: bytes) -> bytes:
    """Blobs, every one of which takes nearly all of the payload of 32 MB, which is zeros."""
    extra = [blob(b"b%d" % (k % 10), EDGE + k, LONG, digest) for k in range(count)]
    layers = record(2828, 2828)
    return container(layers, 2828 * 2828, 2828, extra, bool(digest))


MOST = 65_535
"""Layers, of which there is one less than buffers."""

EDGE = 100_000
"""Bytes that the longest header takes, and some."""

LONG = 4 * 2828 * 2828 - 2 * EDGE
RIGHT = hashlib.sha256(bytes(LONG)).digest()
ZEROS = bytes(32)
WRONG = b"\xaa" * 32
HUGE = 2**32 - 1
BIG = ij.Limits(weights=2**62, slots=2**40)

Maker = Callable[[], bytes]
HOSTILE: dict[str, tuple[Maker, str]] = {
    "65,535 layers of one range": (lambda: chain(MOST, 1, 1, 1), "model"),
    "65,535 layers of four numbers": (lambda: chain(MOST, 2, 4, 2), "model"),
    "65,535 layers of ranges anywhere": (lambda: spread(MOST, 10, 3000), "model"),
    "65,537 layers": (lambda: chain(MOST + 2, 1, 1, 1), "FormatError: LimitExceeded"),
    "a million layers": (lambda: chain(10**6, 1, 1, 1), "FormatError: LimitExceeded"),
    "a million faulty layers": (
        lambda: rmd1(record(0, 0) * 10**6, 10**6, 1, 1, bytes(8)),
        "FormatError: LimitExceeded",
    ),
    "60,000 faulty layers": (
        lambda: rmd1(record(0, 0) * 60_000, 60_000, 1, 1, bytes(8)),
        "FormatError: InvalidLayer",
    ),
    "60,000 layers that do not fit": (
        lambda: rmd1((record(1, 2) + record(3, 1)) * 30_000, 60_000, 9, 9, bytes(72)),
        "FormatError: IncompatibleChain",
    ),
    "3,000 layers of one range of 64 MB": (lambda: chain(3000, 4000, 16 * 10**6, 4000), "model"),
    "9,000 layers in each other": (lambda: spread(9000, 3000, 16 * 10**6), "model"),
    "a range of 2^64 numbers": (
        lambda: rmd1(record(HUGE, HUGE, HUGE, HUGE), 1, 1, 1, bytes(8)),
        "FormatError: InvalidLayer",
    ),
    "4 GiB of weights in 100 bytes": (
        lambda: rmd1(record(1, 1), 1, HUGE, 1, bytes(60)),
        "FormatError: Truncated",
    ),
    "4 GiB of layers in 100 bytes": (
        lambda: rmd1(record(1, 1), HUGE, 1, 1, bytes(60)),
        "FormatError: Truncated",
    ),
    "64 MB that no layer uses": (
        lambda: rmd1(record(1, 1), 1, 16 * 10**6, 1, bytes(64 * 10**6 + 4)),
        "model",
    ),
    "64 MB behind the end": (lambda: chain(1, 1, 1, 1) + bytes(64 * 10**6), "model"),
    "a container of 65,535 layers": (
        lambda: container(record(1, 1) * MOST, MOST, MOST, [], True),
        "model",
    ),
    "a container of a million layers": (
        lambda: container(record(1, 1) * 10**6, 1, 1, [], True),
        "FormatError: LimitExceeded",
    ),
    "a header of 4 GiB": (
        lambda: b"RNN\0\x01\0\0\0" + struct.pack("<I", HUGE) + bytes(88),
        "FormatError: BadHeader",
    ),
    "a record of 4 GiB": (
        lambda: rnn0([], bytes(80), b"\x04" + struct.pack("<I", HUGE)),
        "FormatError: BadHeader",
    ),
    "a blob of 2^64 bytes": (
        lambda: rnn0([blob(b"weights", 0, 2**64 - 1, ZEROS)], bytes(40)),
        "FormatError: BadBounds",
    ),
    "a blob that wraps around": (
        lambda: rnn0([blob(b"weights", 2**64 - 4, 8, ZEROS)], bytes(40)),
        "FormatError: BadBounds",
    ),
    "13,000 empty header records": (
        lambda: rnn0([], b"", *[b"\x42\0\0\0\0"] * 13_000),
        "FormatError: ",
    ),
    "1,000 blobs of 32 MB in each other": (
        lambda: overlapping(1000, ZEROS),
        "FormatError: LimitExceeded",
    ),
    "1,000 blobs of 32 MB in each other, no digests": (
        lambda: overlapping(1000, b""),
        "FormatError: LimitExceeded",
    ),
    "1,000 digests of 32 MB": (lambda: overlapping(1000, RIGHT), "FormatError: LimitExceeded"),
    "one blob over the whole file": (lambda: overlapping(1, b""), "model"),
    "one right digest over the whole file": (lambda: overlapping(1, RIGHT), "model"),
    "one wrong digest over the whole file": (
        lambda: overlapping(1, WRONG),
        "FormatError: BadBounds",
    ),
    "1,000 names of nothing": (
        lambda: container(record(1, 1), 1, 1, [blob(b"", 0, 0, ZEROS)] * 1000, True),
        "model",
    ),
}


def seconds_of_children() -> float:
    """CPU time, which other processes do not lengthen."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@needs_peak
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_takes_little_memory_and_time(name) -> None:
    """4 x the file and 32 MiB, and a second a megabyte; with limits raised as far as they go."""
    make, outcome = HOSTILE[name]
    content = make()
    began = seconds_of_children()
    growth, told = peak_growth(content, limits=BIG)
    seconds = seconds_of_children() - began
    assert told.startswith(outcome)
    assert growth <= allowed(content, "binary"), f"{growth / MIB:.0f} MiB"
    assert seconds < 5 + len(content) / MIB / 4
