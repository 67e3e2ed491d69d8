r"""The RNN\0 container: header, records, both forms of the blob table, digests, bounds."""

from __future__ import annotations

import hashlib
import struct
import time
import tracemalloc

import pytest
import rnn_golden
from rnn0_files import BENCHMARK, Blob, container, entry, file, network, record

from instjit.errors import FormatError
from instjit.formats.container import key_version, parse, printable, read_header
from instjit.formats.limits import Limits

PARSED = [s for s in rnn_golden.RNN0 if s.raw["result"] != "error"]
REFUSED = [s for s in rnn_golden.RNN0 if s.raw["result"] == "error"]
LISTED = [s for s in rnn_golden.RNN0 if "blobs" in s.raw]

TABLE = 3
MOST = 65_536
NO_DIGEST = bytes(32)


def refused(content: bytes, limits: Limits | None = None) -> FormatError:
    with pytest.raises(FormatError) as caught:
        parse(content, limits or Limits())
    return caught.value


def kind(content: bytes) -> str:
    try:
        parse(content)
    except FormatError as error:
        return error.kind
    return "parses"


def table(*records: bytes) -> bytes:
    return file(record(TABLE, b"".join(records)))


def names(content: bytes) -> list[bytes]:
    return [each.name for each in parse(content).entries]


# Golden files


@pytest.mark.parametrize("sample", LISTED, ids=lambda s: s.name)
def test_the_header_of_a_golden_file(sample) -> None:
    found = parse(sample.content)
    raw = sample.raw
    assert (found.header.version, found.header.flags) == (raw["version"], raw["flags"])
    assert found.header.size == raw["header_size"]
    assert [{"type": k, "length": len(v)} for k, v in found.records] == raw["tlvs"]


@pytest.mark.parametrize("sample", LISTED, ids=lambda s: s.name)
def test_the_blobs_of_a_golden_file(sample) -> None:
    found = parse(sample.content)
    assert sum(each.length for each in found.entries) == sample.raw["total_payload_bytes"]
    for each, blob in zip(found.entries, sample.raw["blobs"], strict=True):
        payload = found.payload(each)
        assert each.name.decode() == blob["name"]
        assert (each.dtype, list(each.dims)) == (blob["dtype"], blob["dims"])
        assert (each.offset, each.length) == (blob["offset"], blob["length"])
        assert len(payload) == blob["length"]
        assert hashlib.sha256(payload).hexdigest() == blob["payload_sha256"]
        stored = blob.get("stored_digest", NO_DIGEST.hex())
        assert (each.digest or NO_DIGEST).hex() == stored
        assert found.digest_matches(each) is (None if each.digest is None else True)


@pytest.mark.parametrize("sample", REFUSED, ids=lambda s: s.name)
def test_a_golden_file_with_a_fault_is_refused_with_its_kind(sample) -> None:
    assert kind(sample.content) == sample.raw["parse_error"]


@pytest.mark.parametrize("sample", PARSED, ids=lambda s: s.name)
def test_every_other_golden_file_parses(sample) -> None:
    assert sample.raw.get("parse_error") is None
    assert kind(sample.content) == "parses"


# The fixed part


@pytest.mark.parametrize("length", range(12))
def test_fewer_than_twelve_bytes_are_truncated_whatever_they_are(length) -> None:
    assert kind(file(b"")[:length]) == "Truncated"
    assert kind(b"x" * length) == "Truncated"


@pytest.mark.parametrize(
    ("magic", "hint"),
    [(b"RNN1", ""), (b"rnn\0", ""), (b"RMD1", "the file is RMD1"), (b"RNN0", "encrypted")],
)
def test_another_magic(magic, hint) -> None:
    error = refused(magic + file(b"")[4:])
    assert error.kind == "BadMagic"
    assert repr(magic) in str(error)
    assert hint in str(error)


@pytest.mark.parametrize(("length", "wanted"), [(235, "BadMagic"), (236, "Encrypted")])
def test_an_encrypted_container_has_at_least_236_bytes(length, wanted) -> None:
    content = (b"RNN0" + bytes(24) + struct.pack("<I", 7)).ljust(length, b"\x5a")
    assert kind(content) == wanted
    assert key_version(content) == (7 if wanted == "Encrypted" else None)
    assert "encrypted" in str(refused(content))


