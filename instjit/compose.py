"""Models out of other things: a logistic regression, other models, table transformations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from instjit.errors import ModelError, Problem
from instjit.features import feature_width, total_width
from instjit.model import LookupTable, Model
from instjit.ops import Activation, CopyMasked, Dot, Instruction, MapTransform
from instjit.ops.wire import Parts, wire_fields
from instjit.validate import check

CONSTANT = "constant"


def from_logistic_regression(
    weights: Mapping[str, float], order: Sequence[str] | None = None
) -> Model:
    """``sigmoid(sum of weights[name] * feature + weights["constant"])``.

    Parameters
    ----------
    weights
        A weight for every feature; the key ``constant`` is the bias, 0 when it is not there.
    order
        Order of the input columns; by default the names sorted as UTF-8 bytes.

    Raises
    ------
    ModelError
        ``InvalidFeatureFormat`` when ``order`` is not a permutation of the names, and what the
        checks find: no features at all, names with brackets.
    """
    names = sorted((name for name in weights if name != CONSTANT), key=str.encode)
    if order is not None:
        if sorted(order, key=str.encode) != names:
            message = f"order must hold each of {names} once, got {list(order)}"
            raise ModelError(Problem("InvalidFeatureFormat", message, fields={"feature": message}))
        names = list(order)
    model = Model(
        [len(names), 1],
        [Dot(0, 1, weights=0, activation=Activation.SIGMOID)],
        [[[weights[name] for name in names]]],
        [[weights.get(CONSTANT, 0.0)]],
        features=names,
        feature_size=len(names),
    )
    check(model)
    return model


def concatenate(models: Iterable[Model]) -> Model:
    """One model that hands the output of each to the next.

    Parameters
    ----------
    models
        At least one. The output of each must be as wide as the whole input of the next, which must
        be its first buffer. A weight matrix that several of them hold is not shared.

    Returns
    -------
    The model, with the features of the first and no validation rows; the given ones stay as they
    are.

    Raises
    ------
    ModelError
        ``InputOutputCountMismatch`` for no models, ``InputBufferSizeMismatch`` for widths that
        differ, and what the checks find in a model or in the whole.
    """
    several = tuple(models)
    if not several:
        raise ModelError(
            Problem("InputOutputCountMismatch", "expected one model or more, got none")
        )
    for position, model in enumerate(several):
        if not isinstance(model, Model):
            message = f"model {position}: expected an instjit.Model, got {type(model).__name__}"
            raise ModelError(Problem("InvalidArgument", message))
        check(model)
    for position, (first, second) in enumerate(pairwise(several)):
        _same_width(first, second, position)
    joined = _joined(several)
    check(joined)
    return joined


def from_transformations(
    features: Sequence[str], transformations: Iterable[Mapping[str, Any]]
) -> tuple[Model, tuple[str, ...]]:
    """A model that rewrites columns of a table: drops some, and looks others up.

    Parameters
    ----------
    features
        Names of the input columns.
    transformations
        ``{"delete": name}``, or ``{"from": name, "to": [names], "size": columns of the names,
        "map": {id: values}, "default": values}``. The columns that stay are followed by the new
        ones, in order.

    Returns
    -------
    The model and the names of its output columns.

    Raises
    ------
    ModelError
        ``InvalidFeatureFormat`` for a name that is not a feature, and what the checks find.
    """
    items = tuple(transformations)
    slots = _slots(features)
    deleted = [_known(item["delete"], slots) for item in items if "delete" in item]
    names = [name for name in features if name not in deleted]
    kept = [slot for name in names for slot in slots[name]]
    instructions: list[Instruction] = [CopyMasked(0, 1, tuple(kept))]
    maps: list[LookupTable] = []
    width = len(kept)
    for item in (item for item in items if "delete" not in item):
        size, default = int(item["size"]), tuple(item["default"])
        source = slots[_known(item["from"], slots)][0]
        instructions.append(MapTransform(0, 1, source, width, len(maps), size, default))
        maps.append(LookupTable(item["map"]))
        names += item["to"]
        width += size
    model = Model([total_width(features), width], instructions, maps=maps, features=features)
    check(model)
    return model, tuple(names)


def _joined(several: tuple[Model, ...]) -> Model:
    first = several[0]
    instructions: list[Instruction] = []
    buffers = first.buffers[:1]
    counts: dict[Parts, int] = {"weights": 0, "parameters": 0, "maps": 0}
    for model in several:
        shift: dict[Parts, int] = {"buffers": len(buffers) - 1, **counts}
        instructions += [_shifted(each, shift) for each in model.instructions]
        buffers += model.buffers[1:]
        for part in counts:
            counts[part] += len(getattr(model, part))
    return Model(
        buffers,
        instructions,
        [matrix for model in several for matrix in model.weights],
        [bias for model in several for bias in model.bias],
        parameters=[vector for model in several for vector in model.parameters],
        maps=[table for model in several for table in model.maps],
        features=first.features or None,
        feature_size=first.feature_size if first.features else first.input_size,
        dtype=max(model.dtype for model in several),  # "float64" sorts behind "float32"
    )


def _slots(features: Sequence[str]) -> dict[str, range]:
    slots: dict[str, range] = {}
    start = 0
    for name in features:
        width = feature_width(name)
        if width is None or name in slots:
            message = f"feature {name!r}: expected a name that stands once, or name[k] with k > 0"
            raise ModelError(Problem("InvalidFeatureFormat", message, fields={"feature": name}))
        slots[name] = range(start, start + width)
        start += width
    return slots


def _known(name: str, slots: Mapping[str, range]) -> str:
    if name not in slots:
        message = f"{name!r} is not among the features {list(slots)}"
        raise ModelError(Problem("InvalidFeatureFormat", message, fields={"feature": name}))
    return name


def _same_width(first: Model, second: Model, position: int) -> None:
    output, size = first.output_size, second.buffers[0].size
    if output != size or size != second.input_size:
        message = (
            f"model {position} gives {output} values, model {position + 1} takes "
            f"{second.input_size}, its first buffer {size}"
        )
        fields = {"index": position + 1, "actual_size": output, "expected_size": second.input_size}
        raise ModelError(Problem("InputBufferSizeMismatch", message, fields=fields))


def _shifted(instruction: Instruction, shift: Mapping[Parts, int]) -> Instruction:
    changes: dict[str, Any] = {}
    for field in wire_fields(type(instruction)):
        value = getattr(instruction, field.name)
        if field.refers_to is not None and value is not None:
            step = shift[field.refers_to]
            several = isinstance(value, tuple)
            changes[field.name] = tuple(k + step for k in value) if several else value + step
    moved: Instruction = dataclasses.replace(cast(Any, instruction), **changes)
    return moved
