"""A model file -> one of another format, proven on random rows before it appears."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.arithmetic import FloatArray
from instjit.content import content_of
from instjit.errors import FormatError, ModelError, Problem
from instjit.formats import Format, named, sniff
from instjit.formats.extras import NONE, Extras
from instjit.formats.limits import DEFAULT, Limits
from instjit.load import Source, encoded, load, target_format
from instjit.model import Model
from instjit.reference import run, run64, work
from instjit.replacing import check_apart, check_target, replacing

MOST_ROWS = 256
"""Rows that are compared of a small model."""

OPERATIONS = 2**25
"""Work of the compared rows, in ``reference.work``: under a second."""

LEAST_ROWS = 4
"""One of each kind in ``sample_rows``, for which the work may be twice as much."""

SEED = 20

SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, -1.5e-45, 1.2e-38, 3.4e38, -3e38, 1e10, 2**24 + 2],
    np.float32,
)
"""NaN, infinities, zeros, subnormals, and numbers at the ends of the range."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The bytes of a new file, what it does not hold, and how many rows prove it."""

    format: str
    content: bytes
    lost: tuple[str, ...]
    rows: int


def convert(
    source: Source,
    path: str | os.PathLike[str],
    *,
    to: str | None = None,
    from_: str | None = None,
    strict: bool = False,
    force: bool = True,
    check: bool = True,
    limits: Limits = DEFAULT,
) -> tuple[str, ...]:
    """Write a model file anew, in another format or in the canonical form of its own.

    Before the file appears its bytes are read again, and both models must give the same bits (any
    NaN for any NaN) on random rows: as many as fit into about a second, NaN, infinities and
    subnormals among the inputs. Float64 models that stay so are compared in float64 too.

    Parameters
    ----------
    source
        As for ``load``.
    path
        Where to; a file there is replaced. It may not be the source.
    to
        "instmodel", "rmd1" or "rnn0"; by the suffix of ``path`` when left out.
    from_
        Format of the source; found from its content when left out.
    strict
        Whether to refuse (NotHeld) what the target cannot hold, instead of leaving it out.
    force
        False refuses to replace a file.
    check
        Whether to run the validation rows that the source may hold.
    limits
        As for ``load``. A model whose work for one row is over ``validation_operations`` is
        refused.

    Returns
    -------
    A phrase for each thing that was left out. What a container holds beside the model
    (name, records, other blobs) goes on into another one.

    Raises
    ------
    FormatError, ModelError
        As ``load`` and ``save``; ConversionMismatch for other outputs, which no model may give.
    InputError
        OutputIsInput, OutputExists, NotAFile.
    OSError
        The file cannot be written.
    """
    codec = target_format(path, to)
    check_target(path, force)
    check_apart(os.fsdecode(path), {"the source": _origin(source)})
    model, extras = loaded(source, format=from_, check=check, limits=limits)
    conversion = prepare(codec, model, extras, strict=strict, limits=limits)
    with replacing(path, force) as file:
        file.write(conversion.content)
    return conversion.lost


def _origin(source: Source) -> str | int | None:
    """The path or descriptor behind a source; None for bytes and documents."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    try:
        return int(source.fileno())  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is an OSError
        return None


def loaded(
    source: Source, *, format: str | None, check: bool, limits: Limits
) -> tuple[Model, Extras]:
    """A model and what its file holds beside it; the arguments of ``load``."""
    if isinstance(source, Mapping):
        return load(source, check=check, limits=limits, format=format), NONE
    content = content_of(source, limits)
    codec = sniff(content) if format is None else named(format)
    model = load(content, check=check, limits=limits, format=codec.name)
    return model, codec.extras(content, limits)


def prepare(
    codec: Format, model: Model, extras: Extras, *, strict: bool, limits: Limits
) -> Conversion:
    """The file, read back and compared.

    Raises
    ------
    FormatError
        The format cannot hold the model; or LimitExceeded: the new file, or comparing one row.
    ModelError
        ConversionMismatch.
    """
    count = _row_count(model, limits)
    content, lost = encoded(codec, model, extras, strict)
    again = load(content, check=False, limits=limits, format=codec.name)
    _compare_sizes(model, again)
    rows = sample_rows(model.input_size, count)
    _compare("float32", run(model, rows), run(again, rows))
    if model.dtype == again.dtype == "float64":
        _compare("float64", run64(model, rows), run64(again, rows))
    return Conversion(codec.name, content, lost, count)


def sample_rows(width: int, count: int) -> FloatArray:
    """Random rows, always the same: by turns plain, whole, of all sizes, and with special values.

    NaN spreads over all outputs of a dense layer, so most rows have none.
    """
    rng = np.random.default_rng(SEED)
    rows = rng.normal(0, 2, (count, width)).astype(np.float32)
    rows[1::4] = np.rint(4 * rows[1::4])
    rows[2::4] *= (10.0 ** rng.uniform(-30, 30, rows[2::4].shape)).astype(np.float32)
    special = rows[3::4]
    spots = rng.random(special.shape) < min(0.5, 2 / max(1, width))
    special[spots] = rng.choice(SPECIAL, int(spots.sum()))
    return rows


def _row_count(model: Model, limits: Limits) -> int:
    """How many rows fit into OPERATIONS, or up to LEAST_ROWS into twice that; one at least."""
    one = work(model, 1)
    most = limits.validation_operations
    if one > most:
        message = (
            f"comparing a row takes {one} operations, the limit is {most}: "
            f"pass limits=Limits(validation_operations={one})"
        )
        fields = {"name": "validation_operations", "actual": one, "max": most}
        raise FormatError(Problem("LimitExceeded", message, fields=fields))
    count = MOST_ROWS
    while count > 1 and work(model, count) > min(most, OPERATIONS * (1 + (count <= LEAST_ROWS))):
        count //= 2
    return count


def _compare_sizes(model: Model, again: Model) -> None:
    wanted, got = ((each.input_size, each.output_size) for each in (model, again))
    if wanted != got:
        sizes = f"{wanted[0]} -> {wanted[1]}, of the new file {got[0]} -> {got[1]}"
        raise ModelError(Problem("ConversionMismatch", f"sizes of the model are {sizes}"))


def _compare(name: str, wanted: npt.NDArray[Any], got: npt.NDArray[Any]) -> None:
    bits = f"u{wanted.itemsize}"
    same = wanted.view(bits) == got.view(bits)
    same |= np.isnan(wanted) & np.isnan(got)
    if not same.all():
        row, column = (int(place) for place in np.argwhere(~same)[0])
        message = (
            f"random row {row}, output {column} in {name}: the model gives "
            f"{wanted[row, column]!s}, the new file {got[row, column]!s}"
        )
        fields = {"row": row, "column": column}
        raise ModelError(Problem("ConversionMismatch", message, fields=fields))
