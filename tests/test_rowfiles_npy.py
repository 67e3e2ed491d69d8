from __future__ import annotations

import io
import os
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from cli_cases import ROWS, npy_file

from instjit.errors import FormatError, InputError
from instjit.rowfiles import open_rows


def read(path: object, *span: int | None, **options: object) -> np.ndarray:
    with open_rows(str(path), **options) as rows:
        chunks = list(rows.chunks(*span))
        return np.concatenate([np.empty((0, rows.width), np.float32), *chunks])


def npz_file(folder, compressed: bool = False, **arrays: np.ndarray) -> str:
    path = folder / "rows.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


LAYOUTS = {
    "float32": ROWS,
    "float64": ROWS.astype(np.float64),
    "float16": ROWS.astype(np.float16),
    "big-endian": ROWS.astype(">f4"),
    "integers": (ROWS * 10).astype(np.int16),
    "truth values": ROWS > 0,
    "by column": np.asfortranarray(ROWS),
    "no rows": ROWS[:0],
    "no rows by column": np.asfortranarray(ROWS[:0]),
}


@pytest.mark.parametrize("chunk_bytes", [1, 40, 2**20])
@pytest.mark.parametrize("rows", LAYOUTS.values(), ids=LAYOUTS)
def test_npy_and_npz_hold_the_array(tmp_path, rows, chunk_bytes):
    for path in (npy_file(tmp_path, rows), npz_file(tmp_path, X=rows)):
        np.testing.assert_array_equal(read(path, chunk_bytes=chunk_bytes), rows)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_a_pipe_holds_an_npy(tmp_path, layout):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = io.BytesIO()
    np.save(content, layout(ROWS))
    writer = threading.Thread(target=pipe.write_bytes, args=[content.getvalue()])
    writer.start()
    np.testing.assert_array_equal(read(pipe, chunk_bytes=100), ROWS)
    writer.join()


def test_a_mapped_chunk_is_not_a_copy(tmp_path):
    with open_rows(npy_file(tmp_path, ROWS)) as rows:
        (chunk,) = rows.chunks()
        assert not chunk.flags.owndata
        assert not chunk.flags.writeable


def test_a_header_of_odd_length_still_gives_aligned_chunks(tmp_path):
    content = (tmp_path / "rows.npy", npy_file(tmp_path, ROWS))[0].read_bytes()
    header = content[10:128].replace(b" \n", b"\n")
    start = content[:8] + len(header).to_bytes(2, "little") + header
    (tmp_path / "odd.npy").write_bytes(start + content[128:])
    with open_rows(tmp_path / "odd.npy") as rows:
        (chunk,) = rows.chunks()
        assert chunk.flags.aligned
        np.testing.assert_array_equal(chunk, ROWS)


@pytest.mark.parametrize("span", [(0, 5), (30, None), (30, 99), (99, None), (7, 7)])
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_takes_a_range_of_rows(tmp_path, span, form):
    path = npy_file(tmp_path, ROWS) if form == "npy" else npz_file(tmp_path, X=ROWS)
    np.testing.assert_array_equal(read(path, *span, chunk_bytes=24), ROWS[slice(*span)])


def test_one_dimension_is_one_column(tmp_path):
    assert read(npy_file(tmp_path, np.arange(3))).tolist() == [[0], [1], [2]]


def test_npz_prefers_the_array_asked_for(tmp_path):
    path = npz_file(tmp_path, compressed=True, X=ROWS, y=ROWS[:, 0])
    np.testing.assert_array_equal(read(path), ROWS)
    np.testing.assert_array_equal(read(path, array="y"), ROWS[:, :1])
    with pytest.raises(FormatError, match=r"holds 2 arrays \(X, y\), none of them named z"):
        read(path, array="z")


def test_says_how_much_has_been_read(tmp_path):
    with open_rows(npy_file(tmp_path, ROWS), chunk_bytes=12) as rows:
        assert rows.fraction() == 0
        assert [round(rows.fraction() * 37) for _ in rows.chunks()] == list(range(37))
        assert rows.fraction() == 1


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


DAMAGED = {
    "empty": (b"", "not an npy file"),
    "other bytes": (b"1,2,3\n" * 20, "not an npy file"),
    "cut in the header": (b"\x93NUMPY\x01\x00\x76\x00{'descr'", "not an npy file"),
    "a program": (header("__import__('os').abort()"), "not an npy file"),
    "a pickle": (
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }"),
        "holds object",
    ),
    "complex": (
        header("{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1), }"),
        "holds complex64",
    ),
    "text": (header("{'descr': '<U3', 'fortran_order': False, 'shape': (1, 1), }"), "holds <U3"),
    "three dimensions": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }"),
        "has shape (1, 1, 1), expected rows x columns",
    ),
    "negative shape": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }"),
        "has shape (-1, 3), expected rows x columns",
    ),
    "huge shape": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387903, 2), }"),
        "ends after 0 of the 4,611,686,018,427,387,903 rows",
    ),
    "huge shape by column": (
        header("{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387903, 2), }"),
        "ends after 0 of the 4,611,686,018,427,387,903 rows",
    ),
    "huge row": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4611686018427387903), }"),
        "ends after 0 of the 1 row that",
    ),
    "cut in the rows": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }") + b"\0" * 20,
        "ends after 2 of the 3 rows that its header names",
    ),
    "version 9": (b"\x93NUMPY\x09\x00\x01\x00\x00\x00 ", "npy version 9.0 holds no plain numbers"),
    "version 3": (b"\x93NUMPY\x03\x00\x01\x00\x00\x00 ", "npy version 3.0 holds no plain numbers"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_array_is_a_format_error(tmp_path, content, message):
    (tmp_path / "rows.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("X.npy", content)
    for path in (tmp_path / "rows.npy", tmp_path / "rows.npz"):
        with pytest.raises(FormatError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {message}")


def test_every_cut_of_an_npz_is_a_format_error(tmp_path):
    content = Path(npz_file(tmp_path, compressed=True, X=ROWS)).read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError):
            read(path)


def test_no_flipped_byte_of_an_npz_goes_unnoticed_or_escapes(tmp_path):
    content = bytearray(Path(npz_file(tmp_path, compressed=True, X=ROWS)).read_bytes())
    path = tmp_path / "flipped.npz"
    for place in range(0, len(content), 3):
        content[place] ^= 0x55
        path.write_bytes(content)
        with suppress(FormatError):
            np.testing.assert_array_equal(read(path), ROWS)
        content[place] ^= 0x55


def test_an_npz_without_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(FormatError, match="holds no array"):
        read(tmp_path / "rows.npz")


@pytest.mark.parametrize("name", ["rows.xlsx", "rows", "rows.txt"])
def test_other_files_are_not_guessed_at(tmp_path, name):
    (tmp_path / name).write_text("1,2\n")
    with pytest.raises(InputError, match=r"rows are read from .*\.csv, \.parquet, .* or a stream"):
        read(tmp_path / name)
