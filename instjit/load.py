"""Files <-> models."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any, TypeAlias

from instjit.content import content_of
from instjit.errors import FormatError, LossWarning, ModelError, Problem
from instjit.formats import FORMATS, Format, for_suffix, named, sniff
from instjit.formats.extras import NONE, Extras
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.losses import losses, not_held, sentence
from instjit.model import Model
from instjit.replacing import check_target, replacing
from instjit.validate import problems, validate
from instjit.validation_rows import validation_problems

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Mapping[str, Any]"
)


def load(
    source: Source, *, check: bool = True, limits: Limits = DEFAULT, format: str | None = None
) -> Model:
    """Read a model and make sure that it means something.

    Parameters
    ----------
    source
        A path, the bytes of a file, an open binary file, or a parsed JSON document. Arrays of a
        model from a binary file are views of its bytes; a bytearray or a memoryview is copied.
    check
        Whether to run the validation rows that the file may hold. They cannot hold the caller up:
        ``limits.validation_operations`` bounds their work before it is begun.
    limits
        Bounds on what a file may ask for.
    format
        "instmodel", "rmd1" or "rnn0"; found from the content, never from the name, when left out.

    Raises
    ------
    FormatError
        The file cannot be read, is over a limit, or is not of the format.
    ModelError
        The model breaks a rule, gives other outputs than its validation rows say, or has rows that
        take more work than the limit (LimitExceeded).
    """
    model = decode(source, limits=limits, format=format)
    found = problems(model, slots=limits.slots, weights=limits.weights)
    if check and not found:
        found = validation_problems(model, operations=limits.validation_operations)
    if found:
        raise ModelError(found)
    return model


def decode(source: Source, *, limits: Limits = DEFAULT, format: str | None = None) -> Model:
    """Read a model without asking what it means; the arguments of ``load``, FormatError only."""
    codec = None if format is None else named(format)
    if isinstance(source, Mapping):
        if codec not in (None, FORMATS["instmodel"]):
            message = f"a parsed document is of the format instmodel, {format} was asked for"
            raise FormatError(Problem("UnknownFormat", message))
        return FORMATS["instmodel"].decode(source, limits)
    content = content_of(source, limits)
    return (codec or sniff(content)).decode(content, limits)


def save(
    model: Model,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    strict: bool = False,
    limits: Limits = DEFAULT,
) -> None:
    """Write a model to a file: to a new one beside it, which then takes its name.

    A symbolic link is followed: the file it points to is replaced.

    Parameters
    ----------
    model
        A model without problems.
    path
        Where to; the suffix (.json, .rmd1, .rnn, .rnn0) tells the format unless ``format`` does.
    format
        "instmodel", "rmd1" or "rnn0".
    strict
        Whether to refuse what the format cannot hold, such as feature names in RMD1, instead of
        leaving it out with a ``LossWarning``.
    limits
        As for ``load``.

    Raises
    ------
    ModelError
        The model has problems.
    FormatError
        No format has this suffix (UnknownFormat), or the format cannot hold the model: the
        instructions are no dense chain (NotADenseChain), a number is not finite (NonFiniteWeights
        and NonFiniteNumber, in JSON), or ``strict`` and a part would be lost (NotHeld).
    InputError
        NotAFile: there is something at ``path`` that is no regular file.
    OSError
        The file cannot be written.
    """
    codec = target_format(path, format)
    check_target(path, force=True)
    found = validate(model, limits=limits)
    if found:
        raise ModelError(found)
    content, lost = encoded(codec, model, NONE, strict)
    if lost:
        warnings.warn(sentence(codec.name, lost), LossWarning, stacklevel=2)
    with replacing(path, force=True) as file:
        file.write(content)


def target_format(path: str | os.PathLike[str], format: str | None) -> Format:
    """The format to write to ``path``; UnknownFormat when neither argument tells."""
    return for_suffix(path) if format is None else named(format)


def encoded(
    codec: Format, model: Model, extras: Extras, strict: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file, and a phrase for each thing that it does not hold.

    Raises
    ------
    FormatError
        The format cannot hold the model; NotHeld for what would be lost, when ``strict``.
    """
    try:
        content = codec.encode(model, extras)  # first: what it refuses no option can help
    except FormatError as error:
        raise FormatError(_told(problem, codec) for problem in error.problems) from error
    lost = losses(model, extras, codec.holds)
    if strict and lost:
        raise FormatError(not_held(codec.name, lost))
    return content, lost


def _told(problem: Problem, codec: Format) -> Problem:
    return replace(problem, message=f"{codec.name} cannot hold the model: {problem.message}")
