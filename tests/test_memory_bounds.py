"""Memory of a load at its peak: a multiple of the file, whatever the file holds."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from memory_probe import MIB, allowed, peak_growth, supported

import instjit as ij
from instjit.validation_rows import MOST_NUMBERS

pytestmark = pytest.mark.skipif(not supported(), reason="this system does not tell the peak")

RAISED = ij.Limits(weights=10**9, validation_operations=10**9)
"""So that nothing but the figures of JSON stands between a text and the memory."""

START = b'{"feature_size":1,"buffer_sizes":%s,"instructions":[%s],"weights":[%s],"bias":[%s]'
COPY = b'{"type":"COPY","input":0,"output":1,"internal_index":0}'
TABLE = (
    b'{"type":"MAP_TRANSFORM","input":0,"output":1,"internal_input_index":0,'
    b'"internal_output_index":0,"map":0,"size":1,"default":[%s]}'
)


def many(piece: bytes, size: int, joint: bytes = b",") -> bytes:
    """As many pieces as fill so many bytes."""
    return joint.join([piece] * max(1, size // len(piece + joint)))


def numbered(piece: bytes, size: int) -> bytes:
    """The same for pieces that hold a number."""
    return b",".join(piece % number for number in range(max(1, size // (len(piece) + 5))))


def model(
    instructions: bytes = COPY,
    weights: bytes = b"",
    bias: bytes = b"",
    buffer_sizes: bytes = b"[1,1]",
    **more: bytes,
) -> bytes:
    rest = b"".join(b',"%s":%s' % (key.encode(), value) for key, value in more.items())
    return START % (buffer_sizes, instructions, weights, bias) + rest + b"}"


def rows(inputs: bytes, outputs: bytes) -> bytes:
    return b'{"inputs":[%s],"expected_outputs":[%s]}' % (inputs, outputs)


Maker = Callable[[int], bytes]
FAMILIES: dict[str, Maker] = {
    "empty lists": lambda n: b"[" + many(b"[]", n) + b"]",
    "empty objects": lambda n: b"[" + many(b"{}", n) + b"]",
    "lists in weights": lambda n: model(weights=many(b"[]", n)),
    "empty rows": lambda n: model(weights=b"[" + many(b"[]", n) + b"]"),
    "rows of one number": lambda n: model(weights=b"[" + many(b"[1]", n) + b"]"),
    "rows of two digits": lambda n: model(weights=b"[" + many(b"[0,1]", n) + b"]"),
    "rows of decimals": lambda n: model(weights=b"[" + many(b"[0.125,-3.5e-07]", n) + b"]"),
    "one row of digits": lambda n: model(weights=b"[[" + many(b"0", n) + b"]]"),
    "one row of -0": lambda n: model(weights=b"[[" + many(b"-0", n) + b"]]"),
    "one row of -9": lambda n: model(weights=b"[[" + many(b"-9", n) + b"]]"),
    "one row of decimals": lambda n: model(weights=b"[[" + many(b"0.1", n) + b"]]"),
    "rows of unequal length": lambda n: model(weights=b"[" + many(b"[1],[1,2]", n) + b"]"),
    "decimals of unequal length": lambda n: model(weights=b"[" + many(b"[0.5],[1.25,3]", n) + b"]"),
    "many matrices of unequal rows": lambda n: model(weights=many(b"[[0.25],[0.125,0.5]]", n)),
    "matrices of one number": lambda n: model(weights=many(b"[[1]]", n)),
    "a bias of digits": lambda n: model(bias=b"[" + many(b"7", n) + b"]"),
    "many biases": lambda n: model(bias=many(b"[7]", n)),
    "rows of null": lambda n: model(weights=b"[[" + many(b"null", n) + b"]]"),
    "rows of true": lambda n: model(weights=b"[[" + many(b"true", n) + b"]]"),
    "strings for numbers": lambda n: model(weights=b"[[" + many(b'"1"', n) + b"]]"),
    "long integers": lambda n: model(weights=b"[[" + many(b"9" * 300, n) + b"]]"),
    "long decimals": lambda n: model(weights=b"[[" + many(b"0." + b"1" * 700, n) + b"]]"),
    "one number": lambda n: model(weights=b"[[" + b"1" * n + b"]]"),
    "lists in lists": lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    "lists 500 deep": lambda n: b"[" + many(b"[" * 500 + b"]" * 500, n) + b"]",
    "objects 500 deep": lambda n: b"[" + many(b'{"a":' * 500 + b"0" + b"}" * 500, n) + b"]",
    "names of one letter": lambda n: model(features=b"[" + many(b'"a"', n) + b"]"),
    "empty names": lambda n: model(features=b"[" + many(b'""', n) + b"]"),
    "different names": lambda n: model(features=b"[" + numbered(b'"n%d"', n) + b"]"),
    "long names": lambda n: model(features=b"[" + many(b'"%s"' % (b"x" * 10_000), n) + b"]"),
    "names with one wide letter": lambda n: model(
        features=b"[" + many('"{}\U0001f600"'.format("x" * 200).encode(), n) + b"]"
    ),
    "names of short wide letters": lambda n: model(
        features=b"[" + many('"\U0001f600"'.encode(), n) + b"]"
    ),
    "escaped letters": lambda n: model(features=b'["' + b"\\u0041" * (n // 6) + b'"]'),
    "escaped wide letters": lambda n: model(features=b'["' + b"\\ud83d\\ude00" + b"x" * n + b'"]'),
    "escaped keys": lambda n: b"{" + numbered(b'"\\u0041%d":0', n) + b"}",
    "one key again and again": lambda n: b"{" + many(b'"a":0', n) + b"}",
    "long keys": lambda n: b"{" + numbered(b'"' + b"k" * 500 + b'%d":0', n) + b"}",
    "different keys": lambda n: b"{" + numbered(b'"%d":0', n) + b"}",
    "objects of one key": lambda n: b"[" + many(b'{"a":0}', n) + b"]",
    "objects of different keys": lambda n: b"[" + numbered(b'{"%d":0}', n) + b"]",
    "objects of six keys": lambda n: (
        b"[" + many(b'{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0}', n) + b"]"
    ),
    "an unknown field": lambda n: model(comment=b'"' + b"x" * n + b'"'),
    "unknown lists": lambda n: model(comment=b"[" + many(b"[0]", n) + b"]"),
    "unknown keys": lambda n: model()[:-1] + b"," + numbered(b'"u%d":null', n) + b"}",
    "empty instructions": lambda n: model(many(b"{}", n)),
    "short instructions": lambda n: model(many(b'{"type":"DOT"}', n)),
    "65,536 instructions": lambda n: model(many(COPY, min(n, 65_536 * len(COPY)))),
    "instructions of unknown keys": lambda n: model(
        many(b'{"type":"COPY","a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0}', n)
    ),
    "a long default": lambda n: model(TABLE % many(b"0", n)),
    "a long list of inputs": lambda n: model(
        b'{"type":"ADD_BUFFER_HEADS","input":[%s],"output":1}' % many(b"0", n)
    ),
    "a long list of indexes": lambda n: model(
        b'{"type":"COPY_MASKED","input":0,"output":1,"indexes":[%s]}' % many(b"0", n)
    ),
    "a map of many keys": lambda n: model(maps=b"[{" + numbered(b'"%d":[0]', n) + b"}]"),
    "a map of decimals": lambda n: model(maps=b"[{" + numbered(b'"%d":[0.25]', n) + b"}]"),
    "a used map": lambda n: model(TABLE % b"0", maps=b"[{" + numbered(b'"%d":[0.25]', n) + b"}]"),
    "a map of empty rows": lambda n: model(maps=b"[{" + numbered(b'"%d":[]', n) + b"}]"),
    "a map of unequal rows": lambda n: model(
        maps=b"[{"
        + numbered(b'"%d":[0.25],"":[]', 99)
        + b","
        + numbered(b'"%d0":[0.25]', n)
        + b"}]"
    ),
    "a map of words": lambda n: model(maps=b"[{" + numbered(b'"w%d":[0.25]', n) + b"}]"),
    "many maps": lambda n: model(maps=b"[" + many(b"{}", n) + b"]"),
    "strings that look like digits": lambda n: model(
        comment=b'"' + b"]0" * (n // 12) + b'"', weights=b"[" + many(b"[-9]", n) + b"]"
    ),
    "many buffers": lambda n: model(buffer_sizes=b"[" + many(b"1", n) + b"]"),
    "validation rows of one digit": lambda n: model(
        validation_data=rows(many(b"[1]", n // 2), many(b"[1]", n // 2))
    ),
    "validation rows of decimals": lambda n: model(
        validation_data=rows(many(b"[0.25]", n // 2), many(b"[0.25]", n // 2))
    ),
    "validation rows of wrong outputs": lambda n: model(
        validation_data=rows(many(b"[0.25]", n // 2), many(b"[0.50]", n // 2))
    ),
    "validation rows of unequal length": lambda n: model(
        validation_data=rows(many(b"[0.25],[1.5,1.25]", n // 2), many(b"[0.50],[1.25]", n // 2))
    ),
    "spaces": lambda n: b"[" + b" " * n + b"]",
    "spaces between": lambda n: b"[" + many(b"[ ]", n) + b"]",
    "no end": lambda n: b"[" + many(b"0", n),
    "no JSON": lambda n: b"{" + b"\x00" * n,
    "commas alone": lambda n: b"[" + b"," * n,
    "a string of commas": lambda n: b'["' + b"[,{:" * (n // 4) + b'"]',
}


def wide(activation: str) -> bytes:
    """A few bytes that ask for work on nearly all the slots there may be."""
    return json.dumps(
        {
            "feature_size": 1,
            "buffer_sizes": [1, 999_998, 1],
            "instructions": [
                {"type": "ACTIVATION", "input": 1, "activation": activation},
                {"type": "REDUCE_SUM", "input": 1, "output": 2},
            ],
            "weights": [],
            "bias": [],
            "validation_data": {"inputs": [[1]], "expected_outputs": [[-1]]},
        }
    ).encode()


@pytest.mark.parametrize("activation", ["TANH", "GELU", "SOFTMAX", "LOG"])
def test_a_validation_row_of_a_million_slots_takes_little(activation: str) -> None:
    growth, outcome = peak_growth(wide(activation))
    assert outcome == "ModelError: ValidationMismatch"
    assert growth <= allowed(b"", "json")


@pytest.mark.parametrize("activation", ["TANH", "SOFTMAX"])
def test_working_in_blocks_gives_the_same_bits(activation: str, monkeypatch) -> None:
    x = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    whole = ij.Activation[activation].reference(x)
    for block in (1, 7, 49):
        monkeypatch.setattr("instjit.ops.activation.BLOCK", block)
        assert ij.Activation[activation].reference(x).tobytes() == whole.tobytes()


def test_the_first_wrong_rows_are_told_in_full() -> None:
    size = MOST_NUMBERS // 10
    outputs = np.zeros((9, size))
    outputs[:, -1] = 5
    net = ij.Model(
        [1, size], [ij.Copy(0, 1)], feature_size=1, validation_data=(np.zeros((9, 1)), outputs)
    )
    found = ij.validate(net)
    assert [problem.fields["case_number"] for problem in found] == list(range(9))
    assert ["expected" in problem.fields for problem in found] == [True] * 5 + [False] * 4


def test_wrong_rows_of_many_outputs_are_not_kept_as_lists() -> None:
    size, count = 100_000, 60
    row = b"[" + b"0," * (size - 1) + b"5]"  # wrong at the end
    content = model(
        buffer_sizes=b"[1,%d]" % size,
        validation_data=rows(many(b"[0]", 4 * count), many(row, (size * 2 + 2) * count)),
    )
    growth, outcome = peak_growth(content)
    assert outcome == "ModelError: ValidationMismatch"
    assert growth <= allowed(content, "json")


LARGE = (
    "rows of two digits",
    "rows of decimals",
    "one row of -9",
    "different keys",
    "a used map",
    "validation rows of wrong outputs",
)
"""Families that come near the bound and are not refused before they are parsed."""

CASES = [(name, 12 if name in LARGE else 5) for name in FAMILIES]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_a_hostile_text_takes_24_times_its_size_at_most(name: str, size: int) -> None:
    content = FAMILIES[name](size * MIB)
    growth, outcome = peak_growth(content, limits=RAISED)
    assert outcome.startswith(("model", "FormatError: ", "ModelError: ")), outcome
    assert growth <= allowed(content, "json"), outcome


def test_the_probe_sees_what_a_load_takes() -> None:
    """So that the bound above means something: 12 bytes or more for each of four million digits."""
    content = FAMILIES["one row of digits"](8 * MIB)
    growth, outcome = peak_growth(content, limits=RAISED)
    assert outcome == "ModelError: BiasWeightsMismatch"
    assert growth > 6 * len(content)
