from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instjit.errors import FormatError, InputError
from instjit.rowfiles.csv_file import LONGEST_LINE, CsvRows


def read(text: str | bytes, *columns: str, block_bytes: int = 2**18, **options: bool) -> np.ndarray:
    content = text.encode() if isinstance(text, str) else text
    rows = CsvRows(io.BytesIO(content), "t.csv", columns, block_bytes=block_bytes, **options)
    chunks = list(rows.chunks())
    assert all(chunk.shape[1] == rows.width for chunk in chunks)
    return np.concatenate([np.empty((0, rows.width)), *chunks])


NUMBERS = {
    "plain": ("1,2\n3,4\n", [[1, 2], [3, 4]]),
    "no last line break": ("1,2\n3,4", [[1, 2], [3, 4]]),
    "blank lines at the end": ("1,2\n3,4\n\n\r\n\n", [[1, 2], [3, 4]]),
    "Windows line breaks": ("1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
    "byte order mark": ("\ufeff1,2\n3,4\n", [[1, 2], [3, 4]]),
    "byte order mark and header": ("\ufeffa,b\n3,4\n", [[3, 4]]),
    "spaces": (" 1 ,\t2\n3, 4 \n", [[1, 2], [3, 4]]),
    "other spellings": ("+1,.5\n5.,1E2\n", [[1, 0.5], [5, 100]]),
    "leading zeros": ("007,1\n-00,2\n", [[7, 1], [-0.0, 2]]),
    "quoted numbers": ('"1",2\n3,"4"\n', [[1, 2], [3, 4]]),
    "not finite": ("nan,inf\n-Infinity,NaN\n", [[np.nan, np.inf], [-np.inf, np.nan]]),
    "beyond float64": ("1e400,-1e400\n", [[np.inf, -np.inf]]),
    "large integers": ("18446744073709551617,9007199254740993\n", [[2.0**64, 2.0**53]]),
    "one column": ("label\n3\n1\n", [[3], [1]]),
    "header only": ("a,b\n", np.empty((0, 2))),
    "quoted semicolon": ('"a;b"\n1\n', [[1]]),
    "spaces and tabs around": ("\t1 \n2\t\n", [[1], [2]]),
    "quoted header": ('"a, or so","b ""2"""\n1,2\n', [[1, 2]]),
}


@pytest.mark.parametrize("block_bytes", [1, 3, 2**18])
@pytest.mark.parametrize(("text", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_reads_whatever_the_block_size(text, expected, block_bytes):
    numbers = read(text, block_bytes=block_bytes)
    np.testing.assert_array_equal(numbers, np.array(expected, np.float64))


def test_keeps_the_sign_of_zero():
    assert np.signbit(read("0,-0\n-0.0,0\n-0,1\n")).tolist() == [[0, 1], [1, 0], [1, 0]]


FAULTS = {
    "a word": ("1,2\n3,x\n", "t.csv: line 2, column 2: 'x' is not a number"),
    "a word, named": ("a,b\n1,2\n3,x\n", "t.csv: line 3, column 2 (b): 'x' is not a number"),
    "an underscore": ("1,2\n1_0,2\n", "t.csv: line 2, column 1: '1_0' is not a number"),
    "other digits": ("1,2\n\uff11,2\n", "t.csv: line 2, column 1: '\uff11' is not a number"),
    "hexadecimal": ("1,2\n0x10,2\n", "t.csv: line 2, column 1: '0x10' is not a number"),
    "a truth value": ("1,2\ntrue,2\n", "t.csv: line 2, column 1: 'true' is not a number"),
    "a list": ("1,2\n[1],2\n", "t.csv: line 2, column 1: '[1]' is not a number"),
    "an empty cell": (
        "1,2\n,2\n",
        "t.csv: line 2, column 1: the cell is empty; --missing nan takes it as NaN",
    ),
    "a short line": ("1,2\n3\n", "t.csv: line 2 has 1 cell, expected 2 as in the first line"),
    "a long line": ("1,2\n3,4,5\n", "t.csv: line 2 has 3 cells, expected 2 as in the first line"),
    "semicolons": (
        "1;2\n3;4\n",
        "t.csv: line 1 is one cell with a semicolon in it; commas separate cells, "
        "and a name with a semicolon stands in quotes",
    ),
    "tabs": (
        "a\tb\n3\t4\n",
        "t.csv: line 1 is one cell with a tab in it; commas separate cells, "
        "and a name with a tab stands in quotes",
    ),
    "semicolons, decimal commas": (
        "1,5;2,5\n1,5;2,5\n",
        "t.csv: line 2, column 2 (5;2): '5;2' is not a number; commas separate cells",
    ),
    "a blank line": ("1,2\n\n3,4\n", "t.csv: line 2 is empty"),
    "a blank line of spaces": ("1,2\n  \n3,4\n", "t.csv: line 2 is empty"),
    "a blank line, one column": ("1\n\n3\n", "t.csv: line 2 is empty"),
    "a blank first line": ("\n1,2\n", "t.csv: line 1 is empty"),
    "nothing": ("", "t.csv: the file is empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", "t.csv: the file is empty"),
    "an open quote": ('1,2\n"3,4\n', "t.csv: line 2: unexpected end of data"),
    "other bytes": (b"1,2\n3,\xff\n", "t.csv: line 2 is not UTF-8 text"),
    "other bytes first": (b"\xff\xfe1\x00\n", "t.csv: line 1 is not UTF-8 text"),
    "no line breaks": (
        b"1," * (LONGEST_LINE // 2 + 1),
        "t.csv: line 1 has more than 16777216 bytes",
    ),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS)
def test_says_where_a_fault_is(text, message):
    for block_bytes in (2**18, 4) if len(text) < 100 else (2**18,):
        with pytest.raises(FormatError) as caught:
            read(text, block_bytes=block_bytes)
        assert str(caught.value) == message


def test_names_the_line_of_a_fault_far_into_the_file():
    text = "a,b\n" + "1,2\n" * 5000 + "1,2x\n"
    with pytest.raises(FormatError, match=r"line 5002, column 2 \(b\): '2x' is not a number"):
        read(text, block_bytes=1000)


def test_shortens_long_cells_in_messages():
    with pytest.raises(FormatError) as caught:
        read("1\n" + "z" * 100_000 + "\n")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n,2\n3,\n", [[np.nan, 2], [3, np.nan]]),
        ("a,b\r\n,\r\n3, \r\n", [[np.nan, np.nan], [3, np.nan]]),
        ('a,b\n"",2\n3,4\n', [[np.nan, 2], [3, 4]]),
    ],
)
def test_empty_cells_can_be_nan(text, expected):
    np.testing.assert_array_equal(read(text, empty_is_nan=True), expected)


def test_a_blank_line_is_a_fault_even_when_empty_cells_are_nan():
    with pytest.raises(FormatError, match="line 3 is empty"):
        read("a\n1\n\n2\n", empty_is_nan=True)


HEADERS = {
    "in order": ("age,pair[0],pair[1]\n1,2,3\n", [[1, 2, 3]]),
    "other order": ("pair[1],age,pair[0]\n3,1,2\n", [[1, 2, 3]]),
    "extra column": ("age,id,pair[0],pair[1]\n1,9,2,3\n", [[1, 2, 3]]),
    "extra column of text": (
        'age,id,pair[0],pair[1]\n1,"x, y",2,3\n4,z,5,6\n',
        [[1, 2, 3], [4, 5, 6]],
    ),
    "extra column of plain text": (
        "age,id,pair[0],pair[1]\n1,x,2,3\n4,,5,6\n",
        [[1, 2, 3], [4, 5, 6]],
    ),
    "extra column twice": ("id,age,id,pair[0],pair[1]\n9,1,9,2,3\n", [[1, 2, 3]]),
    "spaces around names": (" age , pair[0],pair[1] \n1,2,3\n", [[1, 2, 3]]),
    "by position": ("1,2,3\n", [[1, 2, 3]]),
}


@pytest.mark.parametrize(("text", "expected"), HEADERS.values(), ids=HEADERS)
def test_finds_columns_by_name(text, expected):
    assert read(text, "age", "pair[0]", "pair[1]").tolist() == expected


def test_a_header_of_numbers_is_one_when_it_holds_all_names():
    assert read("2,0,1\n30,10,20\n", "0", "1", "2").tolist() == [[10, 20, 30]]
    assert read("2,0,1\n30,10,20\n", "x", "y", "z").tolist() == [[2, 0, 1], [30, 10, 20]]


def test_the_header_can_be_said():
    assert read("1,2\n3,4\n", header=True).tolist() == [[3, 4]]
    with pytest.raises(FormatError, match="line 1, column 1: 'a' is not a number"):
        read("a,b\n1,2\n", header=False)


def test_tells_missing_columns_by_name():
    with pytest.raises(InputError) as caught:
        read("age,other\n1,2\n", "age", "pair[0]", "pair[1]")
    assert caught.value.kind == "MissingColumns"
    assert "t.csv lacks 2 of the 3 columns that the model takes: pair[0], pair[1];" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("header", "names"), [("a,b,a", ("a", "b")), ("b,a", ("a", "a"))], ids=["file", "model"]
)
def test_a_name_that_stands_twice_is_ambiguous(header, names):
    with pytest.raises(InputError) as caught:
        read(header + "\n1,2,3\n", *names)
    assert caught.value.kind == "AmbiguousColumn"


def test_a_note_names_the_columns_left_out():
    rows = CsvRows(io.BytesIO(b"id,a,zip\n1,2,3\n"), "t.csv", ("a",))
    assert rows.notes == ("t.csv: 2 columns left out that the model does not take: id, zip",)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, None, range(10)), (3, 7, range(3, 7)), (8, 99, [8, 9]), (20, None, []), (4, 4, [])],
)
@pytest.mark.parametrize("block_bytes", [1, 7, 2**18])
def test_takes_a_range_of_rows(start, stop, expected, block_bytes):
    text = io.BytesIO("".join(f"{k}\n" for k in range(10)).encode())
    chunks = CsvRows(text, "t.csv", block_bytes=block_bytes).chunks(start, stop)
    assert [int(x) for chunk in chunks for x in chunk[:, 0]] == list(expected)


