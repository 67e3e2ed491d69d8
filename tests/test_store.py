"""The store's files: what comes back, and what counts as nothing."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instjit import private_folder, store
from instjit.counted import LARGEST
from instjit.store import Entry, Store

KEY, OTHER = "0123456789abcdef" * 4, "f" * 64
ENTRY = Entry({"form": "tiles", "structure": "0" * 16}, bytes(range(256)) * 3)


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Store:
    monkeypatch.setattr(store, "_told", set())
    return Store(str(tmp_path / "above" / "store"))


@pytest.fixture
def kept(place: Store) -> Path:
    """The file of an entry."""
    place.save(KEY, ENTRY)
    return Path(place.path, f"{KEY}.kernel")


def names(place: Store) -> list[str]:
    return sorted(os.listdir(place.path))


def test_an_entry_comes_back_as_it_was(place: Store) -> None:
    assert place.load(KEY) is None
    place.save(KEY, ENTRY)
    assert place.load(KEY) == ENTRY
    assert place.load(OTHER) is None
    place.save(KEY, Entry({}, b""))
    assert place.load(KEY) == Entry({}, b"")
    assert names(place) == [f"{KEY}.kernel"]


def test_folder_and_files_are_the_users_alone(place: Store, kept: Path) -> None:
    modes = [path.stat().st_mode & 0o777 for path in (kept.parent.parent, kept.parent, kept)]
    assert modes == [0o700, 0o700, 0o600]


# -- damage: anchors of trust --------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 15, 16, 47, 48, 111, 115, 116, 120, 500, 900])
def test_a_truncated_entry_is_a_miss_and_is_written_anew(place, kept, caplog, length) -> None:
    whole = kept.read_bytes()
    assert length < len(whole)
    kept.write_bytes(whole[:length])
    assert place.load(KEY) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "damaged" in caplog.text
    place.save(KEY, ENTRY)
    assert place.load(KEY) == ENTRY


def test_no_flipped_bit_and_no_byte_more_gets_through(kept: Path) -> None:
    whole = kept.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        with pytest.raises(ValueError, match=r"format|digest"):
            store.unpacked(KEY, bytes(changed))
    with pytest.raises(ValueError, match="digest"):
        store.unpacked(KEY, whole + b"\0")


def test_an_entry_under_another_name_is_a_miss(place: Store, kept: Path, caplog) -> None:
    kept.rename(kept.with_name(f"{OTHER}.kernel"))
    assert place.load(OTHER) is None
    assert "another key" in caplog.text


@pytest.mark.parametrize("header", [b"[]", b"{", b"\xff", b"null", b"[" * 4000])
def test_a_header_that_is_no_object_is_a_miss(place: Store, kept: Path, header: bytes) -> None:
    import hashlib

    rest = KEY.encode() + len(header).to_bytes(4, "little") + header + b"code"
    kept.write_bytes(store.MAGIC + hashlib.sha256(rest).digest() + rest)
    assert place.load(KEY) is None


def test_nothing_is_ever_unpickled() -> None:
    for module in (store, private_folder):
        assert "pickle" not in Path(module.__file__).read_text(encoding="utf-8")


# -- others on the machine -----------------------------------------------------------------------


def writable_folder(kept: Path) -> None:
    kept.parent.chmod(0o770)


def folder_open_to_all(kept: Path) -> None:
    kept.parent.chmod(0o702)


def writable_file(kept: Path) -> None:
    kept.chmod(0o620)


def linked_file(kept: Path) -> None:
    kept.rename(kept.parent.parent / "elsewhere")
    kept.symlink_to(kept.parent.parent / "elsewhere")


def linked_folder(kept: Path) -> None:
    moved = kept.parent.rename(kept.parent.with_name("moved"))
    kept.parent.symlink_to(moved)


def pipe_for_a_file(kept: Path) -> None:
    kept.unlink()
    os.mkfifo(kept, 0o600)


def folder_for_a_file(kept: Path) -> None:
    kept.unlink()
    kept.mkdir(0o700)


def file_for_the_folder(kept: Path) -> None:
    kept.parent.rename(kept.parent.with_name("moved"))
    kept.parent.write_bytes(b"")


ATTACKS = (
    writable_folder, folder_open_to_all, writable_file, linked_file, linked_folder,
    pipe_for_a_file, folder_for_a_file, file_for_the_folder,
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_others_could_have_written_is_not_read(place, kept, caplog, attack) -> None:
    attack(kept)
    assert place.load(KEY) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("attack", [writable_folder, folder_open_to_all, linked_folder])
def test_nothing_is_written_to_a_folder_of_others(place, kept, caplog, attack) -> None:
    attack(kept)
    place.save(OTHER, ENTRY)
    held = [path.name for path in kept.parent.resolve().iterdir()]
    assert held == [f"{KEY}.kernel"]
    assert "nothing is kept" in caplog.text


def test_a_linked_entry_is_replaced_and_its_target_is_left_alone(place: Store, kept: Path) -> None:
    linked_file(kept)
    kept.resolve().write_bytes(b"mine")
    place.save(KEY, ENTRY)
    assert place.load(KEY) == ENTRY
    assert not kept.is_symlink()
    assert (kept.parent.parent / "elsewhere").read_bytes() == b"mine"


def test_a_folder_of_another_user_is_not_used(place, kept, monkeypatch, caplog) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    assert place.load(KEY) is None
    place.save(OTHER, ENTRY)
    assert names(place) == [kept.name]
    assert "belongs to user" in caplog.text


def test_a_folder_exchanged_while_it_is_in_use_is_not_followed(place, kept, tmp_path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir(0o700)
    with private_folder.opened(place.path, make=True) as folder:
        kept.parent.rename(tmp_path / "moved")
        kept.parent.symlink_to(trap)
        private_folder.write(folder, "a", "b", b"c")
    assert list(trap.iterdir()) == []
    assert (tmp_path / "moved" / "a").read_bytes() == b"c"


# -- disks ---------------------------------------------------------------------------------------


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "replace"])
def test_a_disk_that_takes_nothing_means_no_store(place, monkeypatch, call, number) -> None:
    monkeypatch.setattr(os, call, failing(number))
    place.save(KEY, ENTRY)
    assert place.load(KEY) is None
    assert call == "mkdir" or names(place) == []


def test_an_entry_on_a_read_only_disk_is_used(place, kept, monkeypatch) -> None:
    monkeypatch.setattr(os, "utime", failing(errno.EROFS))
    assert place.load(KEY) == ENTRY


def test_an_interrupted_write_leaves_nothing(place, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        place.save(KEY, ENTRY)
    assert names(place) == []


# -- size ----------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(place: Store) -> None:
    keys = [f"{number:064x}" for number in range(4)]
    one = len(store.packed(KEY, ENTRY))
    small = Store(place.path, 3 * one + one // 2)
    for age, key in enumerate(keys[:3]):
        small.save(key, ENTRY)
        os.utime(Path(place.path, f"{key}.kernel"), (age, age))
    assert small.load(keys[0]) == ENTRY  # used: now the youngest
    small.save(keys[3], ENTRY)
    assert [small.load(key) is not None for key in keys] == [True, False, True, True]


def test_an_entry_larger_than_the_store_is_not_kept(place: Store) -> None:
    one = len(store.packed(KEY, ENTRY))
    Store(place.path, one - 1).save(KEY, ENTRY)
    assert place.load(KEY) is None
    Store(place.path, one).save(KEY, ENTRY)
    assert place.load(KEY) == ENTRY


def test_a_file_too_large_to_be_an_entry_is_not_read(place, kept, monkeypatch) -> None:
    monkeypatch.setattr(store, "LARGEST", kept.stat().st_size - 1)
    assert place.load(KEY) is None


def test_unfinished_files_go_when_they_are_old_and_strangers_stay(place, kept) -> None:
    for name, age in {"a" * 16 + ".part": 4000, "b" * 16 + ".part": 10, "notes.txt": 9000}.items():
        path = kept.with_name(name)
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    place.save(OTHER, ENTRY)
    assert names(place) == [kept.name, "b" * 16 + ".part", f"{OTHER}.kernel", "notes.txt"]
    assert place.clear() == (2, 2 * kept_size())
    assert names(place) == ["notes.txt"]


def kept_size() -> int:
    return len(store.packed(KEY, ENTRY))


def test_entries_are_listed_last_used_first(place: Store, kept: Path) -> None:
    place.save(OTHER, ENTRY)
    os.utime(kept, (5, 5))
    Path(place.path, f"{'a' * 64}.kernel").write_bytes(b"damaged")
    os.utime(Path(place.path, f"{'a' * 64}.kernel"), (1, 1))
    found = place.entries()
    assert [each.key for each in found] == [OTHER, KEY, "a" * 64]
    assert [dict(each.about) for each in found] == [dict(ENTRY.about)] * 2 + [{}]
    assert (found[1].size, found[1].used) == (kept_size(), 5)
    assert kept.stat().st_mtime == 5  # looking is not using


# -- which store ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "cache", "home", "wanted"),
    [
        ("/a/b", "/c", "/h", "/a/b"),
        ("~/b", None, "/h", "/h/b"),
        ("off", "/c", "/h", None),
        ("OFF", "/c", "/h", None),
        ("0", "/c", "/h", None),
        ("False", "/c", "/h", None),
        ("./0", "/c", "/h", os.path.abspath("0")),
        ("", "/c", "/h", None),
        (None, "/c", "/h", "/c/instjit"),
        (None, "relative", "/h", "/h/.cache/instjit"),
        (None, "", "/h", "/h/.cache/instjit"),
        (None, None, "/h", "/h/.cache/instjit"),
        (None, None, "relative", None),
    ],
)
def test_the_environment_says_where(monkeypatch, asked, cache, home, wanted) -> None:
    for name, value in {"INSTJIT_STORE": asked, "XDG_CACHE_HOME": cache, "HOME": home}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    found = store.current()
    assert (found and found.path) == wanted


def test_root_makes_no_store_in_the_home_of_another(monkeypatch, tmp_path) -> None:
    for name in ("INSTJIT_STORE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.current() == Store(f"{tmp_path}/.cache/instjit")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert store.current() is None


def test_the_same_trouble_is_told_once(place: Store, kept: Path, caplog) -> None:
    kept.parent.chmod(0o777)
    for _ in range(3):
        assert place.load(KEY) is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000), ("", store.SIZE), ("1e3", store.SIZE), ("-1", store.SIZE), ("0", 0),
        ("9" * 5000, LARGEST), ("0" * 5000 + "7", 7), ("\u00b2", store.SIZE),
    ],
    ids=lambda value: str(value)[:8],
)  # fmt: skip
def test_the_environment_says_how_much(monkeypatch, text: str, size: int) -> None:
    monkeypatch.setenv("INSTJIT_STORE", "/a")
    monkeypatch.setenv("INSTJIT_STORE_SIZE", text)
    assert store.current() == Store("/a", size)
