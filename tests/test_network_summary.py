"""The network summary record: both forms, and what is neither."""

from __future__ import annotations

import struct

import pytest
import rnn_golden

from instjit.errors import FormatError
from instjit.formats import container, summary
from instjit.formats.summary import Summary

LARGEST = 2**32 - 1


def runs(content: bytes, head: bytes = b"\x01\x01") -> bytes:
    """Run lengths, one for each byte."""
    return head + b"".join(bytes((1, byte)) for byte in content)


def figures(magic: bytes = b"S5D0\x01", dtype: int = 0, *counts: int) -> bytes:
    return magic + struct.pack("<B6I", dtype, *(counts or (3, 12, 30, 9, 3, 7)))


def refused(value: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        summary.decode(value)
    assert caught.value.kind == "BadHeader"
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["rnn0_sha256_mlp3_named_reordered", "rnn0_nodigest_mlp3_named_reordered"]
)
def test_the_summary_of_a_golden_file_is_read_and_written_to_the_byte(name) -> None:
    value = container.parse(rnn_golden.sample(name).content).record(container.SUMMARY)
    found = summary.decode(value)
    assert found == Summary(0, 3, 12, 30, 9, 3, 7)
    assert summary.encode(found) == value


@pytest.mark.parametrize(
    "wanted",
    [
        Summary(0, 0, 0, 0, 0, 0, 0),
        Summary(1, LARGEST, LARGEST, LARGEST, LARGEST, LARGEST, LARGEST),
        Summary(1, 1, 3, 2, 1, 3, 15),
        Summary(0, 0x01020304, 0x05060708, 0x090A0B0C, 0x0D0E0F10, 0x11121314, 0x15161718),
    ],
)
def test_the_long_form_survives_the_round_trip(wanted) -> None:
    assert summary.decode(summary.encode(wanted)) == wanted


def test_any_run_lengths_that_expand_alike_are_read_alike() -> None:
    assert summary.decode(runs(figures())) == Summary(0, 3, 12, 30, 9, 3, 7)


def test_the_compact_form() -> None:
    value = b"VIZ\0" + struct.pack("<BHIHHB", 1, 3, 70_000, 65_535, 9, 255)
    assert len(value) == 16
    assert summary.decode(value) == Summary(1, 3, 70_000, 65_535, 9, 255, None)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"", "version"),
        (b"\x01", "codec"),
        (runs(figures(), b"\x02\x01"), "version 2 codec 1"),
        (runs(figures(), b"\x01\x00"), "version 1 codec 0"),
        (b"\x01\x01", "expands to 0 bytes"),
        (runs(figures()[:-1]), "expands to 29 bytes"),
        (runs(figures() + b"\0"), "expands to 31 bytes"),
        (runs(figures()) + b"\0\0", "a run of 0 bytes"),
        (b"\x01\x01\x00\x53" + runs(figures(), b""), "a run of 0 bytes"),
        (runs(figures()) + b"\x01", "a value"),
        (runs(figures(b"S5D1\x01")), "S5D1"),
        (runs(figures(b"S5D0\x02")), r"S5D0\x02"),
        (b"\x01\x01" + b"\xff\x00" * 30_000, "expands to 255 bytes"),
        (b"VIZ\0" + bytes(11), "version 86 codec 73"),
        (b"VIZ\0" + bytes(13), "version 86 codec 73"),
    ],
)
def test_what_is_neither_form_is_refused(value, sentence) -> None:
    assert sentence in refused(value)


@pytest.mark.parametrize("length", range(62))
def test_a_long_form_that_is_cut_off_is_refused(length) -> None:
    value = runs(figures())
    assert len(value) == 62
    refused(value[:length])
