"""The cursor over a file's bytes: exactly as far as they go, and not a byte further."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest

import instjit as ij
from instjit.formats.reader import F32, F64, Floats, Reader

TAKES = {
    "u8": (1, lambda reader: reader.u8("it"), 0x01),
    "u16": (2, lambda reader: reader.u16("it"), 0x0201),
    "u32": (4, lambda reader: reader.u32("it"), 0x04030201),
    "u64": (8, lambda reader: reader.u64("it"), 0x0807060504030201),
    "take": (5, lambda reader: reader.take(5, "it"), bytes(range(1, 6))),
    "take nothing": (0, lambda reader: reader.take(0, "it"), b""),
    "u32_rows": (
        24,
        lambda reader: reader.u32_rows(2, 3, "it"),
        [[0x04030201, 0x08070605, 0x0C0B0A09], [0x100F0E0D, 0x14131211, 0x18171615]],
    ),
    "no u32_rows": (0, lambda reader: reader.u32_rows(0, 5, "it"), []),
    "F32": (
        12,
        lambda reader: reader.floats(3, F32, "it").array.tobytes(),
        bytes(range(1, 13)),
    ),
    "F64": (
        16,
        lambda reader: reader.floats(2, F64, "it").array.tobytes(),
        bytes(range(1, 17)),
    ),
    "no floats": (0, lambda reader: reader.floats(0, F64, "it").array.tolist(), []),
    "part": (7, lambda reader: reader.part(7, "it", "Cut").left, 7),
}
"""Bytes that each method takes, a call, and what it gives of 1, 2, 3, ..."""
STARTS = [0, 1, 3]


def numbers(start: int, count: int) -> bytes:
    """``start`` bytes that are skipped, then 1, 2, 3, ..."""
    return bytes(start) + bytes(range(1, count + 1))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("size", "take", "wanted"), TAKES.values(), ids=TAKES)
def test_a_method_takes_the_last_bytes(size, take, wanted, start) -> None:
    reader = Reader(numbers(start, size), "file", start=start)
    assert take(reader) == wanted
    assert (reader.position, reader.left) == (start + size, 0)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("size", "take"),
    [case[:2] for case in TAKES.values() if case[0]],
    ids=[name for name, case in TAKES.items() if case[0]],
)
def test_a_method_refuses_one_byte_past_the_end(size, take, start) -> None:
    reader = Reader(numbers(start, size - 1), "file", "Cut", start=start)
    sentence = f"file: it at byte {start} takes {size} bytes, {size - 1} are left"
    with pytest.raises(ij.FormatError, match=re.escape(sentence)) as error:
        take(reader)
    assert error.value.kind == "Cut"
    assert error.value.fields == {"offset": start, "wanted": size, "left": size - 1}
    assert reader.position == start  # nothing was taken


@pytest.mark.parametrize(("size", "take"), [case[:2] for case in TAKES.values()], ids=TAKES)
def test_a_method_stops_where_its_part_does(size, take) -> None:
    content = bytes(100)
    take(Reader(content, "part", start=10, stop=10 + size))
    if size:
        with pytest.raises(ij.FormatError):
            take(Reader(content, "part", start=10, stop=10 + size - 1))


def test_integers_are_unsigned_and_little_endian() -> None:
    reader = Reader(b"\xff" * 15, "file")
    got = reader.u8("a"), reader.u16("b"), reader.u32("c"), reader.u64("d")
    assert got == (2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1)
    assert Reader(b"\xff" * 4, "file").u32_rows(1, 1, "e") == [[2**32 - 1]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda reader: reader.take(2**64, "it"),
        lambda reader: reader.part(2**64, "it", "Cut"),
        lambda reader: reader.u32_rows(2**62, 2**62, "it"),
        lambda reader: reader.floats(2**62, F64, "it"),
        lambda reader: reader.take(-1, "it"),
        lambda reader: reader.floats(-1, F32, "it"),
    ],
    ids=["take", "part", "rows", "floats", "negative take", "negative floats"],
)
def test_a_size_that_cannot_be_is_refused_before_anything_is_allocated(ask) -> None:
    reader = Reader(bytes(64), "file", start=32)
    with pytest.raises(ij.FormatError):
        ask(reader)
    assert reader.position == 32


@pytest.mark.parametrize(
    ("start", "stop", "left"),
    [(0, None, 10), (10, None, 0), (11, None, 0), (0, 99, 10), (8, 4, 0), (3, 7, 4), (0, 0, 0)],
)
def test_a_reader_never_leaves_the_content(start, stop, left) -> None:
    reader = Reader(bytes(10), "file", start=start, stop=stop)
    assert reader.left == left
    with pytest.raises(ij.FormatError):
        reader.take(left + 1, "it")


def test_a_part_is_skipped_and_reports_under_its_own_name_and_kind() -> None:
    reader = Reader(numbers(0, 10), "file")
    part = reader.part(4, "table", "BadHeader")
    assert reader.u8("next") == 5
    assert part.u32("all of it") == 0x04030201
    with pytest.raises(ij.FormatError, match="table: more at byte 4 takes 1 bytes") as error:
        part.u8("more")
    assert error.value.kind == "BadHeader"


# -- floats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("padding", range(9))
def test_floats_are_views_where_they_are_aligned_and_copied_once_where_not(dtype, padding) -> None:
    values = np.arange(1, 6, dtype=dtype)
    content = bytes(padding) + values.tobytes()
    floats = Reader(content, "file", start=padding).floats(5, dtype, "it")
    array = floats.array
    aligned = padding % dtype.itemsize == 0
    assert np.shares_memory(array, np.frombuffer(content, np.uint8)) == aligned
    assert array.flags.aligned
    assert not array.flags.writeable
    assert array.tolist() == [1, 2, 3, 4, 5]
    assert np.shares_memory(floats.view(1, 2), floats.view(2, 2, 1))  # of one copy, if at all


@pytest.mark.parametrize(
    ("at", "shape", "wanted"),
    [
        (0, (6,), [0, 1, 2, 3, 4, 5]),
        (0, (2, 3), [[0, 1, 2], [3, 4, 5]]),
        (2, (2, 2), [[2, 3], [4, 5]]),
        (5, (1,), [5]),
        (6, (0,), []),
        (0, (0, 9), []),
        (0, (2, 0), [[], []]),
    ],
)
def test_a_view_has_its_numbers(at, shape, wanted) -> None:
    floats = Floats(np.arange(6, dtype=F32).tobytes(), 0, 6, F32)
    view = floats.view(at, *shape)
    assert view.shape == shape
    assert view.tolist() == wanted


@pytest.mark.parametrize(
    ("at", "shape"),
    [
        (0, (7,)),
        (6, (1,)),
        (7, (0,)),
        (1, (2, 3)),
        (-1, (1,)),
        (0, (-1,)),
        (0, (-2, -3)),
        (2**62, (2**62, 2**62)),
    ],
)
def test_a_view_past_the_numbers_is_a_fault_of_the_program(at, shape) -> None:
    floats = Floats(np.arange(9, dtype=F32).tobytes(), 4, 6, F32)
    with pytest.raises(IndexError):
        floats.view(at, *shape)


def test_floats_begin_where_they_are_told() -> None:
    content = b"head" + struct.pack("<3f", 1, 2, 3) + b"tail"
    reader = Reader(content, "file")
    reader.take(4, "head")
    assert reader.floats(3, F32, "it").view(1, 2).tolist() == [2, 3]
    assert reader.take(4, "tail") == b"tail"


def test_no_floats_of_no_bytes() -> None:
    assert Floats(b"", 0, 0, F32).array.shape == (0,)


@pytest.mark.parametrize(("beside", "held"), [(0, True), (2**17, False)])
def test_a_small_part_of_a_large_file_lets_go_of_it(beside, held) -> None:
    content = bytes(1000 * 4 + beside)
    floats = Reader(content, "file").floats(1000, F32, "numbers")
    assert np.shares_memory(floats.array, np.frombuffer(content, np.uint8)) == held
    assert (floats.array == 0).all()
