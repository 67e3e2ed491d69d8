"""Whole files of every format, short ones: what mutations start from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

import numpy as np
from golden_cases import exported_models, group_cases
from nets import dense
from random_models import random_model

import instjit as ij
from instjit.formats import FORMATS, instmodel, writing
from instjit.formats.extras import Blob, Extras

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "rnn"
SHORT = 1500
"""Bytes of a seed, but for a few: time goes with length, and paths do not."""

WIDTHS = ((1, 1), (2, 1), (1, 2, 1), (2, 3, 1), (3, 2, 4, 2), (2, 2, 2, 2, 2, 2))


@cache
def seeds(codec: str) -> tuple[bytes, ...]:
    """Every seed of a format, in an order that is always the same."""
    makers = {"instmodel": _json, "rmd1": _rmd1, "rnn0": _rnn0}
    return tuple(dict.fromkeys(makers[codec]()))


def choose(codec: str, rng: Random) -> bytes:
    """A seed; a short one more often."""
    several = seeds(codec)
    return rng.choices(several, cum_weights=_weights(codec))[0]


@cache
def _weights(codec: str) -> tuple[float, ...]:
    return tuple(accumulate(1 / (400 + len(seed)) for seed in seeds(codec)))


def _json() -> Iterator[bytes]:
    yield from (writing.encode(random_model(number)[0]) for number in range(40))
    yield from (case.text for case in group_cases() if len(case.text) < SHORT)
    yield from (writing.encode(instmodel.decode(each.model)) for each in exported_models())
    yield complete_json()
    yield (ROOT / "examples" / "digits" / "digits.json").read_bytes()[:SHORT]  # cut off


def complete_json() -> bytes:
    """Every part that a document may have, in about 600 bytes."""
    return writing.encode(complete_model())


def complete_model() -> ij.Model:
    """A model with every part."""
    return ij.Model(
        [3, 2, 2, 1],
        [
            ij.MapTransform(0, 1, 2, 0, 0, 2, (0.5, -1)),
            ij.Dot(0, 2, 0, "TANH"),
            ij.AddElementwiseBuffers((1, 2), 2),
            ij.ClipElementwise(2, 0, 1),
            ij.CopyMasked(2, 1, (1, -1)),
            ij.Dot(1, 3, 1),
        ],
        [np.eye(2, 3), [[1, -0.5]]],
        [[0.25, 1e-40], [0]],
        parameters=[[-1, -2], [1]],
        maps=[{1: [1, 2], -7: [3, 4.5]}],
        features=["a", "b[2]"],
        feature_size=3,
        validation_data=([[1, 2, 3]], [[-0.017986208]]),
    )


def _chains() -> Iterator[ij.Model]:
    for widths in WIDTHS:
        for last in ("SIGMOID", None):
            model = dense(*widths, activation="TANH" if last else "RELU", last=last)
            yield model
            yield double(model)


def double(model: ij.Model) -> ij.Model:
    """The same numbers, kept in float64."""
    return ij.Model(
        model.buffers,
        model.instructions,
        model.weights,
        model.bias,
        feature_size=model.feature_size,
        dtype="float64",
    )


def _rmd1() -> Iterator[bytes]:
    yield from _golden("[!r]*.bin", "r[!n]*.bin")
    yield from (FORMATS["rmd1"].encode(model) for model in _chains())


def _rnn0() -> Iterator[bytes]:
    yield from _golden("rnn0_*.bin")
    for number, model in enumerate(_chains()):
        yield FORMATS["rnn0"].encode(model, _beside(number))
    yield complete_rnn0()


def complete_rnn0() -> bytes:
    r"""An RNN\0 file with a name, a benchmark, an unknown record and another blob."""
    return FORMATS["rnn0"].encode(dense(2, 3, 1), _beside(0))


def _beside(number: int) -> Extras:
    return (
        Extras(
            "net",
            b"BMK\x01" + bytes(range(28)),
            ((0x42, b"unknown"),),
            (Blob(b"log", 2, (5,), b"12345"),),
            digests=True,
        ),
        Extras(digests=True),
        Extras(name="\u00e9", records=((9, b""),)),
        Extras(blobs=(Blob(b"\xff", 0, (1, 1), bytes(4)), Blob(b"\xff", 1, (1,), bytes(8)))),
    )[number % 4]


def _golden(*patterns: str) -> Iterator[bytes]:
    for pattern in patterns:
        for path in sorted(GOLDEN.glob(pattern)):
            if path.stat().st_size < SHORT:
                yield path.read_bytes()