def test_only_an_encrypted_container_has_a_key_version() -> None:
    assert key_version(file(bytes(300))) is None


@pytest.mark.parametrize(
    ("size", "length", "wanted"),
    [
        (12, 12, "parses"),
        (13, 13, "parses"),
        (13, 12, "BadHeader"),
        (2**32 - 1, 12, "BadHeader"),
        (MOST, MOST, "parses"),
        (MOST, MOST - 1, "BadHeader"),
        (MOST, MOST + 1, "parses"),
        (MOST + 1, MOST + 1, "BadHeader"),
        (0, 12, "parses"),
        (11, 12, "parses"),
    ],
)
def test_the_header_ends_within_the_file_and_65_536_bytes(size, length, wanted) -> None:
    assert kind(file(b"", bytes(length - 12), size=size)) == wanted


@pytest.mark.parametrize("size", [0, 1, 11, 12])
def test_a_header_of_twelve_bytes_or_less_has_no_records(size) -> None:
    found = parse(file(record(9, b"abc"), size=size))
    assert (found.records, found.entries) == ((), ())
    assert found.header.size == size


@pytest.mark.parametrize("version", [0, 1, 2, 65_535])
def test_version_and_flags_are_read_and_not_judged(version) -> None:
    header = read_header(file(b"", version=version, flags=0x8001))
    assert (header.version, header.flags) == (version, 0x8001)


# Records


@pytest.mark.parametrize("zeros", [0, 1, 4, 5, 6, 1000])
def test_zeros_between_records_are_padding(zeros) -> None:
    gap = bytes(zeros)
    found = parse(file(gap + record(9, b"a") + gap + record(10, b"") + gap))
    assert found.records == ((9, b"a"), (10, b""))


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_record_that_does_not_end_within_the_header_is_refused(cut) -> None:
    area = record(9, b"a") + record(10, b"abc")
    assert kind(file(area)) == "parses"
    assert kind(file(area[:-cut], area[-cut:])) == "BadHeader"  # the bytes are in the file


@pytest.mark.parametrize("length", [4, 2**31, 2**32 - 1])
def test_a_length_past_the_header_is_refused_before_anything_is_read(length) -> None:
    assert kind(file(struct.pack("<BI", 9, length) + b"abc", bytes(100))) == "BadHeader"


def test_records_of_every_type_are_kept_in_order() -> None:
    wanted = [(t, bytes([t])) for t in range(255, 0, -1) if t != TABLE]
    assert parse(file(b"".join(record(*each) for each in wanted))).records == tuple(wanted)


def test_the_first_record_of_a_type_is_found() -> None:
    found = parse(file(record(9, b"a") + record(9, b"b")))
    assert found.record(9) == b"a"
    assert found.record(10) is None


# Blob tables


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize("tables", [1, 2, 3])
def test_tables_accumulate(tables, digests) -> None:
    content = container(*network(), tables=tables, digests=digests)
    assert names(content) == [b"layer_meta", b"weights", b"biases"]
    assert [each.digest is not None for each in parse(content).entries] == [digests] * 3


def test_tables_without_blobs_are_tables() -> None:
    content = file(record(TABLE, b"") + record(9, b"") + record(TABLE, b""))
    assert parse(content).entries == ()
    assert len(parse(content).records) == 3


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize("cut", [1, 16, 31, 33])
def test_a_blob_that_runs_past_its_table_is_refused(cut, digests) -> None:
    whole = entry(Blob(b"one", dims=(7, 7)), 0, digests) + entry(Blob(b"two"), 0, digests)
    assert kind(table(whole)) == "parses"
    assert kind(table(whole[:-cut])) == "BadHeader"


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize(
    ("blob", "wanted"),
    [
        (Blob(b"a", dims=()), "BadHeader"),
        (Blob(b"a", dims=(0,)), "parses"),
        (Blob(b"a", dims=(2**32 - 1,) * 255), "parses"),
        (Blob(b"a", dtype=2), "parses"),
        (Blob(b"a", dtype=3), "BadHeader"),
        (Blob(b"a", dtype=255), "BadHeader"),
        (Blob(b""), "parses"),
        (Blob(b"n" * 256), "parses"),
        (Blob(b"n" * 257), "LimitExceeded"),
        (Blob(b"a", offset=0, length=0), "parses"),
        (Blob(b"a", offset=2**64 - 1, length=2**64 - 1), "BadBounds"),
        (Blob(b"a", offset=2**64 - 1, length=1), "BadBounds"),
        (Blob(b"a", offset=1, length=2**64 - 1), "BadBounds"),
    ],
)
def test_one_blob(blob, wanted, digests) -> None:
    assert kind(table(entry(blob, 0, digests))) == wanted


