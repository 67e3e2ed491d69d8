"""Mutations of JSON text by its tokens, so that what comes out is mostly still JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.0-9eE]+|true|false|null|[\[\]{},:]')

NUMBERS = (
    *(b"0", b"-0", b"0.0", b"-0.0", b"1", b"-1", b"2", b"3", b"7", b"0.5", b"1.5", b"1e0"),
    *(b"1e-400", b"1e308", b"1e39", b"3.5e38", b"-3.4028235e38", b"1e-46"),
    *(b"1000000", b"1000001", b"65536", b"16777217", b"2147483647", b"2147483648", b"-2147483649"),
    *(b"4294967296", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615"),
    *(b"-9223372036854775809", b"0." + b"0" * 300 + b"1", b"18446744073709551616"),
)
BROKEN = (
    *(b"00", b"01", b"+1", b".5", b"1.", b"NaN", b"Infinity", b"0x10", b"1_000", b"1e", b"--1"),
    *(b'"\\ud800"', b'"\xff"', b'"\\x"', b'"', b",", b"1e999", b"1" * 400, b"1" * 5000),
)
OTHERS = (
    *(b"null", b"true", b"false", b'""', b'"7"', b'"+7"', b'"007"', b'"1e3"', b"[]", b"{}"),
    *(b"[[]]", b"[1]", b"[[1],[1,2]]", b"[{}]", b'{"type":"DOT"}', b'{"0":[1]}', b'{"x":[1]}'),
    *(b'"DOT"', b'"COPY"', b'"RELU"', b'"SOFTMAX"', b'"ATTENTION"', b'"MAP_TRANSFORM"'),
    *(b'"REDUCE_SUM"', b'"ACTIVATION"', b'"f[3]"', b'"f[0]"', b'"f[99999999999]"', b'"f[-1]"'),
    *(b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\xc3\xa9"', b'"#"', b'"f[2]"'),
    *(b'"__import__"', b'"\xef\xbd\x81"', b'"' + b"n" * 257 + b'"', b'"a\\nb"'),
)
KEYS = tuple(
    b'"' + key + b'"'
    for key in (
        *(b"features", b"feature_size", b"buffer_sizes", b"instructions", b"weights", b"bias"),
        *(b"parameters", b"maps", b"validation_data", b"inputs", b"expected_outputs", b"type"),
        *(b"input", b"output", b"activation", b"indexes", b"default", b"size", b"\\u0069nput"),
    )
)
DEPTHS = (2, 20, 500, 1023, 1024, 1025, 6000)
LONG = 5000

Span = tuple[int, int]


@dataclass(frozen=True)
class Parts:
    """Where the parts of a text stand, by their kind: most of a file is numbers."""

    numbers: tuple[Span, ...]
    words: tuple[Span, ...]
    brackets: tuple[Span, ...]
    keys: tuple[Span, ...]


def mutate(content: bytearray, rng: Random, seeds: Sequence[bytes]) -> None:
    """Some tokens, or what stands in brackets, replaced, repeated, removed, nested or renamed."""
    text = bytes(content)
    parts = split(text)
    kinds = [parts.numbers, parts.numbers, parts.words, parts.brackets, parts.brackets, parts.keys]
    chosen = {
        (*rng.choice(kind), number)
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
        if (kind := kinds[number := rng.randrange(len(kinds))])
    }
    stop = len(text)
    for first, last, number in sorted(chosen, reverse=True):
        if last > stop:
            continue  # what stands in it is changed already
        old = text[first:last]
        if kinds[number] is parts.keys:
            content[first:last] = _other_key(old, rng, parts, text)
        else:
            content[first:last] = _other_value(old, rng, kinds[number], text)
        stop = first


def _other_key(old: bytes, rng: Random, parts: Parts, text: bytes) -> bytes:
    match rng.randrange(8):
        case 0:
            return old + b":0," + old  # twice
        case 1:
            return b""
        case 2 | 3 | 4:
            return rng.choice(KEYS)
        case _:
            start, stop = rng.choice(parts.keys)
            return text[start:stop]


def _other_value(old: bytes, rng: Random, like: Sequence[Span], text: bytes) -> bytes:
    match rng.randrange(24):
        case 0:
            return rng.choice(BROKEN)
        case 1:
            depth = rng.choice(DEPTHS)
            return b"[" * depth + old + b"]" * depth
        case 2 | 3 if len(text) < LONG:
            return b",".join([old] * rng.choice((2, 2, 3, 50)))
        case 4 if old[:1] == b"{" and len(old) > 2:
            return old[:-1] + b"," + old[1:]  # every key twice
        case 4 | 5 | 6 | 7 | 8 | 9 | 10:  # another of the same kind
            start, stop = rng.choice(like)
            return text[start:stop]
        case 11:
            return rng.choice(OTHERS)
        case 12 | 13 | 14 | 15 | 16 | 17 if old[:1] != b'"':
            return b"%d" % rng.getrandbits(rng.choice((1, 2, 2, 3, 8, 33)))
        case _ if old[:1] != b'"' or rng.random() < 0.1:
            return rng.choice(NUMBERS)
        case _:
            start, stop = rng.choice(like)
            return text[start:stop]


@lru_cache(300)
def split(text: bytes) -> Parts:
    """The parts of a text; of one that is no JSON, as many as there are."""
    numbers: list[Span] = []
    words: list[Span] = []
    brackets: list[Span] = []
    keys: list[Span] = []
    opened: list[int] = []
    for token in _TOKEN.finditer(text):
        match token[0][:1]:
            case b"[" | b"{":
                opened.append(token.start())
            case b"]" | b"}":
                if opened:
                    brackets.append((opened.pop(), token.end()))
            case b":":
                if words:
                    keys.append(words.pop())
            case b",":
                pass
            case b'"' | b"t" | b"f" | b"n":
                words.append(token.span())
            case _:
                numbers.append(token.span())
    return Parts(tuple(numbers), tuple(words), tuple(brackets), tuple(keys))
