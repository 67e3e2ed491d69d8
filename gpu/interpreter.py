"""The generic functions on packed words: ``predict`` and what it is made of.

Written over the primitives of ``plain`` and ``native``, and never run from here: ``generic`` binds
the functions to a meaning of the primitives. They are explicit loops over scalars, so that one
thread of a GPU runs a model in its own compute buffer. ``opcodes`` tells what the words mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from instjit.gpu import sums
from instjit.gpu.opcodes import (
    ACTIVATION,
    ADD,
    ADD_BUFFERS,
    ADD_HEADS,
    CLIP,
    COMPUTE_SIZE,
    COPY,
    COUNT,
    FEATURE_SIZE,
    GATE,
    GATHER,
    HEADER,
    INSTRUCTION,
    LOOKUP,
    LOWER,
    LOWER_FIXED,
    MODEL_SIZE,
    MULTIPLY,
    MULTIPLY_BUFFERS,
    MULTIPLY_HEADS,
    OUTPUT_SIZE,
    OUTPUT_START,
    PARAMETERS_AT,
    PARAMETERS_COUNT,
    PRODUCT,
    SOFTMAX,
    SUM,
    UPPER,
    UPPER_FIXED,
    WEIGHTS_AT,
)
from instjit.gpu.sums import dot2, dot4, dot8, folded, rows4
from instjit.program import chains

if TYPE_CHECKING:
    from instjit.gpu.plain import absolute, add, bits, div, fma, mul, sub, to_int, trunc

    f32: Any = None
    activated = softmax_exp_of = max_of = min_of = f32


# The header


def word(model_data: Any, at: int) -> int:
    """The integer that a word holds."""
    return int(bits(model_data[at]))


def get_feature_size(model_data: Any, model_offset: int) -> int:
    """Slots of the input; the caller puts it in the first slots of the compute buffer."""
    return word(model_data, model_offset + FEATURE_SIZE)


def get_output_size(model_data: Any, model_offset: int) -> int:
    """Slots of the output."""
    return word(model_data, model_offset + OUTPUT_SIZE)


def get_output_start(model_data: Any, model_offset: int) -> int:
    """First slot of the output in the compute buffer."""
    return word(model_data, model_offset + OUTPUT_START)


def get_compute_buffer_size(model_data: Any, model_offset: int) -> int:
    """Slots that the compute buffer must have at least."""
    return word(model_data, model_offset + COMPUTE_SIZE)


def get_full_model_size(model_data: Any, model_offset: int) -> int:
    """Words of the model: the next one starts so many further on."""
    return word(model_data, model_offset + MODEL_SIZE)


# The instructions


def predict(model_data: Any, model_offset: int, compute_buffer: Any) -> None:
    """Run the model whose words start at ``model_offset``.

    The input stands in the first slots of the compute buffer, the output in the slots from
    ``get_output_start`` on afterwards; the slots between hold the other buffers, 0 at the start.
    """
    weights = model_offset + word(model_data, model_offset + WEIGHTS_AT)
    parameters = model_offset + word(model_data, model_offset + PARAMETERS_AT)
    lists = parameters + word(model_data, model_offset + PARAMETERS_COUNT)
    stop = get_output_start(model_data, model_offset) + get_output_size(model_data, model_offset)
    for slot in range(get_feature_size(model_data, model_offset), stop):
        compute_buffer[slot] = f32(0.0)
    at = model_offset + HEADER
    for _ in range(word(model_data, model_offset + COUNT)):
        execute(model_data, at, weights, parameters, lists, compute_buffer)
        at += INSTRUCTION


def execute(
    model_data: Any, at: int, weights: int, parameters: int, lists: int, buffer: Any
) -> None:
    """Run the instruction at word ``at``; an unknown opcode does nothing."""
    opcode = word(model_data, at)
    source, target = word(model_data, at + 1), word(model_data, at + 2)
    size = word(model_data, at + 3)
    a, b, c = word(model_data, at + 4), word(model_data, at + 5), word(model_data, at + 6)
    scratch = word(model_data, at + 7)
    if opcode in (PRODUCT, ACTIVATION, GATE):
        end = scratch if opcode == GATE else target
        code = SOFTMAX if opcode == GATE else c
        if opcode != ACTIVATION:
            product(model_data, weights + a, buffer, source, end, size, b)
        if code == SOFTMAX:
            softmax(buffer, end, size)
        elif code:
            activation(buffer, end, size, code)
        if opcode == GATE:
            gate(buffer, end, c, target, size)
    elif opcode in (ADD, MULTIPLY):
        vector(model_data, parameters + a, buffer, source, size, 1 - b, opcode == ADD)
    elif opcode == COPY:
        copy(buffer, source, target, size)
    elif opcode == CLIP:
        clip(model_data, parameters + a, parameters + b, buffer, source, size, c)
    elif opcode == GATHER:
        gather(model_data, lists + a, buffer, source, scratch, size)
        copy(buffer, scratch, target, size)
    elif opcode == LOOKUP:
        lookup(model_data, lists + a, lists + c, b, buffer, source, target, size)
    elif opcode in (ADD_BUFFERS, MULTIPLY_BUFFERS):
        join(model_data, lists + a, b, buffer, target, size, opcode == ADD_BUFFERS)
    elif opcode in (ADD_HEADS, MULTIPLY_HEADS):
        heads(buffer, source, a, target, size, b, opcode == ADD_HEADS)
    elif opcode == SUM:
        buffer[target] = folded(buffer, source, size, False)


def product(
    model_data: Any, weights: int, buffer: Any, source: int, target: int, outputs: int, depth: int
) -> None:
    """``target = weights @ source + bias``."""
    count = chains(outputs, depth)
    bias = weights + outputs * depth
    alone = outputs & 3 if count == 1 else outputs
    for output in range(0, outputs - alone, 4):
        row = weights + output * depth
        rows4(model_data, row, bias + output, buffer, source, target + output, depth)
    for output in range(outputs - alone, outputs):
        total = model_data[bias + output]
        row = weights + output * depth
        if count == 8:
            total = dot8(model_data, row, buffer, source, depth, total)
        elif count == 4:
            total = dot4(model_data, row, buffer, source, depth, total)
        elif count == 2:
            total = dot2(model_data, row, buffer, source, depth, total)
        else:
            for k in range(depth):
                total = fma(model_data[row + k], buffer[source + k], total)
        buffer[target + output] = total


def activation(buffer: Any, start: int, size: int, code: int) -> None:
    """``buffer = activation(buffer)``, a softmax excepted."""
    for slot in range(start, start + size):
        buffer[slot] = activated(code, buffer[slot])


def softmax(buffer: Any, start: int, size: int) -> None:
    """``exp(x - max) * (1 / sum)`` of ``size`` slots in place."""
    if size == 0:
        return
    top = folded(buffer, start, size, True)
    for slot in range(start, start + size):
        buffer[slot] = softmax_exp_of(sub(buffer[slot], top))
    scale = div(f32(1.0), folded(buffer, start, size, False))
    for slot in range(start, start + size):
        buffer[slot] = mul(buffer[slot], scale)


def vector(
    model_data: Any, at: int, buffer: Any, start: int, size: int, step: int, adds: bool
) -> None:
    """``buffer = buffer . parameters``; with step 0 one number goes for every slot."""
    for k in range(size):
        value = model_data[at + k * step]
        if adds:
            buffer[start + k] = add(buffer[start + k], value)
        else:
            buffer[start + k] = mul(buffer[start + k], value)


def copy(buffer: Any, source: int, target: int, size: int) -> None:
    """``target = source``: the same slots, or slots that do not overlap."""
    if source != target:
        for k in range(size):
            buffer[target + k] = buffer[source + k]


def clip(
    model_data: Any, lower: int, upper: int, buffer: Any, start: int, size: int, flags: int
) -> None:
    """``buffer = min(max(buffer, lower), upper)``, with the bounds that there are."""
    lower_step = 0 if flags & LOWER_FIXED else 1
    upper_step = 0 if flags & UPPER_FIXED else 1
    for k in range(size):
        value = buffer[start + k]
        if flags & LOWER:
            value = max_of(value, model_data[lower + k * lower_step])
        if flags & UPPER:
            value = min_of(value, model_data[upper + k * upper_step])
        buffer[start + k] = value


def gather(model_data: Any, slots: int, buffer: Any, source: int, target: int, size: int) -> None:
    """``target[k] = source[slots[k]]``."""
    for k in range(size):
        buffer[target + k] = buffer[source + word(model_data, slots + k)]


def lookup(
    model_data: Any,
    table: int,
    default: int,
    entries: int,
    buffer: Any,
    source: int,
    target: int,
    size: int,
) -> None:
    """``target = table[key]``, or the default where the key is absent."""
    key = key_of(buffer[source])
    low, high = 0, entries
    while low < high:
        middle = (low + high) >> 1
        if word(model_data, table + middle) < key:
            low = middle + 1
        else:
            high = middle
    values = default
    if low < entries and word(model_data, table + low) == key:
        values = table + entries + low * size
    for k in range(size):
        buffer[target + k] = model_data[values + k]


def key_of(x: Any) -> int:
    """``x`` rounded half away from zero, saturated to int32; 0 for NaN."""
    if x != x:
        return 0
    if x >= f32(2147483648.0):
        return 2147483647
    if x <= f32(-2147483648.0):
        return -2147483648
    whole = trunc(x)
    key = int(to_int(whole))
    if absolute(sub(x, whole)) >= f32(0.5):
        key += 1 if x > f32(0.0) else -1
    return key


def join(
    model_data: Any, inputs: int, count: int, buffer: Any, target: int, size: int, adds: bool
) -> None:
    """``target = (inputs[0] . inputs[1]) . inputs[2] ...``."""
    for k in range(size):
        total = buffer[word(model_data, inputs) + k]
        for number in range(1, count):
            value = buffer[word(model_data, inputs + number) + k]
            total = add(total, value) if adds else mul(total, value)
        buffer[target + k] = total


def heads(
    buffer: Any, data: int, head: int, target: int, size: int, every: int, adds: bool
) -> None:
    """``target[h * every + k] = data[h * every + k] . heads[h]``."""
    for first in range(0, size, every):
        value = buffer[head]
        for k in range(first, first + every):
            if adds:
                buffer[target + k] = add(buffer[data + k], value)
            else:
                buffer[target + k] = mul(buffer[data + k], value)
        head += 1


def gate(buffer: Any, scores: int, query: int, target: int, size: int) -> None:
    """``target = scores * query``."""
    for k in range(size):
        buffer[target + k] = mul(buffer[scores + k], buffer[query + k])


HEADER_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    get_feature_size, get_output_size, get_output_start, get_compute_buffer_size,
    get_full_model_size,
)  # fmt: skip
PARTS: tuple[Callable[..., Any], ...] = (
    *sums.PARTS, word, *HEADER_FUNCTIONS, softmax, product, activation, vector, copy, clip, gather,
    key_of, lookup, join, heads, gate, execute, predict,
)  # fmt: skip
"""All functions, each after those that it calls."""
