from __future__ import annotations

import os

import numpy as np
import pytest

from instjit.errors import InputError
from instjit.replacing import replacing
from instjit.rowfiles import create_rows, open_rows
from instjit.rowfiles.writing import csv_text

ODD = np.array([[np.nan, 1], [np.inf, -np.inf], [-0.0, 1e-45]], np.float32)


def bits(rows: int, width: int) -> np.ndarray:
    """Any float32 there is."""
    numbers = np.random.default_rng(9).integers(0, 2**32, (rows, width), dtype=np.uint32)
    return numbers.view(np.float32)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@pytest.mark.parametrize("pieces", [[], [0], [1], [5, 0, 4097]])
def test_what_is_written_is_read_again(tmp_path, suffix, pieces):
    rows = bits(sum(pieces), 3)
    path = tmp_path / f"out{suffix}"
    with create_rows(path, ["a", "b", "c"]) as out:
        for piece in np.split(rows, np.cumsum(pieces)):
            out.write(piece)
    with open_rows(path) as again:
        read = np.concatenate([np.empty((0, 3), np.float32), *again.chunks()]).astype(np.float32)
    assert os.listdir(tmp_path) == [path.name]
    np.testing.assert_array_equal(read, rows)
    assert np.array_equal(np.signbit(read[rows == 0]), np.signbit(rows[rows == 0]))


@pytest.mark.parametrize(("suffix", "key"), [(".npy", None), (".npz", "y")])
def test_numpy_reads_it(tmp_path, suffix, key):
    rows = bits(10, 2)
    with create_rows(tmp_path / f"out{suffix}", ["a", "b"]) as out:
        out.write(rows)
    loaded = np.load(tmp_path / f"out{suffix}", allow_pickle=False)
    array = loaded if key is None else loaded[key]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, rows)


def test_csv_spells_the_shortest_decimal_and_what_is_not_finite():
    assert csv_text(ODD) == b"nan,1.0\ninf,-inf\n-0.0,1e-45\n"
    assert csv_text(np.array([[0.1]], np.float32)) == b"0.1\n"
    assert csv_text(np.empty((0, 4), np.float32)) == b""


def write_then(path, failure: BaseException) -> None:
    with create_rows(path, ["a"], force=True) as out:
        out.write(np.zeros((5, 1), np.float32))
        raise failure


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there(tmp_path, suffix, failure):
    path = tmp_path / f"out{suffix}"
    with pytest.raises(failure):
        write_then(path, failure())
    assert os.listdir(tmp_path) == []
    path.write_text("old")
    with pytest.raises(failure):
        write_then(path, failure())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_an_existing_file_is_replaced_only_when_forced(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(InputError, match="exists already; --force replaces it"), replacing(path):
        pytest.fail("nothing may be written")
    with replacing(path, force=True) as file:
        file.write(b"new")
    assert path.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(InputError, match="exists already"), replacing(path):
        path.write_text("of someone else")
    assert path.read_text() == "of someone else"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    with replacing(tmp_path / "link.csv", force=True) as file:
        file.write(b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_devices_and_folders_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(InputError, match="not a regular file"), replacing(path, force=True):
            pytest.fail("nothing may be written")


def test_a_new_file_has_ordinary_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        with replacing(tmp_path / "out.csv") as file:
            file.write(b"")
    finally:
        os.umask(mask)
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "out.csv"):
        pytest.fail("nothing may be written")


def test_the_suffix_tells_the_format(tmp_path):
    refused = pytest.raises(InputError, match=r"rows are written to \.npy, \.npz, \.csv, ")
    with refused, create_rows(tmp_path / "out.xlsx", ["a"]):
        pytest.fail("nothing may be written")
