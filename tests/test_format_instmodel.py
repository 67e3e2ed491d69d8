"""The JSON codec: every fault by place, canonical text, hostile input."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import numpy as np
import orjson
import pytest
from golden_cases import EXPORTED
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_model

import instjit as ij
from instjit.collecting import MOST_PROBLEMS
from instjit.formats import FORMATS, sniff
from instjit.formats.instmodel import decode
from instjit.formats.limits import DEFAULT, Limits
from instjit.formats.writing import encode

COPY = {"type": "COPY", "input": 0, "output": 1, "internal_index": 0}
TABLE = {
    "type": "MAP_TRANSFORM",
    "input": 0,
    "output": 1,
    "internal_input_index": 0,
    "internal_output_index": 0,
    "map": 0,
    "size": 2,
    "default": [0, 0],
}


def document(**changes):
    fields = {
        "feature_size": 2,
        "buffer_sizes": [2, 2],
        "instructions": [COPY],
        "weights": [],
        "bias": [],
    }
    return {k: v for k, v in {**fields, **changes}.items() if v is not ...}


def refused(source, limits=DEFAULT) -> ij.FormatError:
    with pytest.raises(ij.FormatError) as caught:
        decode(source if isinstance(source, bytes) else json.dumps(source).encode(), limits)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"buffer_sizes": ...}, "buffer_sizes: expected a list, got nothing"),
        ({"weights": None}, "weights: expected a list, got null"),
        ({"bias": {}}, "bias: expected a list, got an object"),
        ({"features": "ab"}, "features: expected a list, got 'ab'"),
        ({"features": ["a", 1]}, "features[1]: expected a string, got 1"),
        ({"feature_size": 2.0}, "feature_size: expected an integer >= 0, got 2.0"),
        ({"feature_size": -1}, "feature_size: expected an integer >= 0, got -1"),
        ({"feature_size": True}, "feature_size: expected an integer >= 0, got True"),
        ({"buffer_sizes": [2, "2"]}, "buffer_sizes[1]: expected an integer >= 0, got '2'"),
        ({"buffer_sizes": [2, 2**64]}, "buffer_sizes[1]: expected an integer >= 0, got 1.8"),
        ({"weights": [[1, 2]]}, "weights[0][0]: expected a list of numbers, got 1"),
        ({"weights": [[[1, True]]]}, "weights[0][0][1]: expected a number, got True"),
        ({"weights": [[[None]]]}, "weights[0][0][0]: expected a number, got null"),
        ({"bias": [["1"]]}, "bias[0][0]: expected a number, got '1'"),
        ({"parameters": [3]}, "parameters[0]: expected a list of numbers, got 3"),
        (
            {"maps": [[]]},
            "maps[0]: expected an object of ids and lists of numbers, got a list of 0",
        ),
        ({"maps": [{"1": 2}]}, "maps[0].'1': expected a list of numbers, got 2"),
        ({"instructions": [3]}, "instructions[0]: expected an object, got 3"),
        ({"instructions": [{}]}, "instructions[0].type: expected the name of an instruction"),
        ({"instructions": [{"type": "copy"}]}, "instructions[0].type: expected the name of an ins"),
        ({"instructions": [{"type": ["DOT"]}]}, "instructions[0].type: expected the name of an i"),
        (
            {"instructions": [COPY, {**COPY, "input": "a"}]},
            "instructions[1].input: expected an integer >= 0, got 'a'",
        ),
        (
            {"instructions": [{**COPY, "input": [0]}]},
            "instructions[0].input: expected an integer >= 0, got a list of 1",
        ),
        (
            {"instructions": [{"type": "REDUCE_SUM", "input": 0}]},
            "instructions[0].output: expected an integer >= 0, got nothing",
        ),
        (
            {"instructions": [{"type": "ACTIVATION", "input": 0, "activation": None}]},
            "instructions[0].activation: expected one of RELU, SIGMOID,",
        ),
        (
            {"instructions": [{"type": "ADD_BUFFER_HEADS", "input": 0, "output": 1}]},
            "instructions[0].input: expected a list, got 0",
        ),
        (
            {"instructions": [{"type": "ADD_BUFFER_HEADS", "input": [0, -1], "output": 1}]},
            "instructions[0].input[1]: expected an integer >= 0, got -1",
        ),
        (
            {"instructions": [{**TABLE, "default": [0, "x"]}]},
            "instructions[0].default[1]: expected a number, got 'x'",
        ),
        (
            {"validation_data": []},
            "validation_data: expected an object with inputs and expected_outputs",
        ),
        (
            {"validation_data": {"inputs": []}},
            "validation_data.expected_outputs: expected a list, got nothing",
        ),
    ],
)
def test_a_fault_of_shape_is_named_by_its_place(changes, message) -> None:
    error = refused(document(**changes))
    assert error.kind == "ParseError"
    assert error.problems[0].message.startswith(message)
    assert message.startswith(error.fields["path"])


@pytest.mark.parametrize("width", [2, 15, 16, 200])
@pytest.mark.parametrize("value", [True, False, None, "1", "", "nan", [1], [], {}])
def test_what_numpy_would_take_for_a_number_is_refused_by_place(value, width) -> None:
    rows = [[0.5] * width for _ in range(4)]
    rows[2][width - 1] = value
    path = f"[2][{width - 1}]"
    rest = {"validation_data": {"inputs": [], "expected_outputs": rows}}
    maps = [{"1": rows[0], "5": rows[2]}]
    faulty = document(weights=[rows], bias=[rows[2]], maps=maps, **rest)
    wanted = [
        f"weights[0]{path}",
        f"bias[0][{width - 1}]",
        f"maps[0].'5'[{width - 1}]",
        f"validation_data.expected_outputs{path}",
    ]
    for source in (faulty, json.dumps(faulty).encode()):
        with pytest.raises(ij.FormatError) as caught:
            decode(source)
        assert [problem.fields["path"] for problem in caught.value.problems] == wanted
        assert {problem.kind for problem in caught.value.problems} == {"ParseError"}


@pytest.mark.parametrize("word", ["true", "false", "u", "s" * 20_000, "tru", "fals"])
def test_words_in_the_text_do_not_hide_a_bool(word) -> None:
    rows = [[1.0] * 20, [1.0] * 19 + [True]]
    assert "weights[0][1][19]" in str(refused(document(comment=word, weights=[rows])))
    assert "weights[0][1][19]" in str(refused(document(weights=[rows], z=word)))


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 100])
def test_numbers_are_rounded_once_whatever_the_width(width) -> None:
    random = np.random.default_rng(width)
    exponents = random.integers(-46, 38, size=(5, width)).astype(float)
    rows = (random.normal(size=(5, width)) * 10.0**exponents).tolist()
    rows[0][0], rows[1][0] = 16777217, -(2**63)  # integers beside decimals
    decoded = decode(json.dumps(document(weights=[rows], bias=[[0] * 5])).encode())
    expected = np.array(rows, np.float64).astype(np.float32)
    assert decoded.weights[0].tobytes() == expected.tobytes()


def test_all_faults_are_reported_at_once() -> None:
    error = refused(
        document(
            feature_size="2",
            buffer_sizes=[2, None],
            instructions=[{**COPY, "input": -1}, {"type": "DOT", "weights": 1.5}],
            weights=[[[1, "x"]]],
        )
    )
    assert [problem.fields["path"] for problem in error.problems] == [
        "feature_size",
        "buffer_sizes[1]",
        "instructions[0].input",
        "instructions[1].input",
        "instructions[1].output",
        "instructions[1].weights",
        "weights[0][0][1]",
    ]


def test_a_million_faults_are_cut_short() -> None:
    error = refused(document(weights=[[[None] * 1_000_000]]))
    assert len(error.problems) == MOST_PROBLEMS + 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"3",
        b"null",
        b'{"feature_size": NaN}',
        b'{"feature_size": 1e999}',
        b'\xef\xbb\xbf{"feature_size": 2}',
        b'{"features": ["\xff"]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"feature_size": 2,}',
    ],
)
def test_what_is_no_json_model_is_one_parse_error(text) -> None:
    assert refused(text).kind == "ParseError"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"feature_size": 2, "feature_size": 2}', "feature_size"),
        (b'{"instructions": [{"type": "COPY", "input": 0, "input": 1}]}', "input"),
        (b'{"maps": [{"1": [1], "1": [2]}]}', "1"),
        (b'{"validation_data": {"inputs": [], "inputs": []}}', "inputs"),
        (b'{"bias": [], "b\\u0069as": []}', "bias"),
        (b'{"a\\"b": 1, "a\\"b": 2}', 'a"b'),
        (b'{"x": {"y": 1}, "z": 1 , "x" : 2}', "x"),
    ],
)
def test_a_key_that_stands_twice_is_a_parse_error(text, key) -> None:
    error = refused(text)
    assert (error.kind, error.fields["key"]) == ("ParseError", key)
    assert text[error.fields["offset"] :].startswith(b'"')


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "a", "b": ["a", "b", ":"], "c": {"a": 1}, "d": {"a": 1}}',
        b'{"a{": 1, "}": 2, "[": "{\\"a{\\": 1}"}',
        b'{"\\\\": 1, "\\\\\\\\": "\\\\"}',
    ],
)
def test_keys_of_different_objects_and_values_are_no_duplicates(text) -> None:
    assert "twice" not in str(refused(text))


@pytest.mark.parametrize(
    ("changes", "kind", "path"),
    [
        ({"weights": [[[1, 2], [3, 1e39]]]}, "NonFiniteWeights", "weights[0][1][1]"),
        ({"weights": [[[1]], [[-1e39]]]}, "NonFiniteWeights", "weights[1][0][0]"),
        ({"bias": [[0, 1e300]]}, "NonFiniteWeights", "bias[0][1]"),
        ({"parameters": [[4e38]]}, "NonFiniteNumber", "parameters[0][0]"),
        ({"maps": [{"7": [0, 1e39]}]}, "NonFiniteNumber", "maps[0].7[1]"),
        ({"instructions": [{**TABLE, "default": [1e39]}]}, "NonFiniteNumber", "default[0]"),
    ],
)
def test_numbers_beyond_float32_are_refused_by_place(changes, kind, path) -> None:
    error = refused(document(**changes))
    assert error.kind == kind
    assert error.fields["path"].endswith(path)
    assert path in str(error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_not_written(value) -> None:
    def model(**changes):
        fields = {"weights": [[[1, 1]]], "bias": [[0]], "parameters": [[1]], "maps": [{1: [1]}]}
        instructions = [ij.MapTransform(0, 1, 0, 0, 0, 1, changes.pop("default", (0,)))]
        return ij.Model([2, 1], instructions, **{**fields, **changes}, feature_size=2)

    for changes, kind, path in [
        ({"weights": [[[1, value]]]}, "NonFiniteWeights", "weights[0][0][1]"),
        ({"bias": [[value]]}, "NonFiniteWeights", "bias[0][0]"),
        ({"parameters": [[value]]}, "NonFiniteNumber", "parameters[0][0]"),
        ({"maps": [{1: [0], 5: [value]}]}, "NonFiniteNumber", "maps[0].5[0]"),
        ({"default": (value,)}, "NonFiniteNumber", "instructions[0].default[0]"),
    ]:
        with pytest.raises(ij.FormatError) as caught:
            encode(model(**changes))
        assert (caught.value.kind, caught.value.fields["path"]) == (kind, path)


@pytest.mark.parametrize("seed", range(600))
def test_a_model_survives_its_canonical_text(seed) -> None:
    model, _ = random_model(seed)
    text = encode(model)
    assert decode(text) == model
    assert encode(decode(text)) == text


@pytest.mark.parametrize("exported", EXPORTED, ids=lambda e: e.name)
def test_an_exported_file_survives_too(exported) -> None:
    model = decode(json.dumps(exported.model).encode())
    assert decode(encode(model)) == model


def test_canonical_text_has_a_fixed_order_and_leaves_out_what_is_not_set() -> None:
    model = ij.Model(
        [1, 2],
        [ij.Dot(0, 1, 0), ij.ClipElementwise(1, parameters_max=0)],
        [[[0.1], [-0.0]]],
        parameters=[[1e-45]],
        features=["ü"],
    )
    assert encode(model).decode() == (
        '{"features":["ü"],"buffer_sizes":[1,2],"instructions":['
        '{"type":"DOT","input":0,"output":1,"weights":0},'
        '{"type":"CLIP_ELEMENTWISE","input":1,"parameters_max":0}],'
        '"weights":[[[0.1],[-0.0]]],"bias":[[0.0,0.0]],"parameters":[[1e-45]]}'
    )


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float32_is_written_as_its_shortest_decimal(values) -> None:
    model = ij.Model([1], [ij.AddElementwise(0, 0)], parameters=[values], features=[])
    text = encode(model)
    decimals = text[text.index(b"[[") + 2 : text.index(b"]]")].split(b",")
    assert decode(text).parameters[0].tobytes() == model.parameters[0].tobytes()
    for decimal, value in zip(decimals, model.parameters[0], strict=True):
        assert float(decimal) == float(str(value))  # str of a float32 scalar is the shortest


def test_a_parsed_document_may_hold_numpy_and_integer_keys() -> None:
    parsed = document(
        buffer_sizes=np.array([2, 2]),
        instructions=[
            {"type": "DOT", "input": np.int64(0), "output": 1, "weights": 0},
            {**TABLE, "default": np.array([1.5, 2])},
        ],
        weights=[np.ones((2, 2))],
        bias=[np.array([1, 2])],
        parameters=(),
        maps=[{1: np.array([1, 2]), np.int64(2): [np.float64(0.5), 3]}],
    )
    plain = document(
        instructions=[
            {"type": "DOT", "input": 0, "output": 1, "weights": 0},
            {**TABLE, "default": [1.5, 2]},
        ],
        weights=[[[1, 1], [1, 1]]],
        bias=[[1, 2]],
        maps=[{"1": [1, 2], "2": [0.5, 3]}],
    )
    assert decode(parsed) == decode(orjson.dumps(plain))


def test_an_integer_beyond_any_float_is_a_parse_error() -> None:
    with pytest.raises(ij.FormatError, match=r"bias\[0\]: expected numbers of the size of a float"):
        decode(document(bias=[[10**400]]))


def test_a_million_keys_that_stand_twice_are_cut_short() -> None:
    text = b'{"a":0' + b',"a":0' * 1_000_000 + b"}"
    assert len(refused(text).problems) == MOST_PROBLEMS + 1


def test_unknown_fields_are_ignored() -> None:
    extra = document(comment={"a": [None, True]}, instructions=[{**COPY, "note": None}])
    assert decode(orjson.dumps(extra)) == decode(orjson.dumps(document()))


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(json_bytes=50), "bytes of JSON"),
        (Limits(json_lists=3), "JSON lists and objects"),
        (Limits(json_values=5), "JSON values"),
        (Limits(buffers=1), "entries of buffer_sizes"),
        (Limits(instructions=0), "entries of instructions"),
        (Limits(arrays=0), "entries of weights"),
        (Limits(name_bytes=2), "bytes in features[0]"),
        (Limits(map_entries=1), "entries of maps[0]"),
    ],
)
def test_limits_are_reported_by_name(limits, name) -> None:
    text = orjson.dumps(document(features=["long"], weights=[[[1]]], maps=[{"1": [1], "2": [2]}]))
    error = refused(text, limits)
    assert (error.kind, error.fields["name"]) == ("LimitExceeded", name)
    assert error.fields["actual"] > error.fields["max"]


def test_the_time_is_linear_in_hostile_text() -> None:
    texts = [
        b'{"a":"' + b"\\\\" * 2_000_000 + b'"}',
        b'{"a":"' + b'\\"' * 2_000_000 + b'"}',
        b'{"a":["' + b'","'.join([b"x"] * 500_000) + b'"]}',
        b'{"a":' + b" " * 4_000_000 + b"1}",
        b'{"a":"x"' + b" " * 4_000_000 + b"}",
    ]
    start = time.perf_counter()
    for text in texts:
        refused(text)
    assert time.perf_counter() - start < 5  # 0.5 s on a busy core; quadratic would take hours


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_end_in_one_of_our_errors(data) -> None:
    exported = data.draw(st.sampled_from(EXPORTED))
    text = bytearray(orjson.dumps(exported.model))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "double", "insert"]))
        if kind == "flip":
            text[place] = data.draw(st.sampled_from(b'0123456789-.eE,:[]{}"tfn x\\'))
        elif kind == "cut":
            del text[place : place + data.draw(st.integers(1, 20))]
        elif kind == "double":
            text[place:place] = text[place : place + data.draw(st.integers(1, 20))]
        else:
            text[place:place] = data.draw(st.binary(max_size=4))
        if not text:
            return
    with suppress(ij.FormatError, ij.ModelError):
        ij.load(bytes(text), format="instmodel")


class _Junk:
    """Documents of the right keys and any values."""

    leaves = (
        st.none() | st.booleans() | st.integers(-3, 5) | st.floats(width=32) | st.text(max_size=3)
    )
    values = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "input", "output", "1"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
    documents = st.fixed_dictionaries(
        {
            "buffer_sizes": st.lists(st.integers(0, 4), max_size=3) | values,
            "instructions": st.lists(st.fixed_dictionaries({"type": st.just("COPY")}) | values)
            | values,
            "weights": values,
            "bias": values,
        },
        optional={
            "features": values,
            "feature_size": values,
            "parameters": values,
            "maps": values,
            "validation_data": values,
        },
    )


@settings(max_examples=300, deadline=None)
@given(_Junk.documents)
def test_any_document_ends_in_a_model_or_one_of_our_errors(junk) -> None:
    with suppress(ij.FormatError, ij.ModelError):
        ij.load(junk)


def test_json_is_sniffed_by_its_first_character() -> None:
    assert sniff(b' \n{"a"') is FORMATS["instmodel"]
    with pytest.raises(ij.FormatError, match="not a model file"):
        sniff(b"RMDX")
