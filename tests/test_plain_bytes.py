"""Plain values come back from their bytes, and damaged bytes are an error."""

from __future__ import annotations

import random
from typing import Any

import pytest

from instjit.plain_bytes import from_bytes, to_bytes

EDGES = [0, 23, 24, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63, 2**64 - 1]

VECTORS = [  # appendix A of RFC 8949
    (0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"),
    (1000, "1903e8"), (1000000, "1a000f4240"), (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"), (-1, "20"), (-10, "29"), (-100, "3863"),
    (-1000, "3903e7"), (-18446744073709551616, "3bffffffffffffffff"), (None, "f6"),
    (b"", "40"), (b"\1\2\3\4", "4401020304"), ("", "60"), ("a", "6161"), ("IETF", "6449455446"),
    ("\u00fc", "62c3bc"), ("\u6c34", "63e6b0b4"), ((), "80"), ((1, 2, 3), "83010203"),
    ((1, (2, 3), (4, 5)), "8301820203820405"),
    (tuple(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "content"), VECTORS)
def test_bytes_are_those_of_the_standard(value: Any, content: str) -> None:
    assert to_bytes(value).hex() == content
    assert from_bytes(bytes.fromhex(content)) == value


@pytest.mark.parametrize("number", [*EDGES, *(-1 - edge for edge in EDGES)])
def test_numbers_come_back(number: int) -> None:
    assert from_bytes(to_bytes(number)) == number


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65536])
@pytest.mark.parametrize("one", ["a", "\u00fc", "\ud800", b"a", (None,)], ids=ascii)
def test_lengths_come_back(length: int, one: Any) -> None:
    assert from_bytes(to_bytes(one * length)) == one * length


def random_value(source: random.Random, depth: int = 0) -> Any:
    kinds = [
        lambda: source.choice(EDGES) * source.choice([1, -1]),
        lambda: "RELU"[: source.randrange(5)],
        lambda: source.randbytes(source.randrange(4)),
        lambda: None,
        lambda: tuple(random_value(source, depth + 1) for _ in range(source.randrange(5))),
    ]
    return source.choice(kinds if depth < 5 else kinds[:4])()


def test_random_values_come_back() -> None:
    values = [random_value(random.Random(seed)) for seed in range(2000)]
    assert [value for value in values if from_bytes(to_bytes(value)) != value] == []


@pytest.mark.parametrize("value", [1.5, [1], {"a": 1}, 1j, object(), (1, (2, 3.0))])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is no plain value"):
        to_bytes(value)


@pytest.mark.parametrize("number", [2**64, -(2**64) - 1])
def test_numbers_of_more_than_64_bits_are_refused(number: int) -> None:
    with pytest.raises(OverflowError, match="65 bits are more than 64"):
        to_bytes((number,))


@pytest.mark.parametrize(
    "content",
    ["", "18", "1903", "61", "6261", "62c328", "43aabb", "82", "8201", "1c", "5f", "a0", "c0", "f5",
     "0000", "f6f6", "9bffffffffffffffff", "7bffffffffffffffff"],
)  # fmt: skip
def test_what_is_no_value_is_an_error(content: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        from_bytes(bytes.fromhex(content))
