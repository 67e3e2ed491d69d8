"""Machine code on disk: entries by key in one private folder, which any process may lose or damage.

An entry is ``MAGIC``, SHA-256 of all that follows, the key, the length of a JSON header, the
header, the content. Nothing in it is used before its digest and its key are found right. What is
wrong with an entry or with the folder is logged (``instjit``) and means that there is none.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from instjit import private_folder
from instjit.counted import spelled

if TYPE_CHECKING:
    from logging import Logger

MAGIC = b"instjit store 1\n"
HEAD = len(MAGIC) + 32 + 64 + 4
SUFFIX = ".kernel"
NAME = re.compile(r"[0-9a-f]{64}\.kernel")
TEMPORARY = re.compile(r"[0-9a-f]{16}\.part")

SIZE = 256 << 20
"""Bytes of all entries, unless ``INSTJIT_STORE_SIZE`` says otherwise: some 10,000 kernels."""

LARGEST = 64 << 20
"""Bytes of an entry."""

ABANDONED = 3600.0
"""Seconds after which an unfinished file is nobody's."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A header of plain JSON values, and bytes."""

    about: Mapping[str, Any]
    content: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as ``Store.entries`` tells of it: ``used`` in seconds since 1970."""

    key: str
    size: int
    used: float
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """Entries in the folder ``path``, ``size`` bytes of them at most."""

    path: str
    size: int = SIZE

    def load(self, key: str) -> Entry | None:
        """The entry of a key, None where there is no good one; it counts as used now."""
        try:
            with private_folder.opened(self.path, make=False) as folder:
                packed = private_folder.read(folder, key + SUFFIX, LARGEST)
        except OSError as error:
            _note("not used", error)
            return None
        try:
            return unpacked(key, packed)
        except ValueError as error:
            logger().warning("instjit store: entry %s is damaged, %s", key[:16], error)
            return None

    def save(self, key: str, entry: Entry) -> None:
        """Write an entry, and remove the oldest ones while there are too many bytes."""
        content = packed(key, entry)
        if len(content) > min(LARGEST, self.size):
            return
        temporary = os.urandom(8).hex() + ".part"
        try:
            with private_folder.opened(self.path, make=True) as folder:
                private_folder.write(folder, key + SUFFIX, temporary, content)
                self._shrink(folder)
        except OSError as error:
            _note("nothing is kept", error)

    def entries(self) -> list[Listed]:
        """All entries, last used first, damaged ones with nothing about them.

        Raises OSError where the folder cannot be used.
        """
        found = []
        with private_folder.opened(self.path, make=False) as folder:
            for name, state in private_folder.files(folder):
                if NAME.fullmatch(name):
                    key = name.removesuffix(SUFFIX)
                    about = self._about(folder, key)
                    found.append(Listed(key, state.st_size, state.st_mtime, about))
        return sorted(found, key=lambda each: -each.used)

    def clear(self) -> tuple[int, int]:
        """Remove all entries: how many there were, and their bytes."""
        count = size = 0
        with private_folder.opened(self.path, make=False) as folder:
            for name, state in list(private_folder.files(folder)):
                if TEMPORARY.fullmatch(name):
                    private_folder.remove(folder, name)
                elif NAME.fullmatch(name) and private_folder.remove(folder, name):
                    count, size = count + 1, size + state.st_size
        return count, size

    def _about(self, folder: int, key: str) -> Mapping[str, Any]:
        try:
            content = private_folder.read(folder, key + SUFFIX, LARGEST, using=False)
            return unpacked(key, content).about
        except (OSError, ValueError):
            return {}

    def _shrink(self, folder: int) -> None:
        total, found = 0, []
        for name, state in private_folder.files(folder):
            if NAME.fullmatch(name):
                total += state.st_size
                found.append((state.st_mtime_ns, name, state.st_size))
            elif TEMPORARY.fullmatch(name) and state.st_mtime < time.time() - ABANDONED:
                private_folder.remove(folder, name)
        for _, name, size in sorted(found):
            if total <= self.size:
                return
            private_folder.remove(folder, name)
            total -= size


NONE = frozenset({"", "0", "off", "no", "none", "false"})
"""What ``INSTJIT_STORE`` may be, in capitals too, where no store is wanted; ``./0`` is a folder."""


def current() -> Store | None:
    """The store that the environment asks for, None for none.

    ``INSTJIT_STORE`` is a folder, or a word of ``NONE`` for no store; by default it is
    ``instjit`` in ``XDG_CACHE_HOME`` or ``~/.cache``. ``INSTJIT_STORE_SIZE`` is in bytes.
    """
    if not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
        return None
    asked = os.environ.get("INSTJIT_STORE")
    if asked is None:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.cache")
            if _foreign(os.path.expanduser("~")):
                return None
        return Store(os.path.join(base, "instjit"), _size()) if os.path.isabs(base) else None
    if asked.lower() in NONE:
        return None
    return Store(os.path.abspath(os.path.expanduser(asked)), _size())


def packed(key: str, entry: Entry) -> bytes:
    """An entry as bytes."""
    header = json.dumps(dict(entry.about)).encode()
    rest = key.encode() + len(header).to_bytes(4, "little") + header + entry.content
    return MAGIC + hashlib.sha256(rest).digest() + rest


def unpacked(key: str, content: bytes) -> Entry:
    """Bytes as the entry of a key; ValueError for anything else."""
    at = len(MAGIC)
    if len(content) < HEAD or content[:at] != MAGIC:
        raise ValueError("it is not of this format")
    rest = content[at + 32 :]
    if hashlib.sha256(rest).digest() != content[at : at + 32]:
        raise ValueError("its digest is wrong")
    if rest[:64] != key.encode():
        raise ValueError("it is that of another key")
    end = 68 + int.from_bytes(rest[64:68], "little")
    try:
        about = json.loads(rest[68:end])
    except RecursionError as error:
        raise ValueError("its header is nested") from error
    if not isinstance(about, dict):
        raise ValueError("its header is no object")
    return Entry(about, rest[end:])


def logger() -> Logger:
    """The logger of the package; loading it takes longer than an entry."""
    import logging

    return logging.getLogger("instjit")


def _foreign(home: str) -> bool:
    """As after ``sudo``: a folder of root's there would shut its owner out."""
    try:
        return os.stat(home).st_uid != os.geteuid()
    except OSError:
        return False


def _size() -> int:
    size = spelled(os.environ.get("INSTJIT_STORE_SIZE", ""))
    return SIZE if size is None else size


_told: set[str] = set()


def _note(what: str, error: OSError) -> None:
    """Once: a full disk is nobody's fault, a link where none should be may be worse."""
    if f"{what} {error}" in _told:
        return
    _told.add(f"{what} {error}")
    if private_folder.is_suspect(error):
        logger().warning("instjit store: %s, %s", what, error)
    elif error.errno != errno.ENOENT:
        logger().info("instjit store: %s, %s", what, error)
