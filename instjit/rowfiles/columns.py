"""Which columns of a table are the model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from instjit.counted import count
from instjit.errors import InputError, Problem
from instjit.features import column_names

SHOWN = 8


def feature_columns(features: Iterable[str]) -> tuple[str, ...]:
    """Column names of features: ``age``; ``name[0]`` to ``name[15]`` for ``name[16]``."""
    return tuple(column for feature in features for column in column_names(feature))


def positions(header: Sequence[str], wanted: Sequence[str], name: str) -> list[int]:
    """Where the wanted columns stand in a header.

    Parameters
    ----------
    header
        Names of all columns of a file, in any order.
    wanted
        Names of the columns to take, in the order to take them.
    name
        The file, for messages.

    Raises
    ------
    InputError
        MissingColumns, or AmbiguousColumn for a name that stands twice.
    """
    if tuple(header) == tuple(wanted):
        return list(range(len(header)))
    places = {column: place for place, column in enumerate(header)}
    missing = [column for column in wanted if column not in places]
    if missing:
        message = (
            f"{name} lacks {len(missing)} of the {count(len(wanted), 'column')} "
            "that the model takes: "
            f"{listed(missing)}; without a header line columns are taken by position"
        )
        raise InputError(Problem("MissingColumns", message, fields={"missing": tuple(missing)}))
    twice = [c for c, count in Counter(header).items() if count > 1 and c in set(wanted)]
    twice += [c for c, count in Counter(wanted).items() if count > 1]
    if twice:
        message = (
            f"{name}: column {twice[0]!r} stands twice, so the header does not tell which is meant"
        )
        raise InputError(Problem("AmbiguousColumn", message, fields={"column": twice[0]}))
    return [places[column] for column in wanted]


def left_out(names: Sequence[str], picked: Iterable[int], name: str) -> tuple[str, ...]:
    """A sentence on the columns of a file that are not taken, if there are any."""
    extra = [names[place] for place in sorted(set(range(len(names))) - set(picked))]
    if not extra:
        return ()
    out = count(len(extra), "column")
    return (f"{name}: {out} left out that the model does not take: {listed(extra)}",)


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
