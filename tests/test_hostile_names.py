"""Names in a file never reach the generated text: it is the same bytes as with plain names."""

from __future__ import annotations

import random

import orjson
import pytest
from c99_run import source_of as c99_source
from rnn0_files import BENCHMARK, Blob, container, network

import instjit as ij
from instjit.commands.kernel_text import source_text

LEVELS = ["avx512", "generic"]

HOSTILE = [
    "a\nimport os",
    "a\r\n    os.system('x')",
    "\x00",
    "'",
    '"',
    '"""',
    "'''; raise SystemExit; '''",
    "\\",
    "\\N{BULLET}",
    "{0}{name!r}%s%(x)s",
    "__import__('os').system('x')",
    "__class__",
    "None",
    "def",
    "tiles",
    "step0",
    "k",
    "# comment",
    "a # noqa\n",
    "step0 = gemm(outputs=1)",
    "\uff41",  # full-width a, which Python takes for an identifier
    "\uff3f\uff3f\uff49\uff4d\uff50\uff4f\uff52\uff54\uff3f\uff3f",  # __import__ in such letters
    "\ufb01",  # a ligature that normal form KC takes apart
    "\u202eabc\u202c",  # right to left
    "\u2066\u2069",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\U0001f600",
    "e\u0301",
    "x" * 256,
    "\ue000\uffff\U0010ffff",
    "a[2",
    "a]",
    "a][",
    "",
    " ",
]


def text(**fields) -> bytes:
    """A product, a lookup and a sum over three columns."""
    base = {
        "buffer_sizes": [3, 2, 1],
        "instructions": [
            {"type": "DOT", "input": 0, "output": 1, "weights": 0, "activation": "TANH"},
            {
                "type": "MAP_TRANSFORM",
                "input": 0,
                "output": 1,
                "internal_input_index": 2,
                "internal_output_index": 1,
                "map": 0,
                "size": 1,
                "default": [0.5],
            },
            {"type": "REDUCE_SUM", "input": 1, "output": 2},
        ],
        "weights": [[[1, 2, 3], [4, 5, 6]]],
        "bias": [[1, 2]],
        "features": ["a", "b", "c"],
        "maps": [{"1": [1], "-7": [2]}],
    }
    return orjson.dumps(base | fields)


def sources(content: bytes) -> list[str]:
    model = ij.load(content)
    texts = [source_text(model, level) for level in LEVELS]
    return [*texts, c99_source(model, "generic")[1].text]


PLAIN = sources(text())


BRACKETS = [name for name in HOSTILE if "[" in name or "]" in name]
NAMES = [name for name in HOSTILE if name not in BRACKETS]
CASES = [(name[:250], width) for name in NAMES for width in ("", "[1]") if name or not width]


def shown(name: str) -> str:
    return ascii(name[:20])


@pytest.mark.parametrize(("name", "width"), CASES, ids=shown)
def test_a_hostile_feature_leaves_the_text_as_it_is(name, width) -> None:
    assert sources(text(features=[name + width, "b", "c"])) == PLAIN


@pytest.mark.parametrize("name", BRACKETS, ids=shown)
def test_a_broken_width_is_refused(name) -> None:
    with pytest.raises(ij.ModelError) as caught:
        ij.load(text(features=[name, "b", "c"]))
    assert caught.value.kind == "InvalidFeatureFormat"


@pytest.mark.parametrize("name", HOSTILE, ids=shown)
def test_a_hostile_map_key_is_refused_and_shown_escaped(name) -> None:
    with pytest.raises(ij.ModelError) as caught:
        ij.load(text(maps=[{"1": [1], name: [2]}]))
    assert caught.value.kind == "InvalidMapKey"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", ["+1", "001", "1", "-0001"])
def test_spellings_of_a_key_leave_the_text_as_it_is(key) -> None:
    assert sources(text(maps=[{key: [1], "-7": [2]}])) == PLAIN


@pytest.mark.parametrize("name", HOSTILE, ids=shown)
def test_unknown_fields_of_any_name_leave_the_text_as_it_is(name) -> None:
    assert sources(text(**{name: name, "comment": {name: [name]}})) == PLAIN


def generated(count: int) -> list[str]:
    """Names of any characters but surrogates, which no file can hold, and brackets."""
    chosen = random.Random(3)
    planes = [(0, 0x80), (0x80, 0x800), (0x2000, 0x2070), (0xFF00, 0x10000), (0x1F300, 0x1F700)]
    names: dict[str, None] = {}
    while len(names) < count:
        low, high = chosen.choice(planes)
        letters = (chr(chosen.randrange(low, high)) for _ in range(chosen.randrange(1, 12)))
        names["".join(letter for letter in letters if letter not in "[]")] = None
    return list(names)


def test_ten_thousand_generated_names_leave_the_text_as_it_is() -> None:
    names = generated(10_000)
    plain = [f"f{k}" for k in range(len(names))]

    def wide(features: list[str]) -> bytes:
        sums = [{"type": "REDUCE_SUM", "input": 0, "output": 1}]
        sizes = [len(features), 1]
        empty = {"weights": [], "bias": [], "maps": []}
        return text(features=features, buffer_sizes=sizes, instructions=sums, **empty)

    assert sources(wide(names)) == sources(wide(plain))
    assert ij.load(wide(names)).features == tuple(names)


def test_a_lone_surrogate_is_refused_in_a_file_and_in_a_document() -> None:
    with pytest.raises(ij.FormatError, match="not valid JSON"):
        ij.load(text().replace(b'"a"', b'"\\ud800"'))
    with pytest.raises(ij.FormatError, match="valid Unicode"):
        ij.load(orjson.loads(text()) | {"features": ["\ud800", "b", "c"]})


@pytest.mark.parametrize("length", [257, 10_000])
def test_a_long_name_is_refused(length) -> None:
    with pytest.raises(ij.FormatError) as caught:
        ij.load(text(features=["x" * length, "b", "c"]))
    assert caught.value.kind == "LimitExceeded"
    assert len(str(caught.value)) < 200


CONTAINER = sources(container(*network()))


@pytest.mark.parametrize("name", HOSTILE, ids=shown)
def test_a_hostile_name_of_a_tensor_or_a_container_leaves_the_text_as_it_is(name) -> None:
    raw = name.encode()
    other = Blob(raw, b"\1\2\3", 2, (3,))
    titled = (BENCHMARK, (4, raw))  # the model's name
    assert sources(container(*network(), other, records=titled)) == CONTAINER
    assert sources(container(other, *network())) == CONTAINER


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\xed\xa0\x80", b"a\x00b", b"\xc0\xaf"])
def test_a_tensor_name_that_is_no_unicode_leaves_the_text_as_it_is(name) -> None:
    assert sources(container(*network(), Blob(name, b"x", 2, (1,)))) == CONTAINER


def test_ten_thousand_generated_tensor_names_leave_the_text_as_it_is() -> None:
    """500 in a file: a header holds 65,536 bytes."""
    blobs = [Blob(name.encode(), b"x", 2, (1,)) for name in generated(10_000)]
    for start in range(0, len(blobs), 500):
        assert sources(container(*network(), *blobs[start : start + 500])) == CONTAINER