@pytest.mark.parametrize("digests", [True, False])
def test_a_payload_ends_within_the_file(digests) -> None:
    def ending(past: int) -> bytes:
        size = len(table(entry(Blob(b"a"), 0, digests)))
        return table(entry(Blob(b"a", offset=size - 3, length=3 + past), 0, digests))

    assert kind(ending(0)) == "parses"
    assert kind(ending(1)) == "BadBounds"
    assert kind(ending(-3)) == "parses"


@pytest.mark.parametrize("digests", [True, False])
def test_an_empty_payload_may_lie_at_the_end_of_the_file_and_not_behind(digests) -> None:
    size = len(table(entry(Blob(b"a"), 0, digests)))
    assert kind(table(entry(Blob(b"a", offset=size, length=0), 0, digests))) == "parses"
    assert kind(table(entry(Blob(b"a", offset=size + 1, length=0), 0, digests))) == "BadBounds"


def test_the_first_fault_in_the_order_of_the_file_is_the_one_that_is_told() -> None:
    bounds = entry(Blob(b"a", offset=2**40), 0)
    rank = entry(Blob(b"b", dims=()), 0)
    assert kind(table(bounds, rank)) == "BadBounds"
    assert kind(table(rank, bounds)) == "BadHeader"
    assert kind(file(record(TABLE, bounds) + b"\x09")) == "BadBounds"
    assert kind(table(bounds, rank[:-1])) == "BadBounds"


def test_a_fault_is_told_with_the_blob_and_its_name() -> None:
    error = refused(table(entry(Blob(b"ok"), 0), entry(Blob(b"a\nb\xff", dtype=9), 0)))
    assert error.fields["blob"] == 1
    assert r"'a\\nb\\xff'" in str(error)
    assert "\n" not in str(error)


def test_an_all_zero_digest_is_none() -> None:
    found = parse(table(entry(Blob(b"a", digest=NO_DIGEST), 0)))
    assert found.entries[0].digest is None
    assert found.digest_matches(found.entries[0]) is None


def test_a_digest_with_one_bit_is_one() -> None:
    found = parse(table(entry(Blob(b"a", digest=bytes(31) + b"\x01"), 0)))
    assert found.digest_matches(found.entries[0]) is False


# Which of the two forms


def both_forms() -> bytes:
    """A table that divides into one blob with a digest, and into two without."""
    return entry(Blob(b"one"), 0, digests=False) + entry(Blob(b"eight888"), 0, digests=False)


def test_a_table_that_both_forms_divide_has_digests() -> None:
    content = table(both_forms())
    found = parse(content).entries
    assert [each.name for each in found] == [b"one"]
    assert found[0].digest == both_forms()[-32:]


def test_one_table_that_digests_do_not_divide_makes_all_tables_those_without() -> None:
    single = entry(Blob(b"plain"), 0, digests=False)
    content = file(record(TABLE, both_forms()) + record(TABLE, single))
    assert names(content) == [b"one", b"eight888", b"plain"]


def test_tables_of_different_forms_are_refused() -> None:
    with_digest = entry(Blob(b"a"), 0)
    without = entry(Blob(b"b"), 0, digests=False)
    assert kind(file(record(TABLE, with_digest) + record(TABLE, without))) == "BadHeader"
    assert kind(file(record(TABLE, without) + record(TABLE, with_digest))) == "BadHeader"


