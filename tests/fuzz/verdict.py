"""What any file must come to, whoever wrote it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

import instjit as ij
from instjit.formats import FORMATS, Format
from instjit.formats.extras import NONE
from instjit.reference import run, work
from instjit.validate import problems
from instjit.validation_rows import validation_problems

SECONDS = 1.0
"""Of CPU time for one file of a few kilobytes."""

WORK = 20_000
"""Operations of all validation rows together that are done."""

SMALL = 20_000
"""Operations of a run that a model is put through."""

DEEP = 16
"""One in so many files is asked for everything: its sentence, its description, a run."""

LONGEST_SENTENCE = 20_000
"""Characters of a message: it quotes little of a file, and of 1,000 problems prints 20."""


class Violation(Exception):
    """A file had an effect that no file may have."""


def judge(codec: str, content: bytes, number: int = 0, written: int = 2, deep: int = DEEP) -> str:
    """How a file ends: the kind of the error, "Model", or "Problems" of its model.

    Parameters
    ----------
    codec
        Name of the format.
    content
        The file.
    number
        Of the file, for the two choices below.
    written
        Models whose number is a multiple of this are written and read again.
    deep
        Files whose number is a multiple of this are put through everything.

    Raises
    ------
    Violation
        Another exception than FormatError, a model that does not survive its own format, a result
        of another shape, or too long a time.
    """
    began = time.process_time()
    try:
        outcome = _judged(FORMATS[codec], content, number % deep == 0, number % written == 0)
    except Violation:
        raise
    except (
        Exception
    ) as error:  # RecursionError, MemoryError and warnings made errors are among them
        raise Violation(f"{type(error).__name__}: {error}") from error
    seconds = time.process_time() - began
    if seconds > SECONDS:
        raise Violation(f"took {seconds:.2f} s of CPU time, allowed {SECONDS:g} s")
    return outcome


def _judged(format: Format, content: bytes, deep: bool, thorough: bool) -> str:
    try:
        model = format.decode(content)
    except ij.FormatError as error:
        if deep:
            _said(error)
            _looked_at(format, content)
        return error.kind
    found = problems(model)
    if deep:
        _looked_at(format, content)
    if found:
        if deep:
            _said(ij.ModelError(found))
        return "Problems"
    failed = validation_problems(model, operations=WORK)
    if thorough:
        _survives(format, content, model, deep)
    if deep:
        if failed:
            _said(ij.ModelError(failed))
        _crosses(model)
        if work(model, 1) <= SMALL:
            _runs(model)
    return failed[0].kind if failed else "Model"


def _said(error: ij.InstjitError) -> None:
    """The sentence is one that can be printed."""
    text = str(error)
    text.encode()
    if not text or len(text) > LONGEST_SENTENCE:
        raise Violation(f"a sentence of {len(text)} characters: {text[:200]}")


def _looked_at(format: Format, content: bytes) -> None:
    """What else is asked of a file's bytes."""
    for look in (
        format.extras,
        format.scan,
        lambda content: orjson.dumps(format.describe(content)),
    ):
        try:
            look(content)
        except ij.FormatError as error:
            _said(error)


def _survives(format: Format, content: bytes, model: ij.Model, deep: bool) -> None:
    """What is written of a model is the model again, and what stood beside it."""
    extras = format.extras(content) if deep else NONE
    written = format.encode(model, extras)
    again = format.decode(written)
    if again != model:
        raise Violation(f"decoded {model!r}, wrote it, decoded again {again!r}")
    if deep:
        kept = format.extras(written)
        wanted = replace(extras, digests=kept.digests, unread=kept.unread)
        if kept != wanted:
            raise Violation(f"beside the model stood {extras!r}, after writing {kept!r}")


def _crosses(model: ij.Model) -> None:
    """Every format holds the model as it is, or rounded, or refuses it."""
    for format in FORMATS.values():
        try:
            written = format.encode(model)
        except ij.FormatError:
            continue
        again = format.decode(written)
        if format.name == "instmodel":
            if again != model.rounded:
                raise Violation(f"{format.name} made {again!r} of {model!r}")
        elif [a.tobytes() for a in again.weights] != [a.tobytes() for a in _used(model)]:
            raise Violation(f"{format.name} holds other weights than {model!r}")


def _used(model: ij.Model) -> list[Any]:
    """Weights in the order of the layers that use them."""
    return [model.weights[each.weights] for each in model.instructions if isinstance(each, ij.Dot)]


def _runs(model: ij.Model) -> None:
    result = run(model, np.zeros((1, model.input_size), np.float32))
    if result.shape != (1, model.output_size) or result.dtype != np.float32:
        raise Violation(f"gave {result.dtype} of shape {result.shape} for one row")
