"""What a file of a format cannot hold of a model and what travels with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from instjit.counted import count
from instjit.errors import Problem
from instjit.formats.extras import Extras
from instjit.model import Model


def losses(model: Model, extras: Extras, holds: frozenset[str]) -> tuple[str, ...]:
    """One phrase for each thing that a format which ``holds`` these would drop.

    Parameters
    ----------
    model, extras
        What is to be written.
    holds
        ``Format.holds``.
    """
    return tuple(phrase for part, phrase in _held(model, extras) if part not in holds)


def sentence(name: str, lost: Sequence[str]) -> str:
    """One sentence about what a file of the format ``name`` does not hold."""
    *others, last = lost
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"{name} has no place for {listed}"


def not_held(name: str, lost: Sequence[str]) -> tuple[Problem, ...]:
    """The same as problems, one for each thing."""
    return tuple(
        Problem("NotHeld", sentence(name, [phrase]), fields={"format": name, "lost": phrase})
        for phrase in lost
    )


def _held(model: Model, extras: Extras) -> Iterator[tuple[str, str]]:
    if model.features:
        yield "features", f"{count(len(model.features), 'feature name')}"
    if model.validation_data is not None:
        yield "validation", count(len(model.validation_data.inputs), "validation row")
    if model.dtype != "float32":
        yield "float64", "float64 numbers (rounded to float32)"
    if extras.name is not None:
        yield "name", "the model's name"
    if extras.benchmark is not None:
        yield "benchmark", "the benchmark record"
    if extras.records:
        yield "records", count(len(extras.records), "header record")
    if extras.blobs:
        yield "blobs", count(len(extras.blobs), "blob")
    if extras.digests:
        yield "digests", "digests of the payloads"
    for phrase in extras.unread:
        yield "unread", phrase