# Hostile files


def test_duplicate_names_are_kept_and_the_first_is_found() -> None:
    found = parse(container(Blob(b"a", b"first"), Blob(b"a", b"second"), Blob(b"b", b"third")))
    assert [bytes(found.payload(each)) for each in found.entries] == [b"first", b"second", b"third"]
    assert found.entry(b"a") is found.entries[0]
    assert found.entry(b"c") is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"weights", "weights"),
        (b"", ""),
        (b"a\nb\r\t\0", r"a\nb\r\t\x00"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"\"'`$(rm)", "\"'`$(rm)"),
        ("\u202eabc\u200b".encode(), r"\u202eabc\u200b"),
        ("\uff37ide".encode(), "\uff37ide"),
        (b"\x1b[31m", r"\x1b[31m"),
        ("\U000e0001".encode(), r"\U000e0001"),
    ],
)
def test_names_are_kept_to_the_byte_and_shown_on_one_line(name, shown) -> None:
    assert names(table(entry(Blob(name), 0))) == [name]
    assert printable(name) == shown
    assert printable(name).isprintable()


def overlapping(count: int, length: int, digests: bool = False) -> bytes:
    """So many blobs, each of which is the whole payload."""
    digest = hashlib.sha256(bytes(length)).digest()
    size = 12 + 5 + count * len(entry(Blob(b""), 0, digests))
    blob = Blob(b"", offset=size, length=length, digest=digest)
    return table(*[entry(blob, 0, digests)] * count) + bytes(length)


def test_as_many_blobs_as_a_header_has_room_for() -> None:
    most = (MOST - 12 - 5) // len(entry(Blob(b""), 0, digests=False))
    assert len(parse(overlapping(most, 1)).entries) == most
    assert kind(overlapping(most + 1, 1)) == "BadHeader"


@pytest.mark.parametrize("digests", [True, False])
def test_blobs_that_overlap_are_bounded_together(digests) -> None:
    content = overlapping(1_000, 10_000, digests)
    total, size = 1_000 * 10_000, len(content)
    error = refused(content)
    assert error.kind == "LimitExceeded"
    assert error.fields == {"name": "payload_growth", "actual": total, "max": 2 * size}
    assert str(2 * size) in str(error)
    growth = -(-total // size)
    assert len(parse(content, Limits(payload_growth=growth)).entries) == 1_000
    assert refused(content, Limits(payload_growth=growth - 1)).kind == "LimitExceeded"


def test_blobs_may_be_just_as_long_as_the_limit() -> None:
    size = 2 * len(table(entry(Blob(b""), 0))) - 17
    exact = table(*[entry(Blob(b"", offset=0, length=size), 0)] * 2)
    assert len(exact) == size
    assert len(parse(exact, Limits(payload_growth=2)).entries) == 2
    assert refused(exact, Limits(payload_growth=1)).fields["actual"] == 2 * size


def test_nothing_of_a_payload_is_copied_while_parsing() -> None:
    content = overlapping(2, 8_000_000)
    tracemalloc.start()
    found = parse(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.entries) == 2
    assert peak < 100_000


AREAS = {
    "padding": bytes(MOST - 12),
    "empty records": record(9, b"") * 13_104,
    "empty tables": record(TABLE, b"") * 13_104,
    "blobs": record(TABLE, entry(Blob(b""), 0, digests=False) * 2_700),
    "blobs with digests": record(TABLE, entry(Blob(b""), 0) * 1_190),
    "dims": record(TABLE, entry(Blob(b"", dims=(1,) * 255), 0) * 60),
    "lengths of names": record(TABLE, b"\xff\xff" * 32_000),
    "ranks": record(TABLE, b"\0\0\0\xff" * 16_000),
}


@pytest.mark.parametrize("area", AREAS.values(), ids=AREAS)
def test_the_longest_headers_take_a_moment(area) -> None:
    content = file(area[: MOST - 12])
    assert len(content) > 60_000
    start = time.perf_counter()
    kind(content)
    assert time.perf_counter() - start < 2


def test_a_benchmark_record_is_a_record() -> None:
    assert parse(container()).records[0] == BENCHMARK
