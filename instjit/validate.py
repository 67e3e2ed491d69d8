"""What a model means: every rule, and every fault in one go.

The checks come in the order in which the family's Rust crate has them, so the first problem is the
one that it would report; a check whose operands are already faulty is skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from instjit.arrays import entries
from instjit.collecting import Collected
from instjit.errors import ModelError, Problem
from instjit.features import feature_width, total_width
from instjit.formats.limits import DEFAULT, Limits
from instjit.graph import unread
from instjit.model import LookupTable, Model
from instjit.ops.checks import Checks
from instjit.ops.wire import Parts
from instjit.validation_rows import validation_problems

SHOWN_SUMS = 4
"""Running sums of buffer sizes that a sentence shows; the problem's fields have them all."""


def validate(model: Model, *, limits: Limits = DEFAULT) -> tuple[Problem, ...]:
    """Every problem of a model; its validation rows are run where it has no other.

    Of more than 1,000 problems the first are kept, and a last one (``TooManyProblems``) says how
    many there are besides.

    Parameters
    ----------
    model
        Any model.
    limits
        Bounds on its slots, its weights and the time of its validation rows.
    """
    found = problems(model, slots=limits.slots, weights=limits.weights)
    return found or validation_problems(model, operations=limits.validation_operations)


def check(model: Model) -> None:
    """Raise ModelError with all problems of a model's structure, if it has any.

    The limits on size are not applied: they are for files, and this model has been let in.
    """
    found = problems(model, slots=sys.maxsize, weights=sys.maxsize)
    if found:
        raise ModelError(found)


def problems(
    model: Model, *, slots: int = DEFAULT.slots, weights: int = DEFAULT.weights
) -> tuple[Problem, ...]:
    """Problems of a model's structure, in the order of the checks.

    Parameters
    ----------
    model
        Any model.
    slots, weights
        Most slots of all buffers, most numbers in all matrices and biases.
    """
    return Collected(_problems(model, slots, weights)).problems()


def _problems(model: Model, slots: int, weights: int) -> Iterator[Problem]:
    if model.features is None and model.feature_size is None:
        yield _problem("MissingFeatures", "the model has neither features nor feature_size")
    if not model.buffers:
        yield _problem("NoLayersProvided", "the model has no buffers")
    yield from _constants(model, weights)
    yield from _features(model)
    yield from _row_counts(model)
    yield from _buffers(model, slots)
    known = True
    widths: dict[int, tuple[int, ...]] = {}
    for number in range(len(model.instructions)):
        for problem in _at(model, number, widths):
            known = known and problem.kind != "BufferIndexOutOfBounds"
            yield problem
    yield from _unused(model)
    yield from _map_keys(model)
    if known:
        yield from _unread(model)


def _constants(model: Model, most: int) -> Iterator[Problem]:
    matrices, vectors = len(model.weights), len(model.bias)
    if matrices != vectors:
        message = f"there are {matrices} weight matrices and {vectors} bias vectors"
        fields = {"bias_size": vectors, "weights_size": matrices}
        yield _problem("BiasWeightsMismatch", message, **fields)
    if not model.instructions:
        yield _problem("NoInstructionsProvided", "the model has no instructions")
    if matrices > len(model.instructions):
        message = f"there are {matrices} weight matrices for {len(model.instructions)} instructions"
        yield _problem("TooManyWeightsForInstructions", message)
    for index, (matrix, bias) in enumerate(zip(model.weights, model.bias, strict=False)):
        if len(matrix) != len(bias):
            message = f"weights {index} have {len(matrix)} rows, their bias has {len(bias)} values"
            fields = {"index": index, "bias_size": len(bias), "weights_size": len(matrix)}
            yield _problem("BiasWeightsSizeMismatch", message, **fields)
    actual = sum(entries(matrix) for matrix in model.weights) + sum(map(len, model.bias))
    if actual > most:
        message = f"weights and biases hold {actual} numbers, the limit is {most}"
        yield _problem("WeightSizeExceedsLimit", message, actual=actual, max=most)


def _features(model: Model) -> Iterator[Problem]:
    names = model.features
    wrong = [name for name in names or () if feature_width(name) is None]
    for name in wrong:
        message = f"feature {name!r}: expected a name, or name[k] with k > 0"
        yield _problem("InvalidFeatureFormat", message, feature=name)
    if wrong or (names is None and model.feature_size is None):
        return
    if names is not None and model.feature_size is not None:
        declared, actual = model.feature_size, total_width(names)
        if declared != actual:
            message = f"feature_size is {declared}, the features take {actual} columns"
            yield _problem("FeatureSizeMismatch", message, expected=declared, actual=actual)
            return
    yield from _prefix(model)