def test_stops_reading_behind_the_range():
    text = io.BytesIO(b"1\n2\n3\n" + b"no number\n" * 1000)
    chunks = CsvRows(text, "t.csv", block_bytes=6).chunks(0, 3)
    assert np.concatenate(list(chunks)).tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("cell", ["{!r}", " {:+.17g}", '"{!r}"'], ids=["json", "numpy", "exact"])
def test_all_three_ways_of_parsing_give_the_same_bits(cell):
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 2**32, (500, 4), dtype=np.uint32).view(np.float32)
    numbers[~np.isfinite(numbers)] = -0.0
    text = "\n".join(",".join(cell.format(x) for x in row) for row in numbers.tolist())
    assert read(text, block_bytes=5000).astype(np.float32).tobytes() == numbers.tobytes()


@settings(max_examples=300, deadline=None)
@given(
    st.text('0123456789.,,,-+eE \t\r\n\n\n"naif_x', max_size=60), st.integers(1, 20), st.booleans()
)
def test_any_text_is_the_same_in_blocks_of_any_size(text, block_bytes, empty_is_nan):
    def outcome(size: int) -> object:
        try:
            return read(text, block_bytes=size, empty_is_nan=empty_is_nan).tobytes()
        except FormatError as error:
            return str(error)

    assert outcome(block_bytes) == outcome(2**18)


@example("0\n ")
@settings(max_examples=300, deadline=None)
@given(st.text('0123456789.,,,-+eE \n\n\n"naif_x', min_size=1, max_size=60))
def test_text_is_read_as_python_and_its_csv_module_read_it(text):
    lines = text.rstrip("\n").split("\n")
    try:
        cells = [next(csv.reader([line], strict=True), []) for line in lines]
        numbers = [[float(cell) for cell in line] for line in cells]
        fine = all(len(line) == len(numbers[0]) > 0 for line in numbers) and "_" not in text
    except (csv.Error, ValueError):
        fine = False
    if fine:
        np.testing.assert_array_equal(read(text, header=False), numbers)
    else:
        with pytest.raises(FormatError):
            read(text, header=False)