def _prefix(model: Model) -> Iterator[Problem]:
    """The input must fill whole leading buffers."""
    expected, total = model.input_size, 0
    capacities: list[int] = []
    for buffer in model.buffers:
        total += buffer.size
        capacities.append(total)
        if total >= expected:
            break
    if model.buffers and total != expected:
        sums = ", ".join(map(str, capacities[-SHOWN_SUMS:]))
        message = (
            f"the input takes {expected} slots, which fill no whole buffers: those add up to {sums}"
        )
        fields = {"expected": expected, "actual": total, "capacities": capacities}
        yield _problem("InvalidFeatureSize", message, **fields)


def _row_counts(model: Model) -> Iterator[Problem]:
    rows = model.validation_data
    if rows is not None and len(rows.inputs) != len(rows.expected_outputs):
        inputs, outputs = len(rows.inputs), len(rows.expected_outputs)
        message = f"validation_data has {inputs} inputs and {outputs} expected outputs"
        yield _problem("ValidationInputOutputMismatch", message, inputs=inputs, outputs=outputs)


def _buffers(model: Model, most: int) -> Iterator[Problem]:
    for index, buffer in enumerate(model.buffers):
        if len(buffer.shape) != 1 or buffer.dtype != "float32":
            message = (
                f"buffer {index} is {buffer.dtype} of shape {buffer.shape}, expected 1-D float32"
            )
            yield _problem("UnsupportedBuffer", message, index=index)
        if buffer.size < (1 if index else 0):
            message = (
                f"buffer {index} has size {buffer.size}, expected at least {1 if index else 0}"
            )
            yield _problem("InvalidLayerSize", message, index=index, size=buffer.size)
    total = model.required_memory
    if model.buffers and total == 0:
        yield _problem("InvalidUnifiedBufferSize", "the buffers hold no slots at all")
    elif model.buffers and _takes_nothing(model):
        fields = {"expected": 0, "actual": 0, "capacities": [0]}
        yield _problem("InvalidFeatureSize", "the model takes no features", **fields)
    if total > most:
        message = f"the buffers hold {total} slots, the limit is {most}"
        yield _problem("ComputationBufferSizeExceedsLimit", message, actual=total, max=most)


def _takes_nothing(model: Model) -> bool:
    given = model.features is not None or model.feature_size is not None
    return given and model.input_size == 0 and model.buffers[0].size == 0


def _at(model: Model, number: int, widths: dict[int, tuple[int, ...]]) -> list[Problem]:
    instruction = model.instructions[number]
    checks = Checks(model, number, instruction.kind, widths)
    instruction.check(checks)
    return checks.problems


def _unused(model: Model) -> Iterator[Problem]:
    parts: tuple[tuple[str, Parts], ...] = (
        ("UnusedWeights", "weights"),
        ("UnusedParameters", "parameters"),
        ("UnusedMap", "maps"),
    )
    for kind, part in parts:
        used = {number for each in model.instructions for number in each.constants(part)}
        for index in range(len(getattr(model, part))):
            if index not in used:
                yield _problem(kind, f"{part} {index}: no instruction uses them", index=index)


def _map_keys(model: Model) -> Iterator[Problem]:
    for index, table in enumerate(model.maps):
        yield from _keys_of(table, index)


def _keys_of(table: LookupTable, index: int) -> Iterator[Problem]:
    seen: set[int] = set()
    for key in table.keys:
        if isinstance(key, str):
            message = f"map {index}: key {key[:40]!r} is not an int32 number"
            yield _problem("InvalidMapKey", message, index=index, key=key)
        elif key in seen:
            message = f"map {index}: key {key} stands twice, in two spellings"
            yield _problem("InvalidMapKey", message, index=index, key=str(key))
        else:
            seen.add(key)


def _unread(model: Model) -> Iterator[Problem]:
    for lost in unread(model):
        message = (
            f"instruction {lost.instruction} writes buffer {lost.buffer}, which nothing reads "
            f"before instruction {lost.by} overwrites it"
        )
        fields = {
            "instruction_index": lost.instruction,
            "buffer_index": lost.buffer,
            "overwritten_by": lost.by,
        }
        yield Problem("UnusedComputation", message, lost.instruction, fields)


def _problem(kind: str, message: str, **fields: Any) -> Problem:
    return Problem(kind, message, fields=fields)
