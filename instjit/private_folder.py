"""A folder that nobody else can write to, and files of it, each looked at after it is opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

OTHERS = stat.S_IWGRP | stat.S_IWOTH
FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class NotPrivate(OSError):
    """Somebody else owns it or may write to it, or it is not what it should be."""


def is_suspect(error: OSError) -> bool:
    """Whether an error says that something is not what it should be, or a link to it."""
    return isinstance(error, NotPrivate) or error.errno in (errno.ELOOP, errno.ENOTDIR)


@contextmanager
def opened(path: str, *, make: bool) -> Iterator[int]:
    """A descriptor of the folder, for calls relative to it: what its path names may change.

    Parameters
    ----------
    path
        Its last part may not be a link.
    make
        Create it, for the user alone, with the folders above.

    Raises
    ------
    OSError
        There is none, or NotPrivate.
    """
    if make:
        with suppress(FileExistsError):
            os.makedirs(os.path.dirname(path) or ".", 0o700, exist_ok=True)
            os.mkdir(path, 0o700)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | FLAGS)
    try:
        _check(os.fstat(folder), stat.S_ISDIR, path)
        yield folder
    finally:
        os.close(folder)


def read(folder: int, name: str, most: int, *, using: bool = True) -> bytes:
    """A file of the folder, whose time becomes now if that is ``using`` it.

    Raises
    ------
    OSError
        There is none, or it has more than ``most`` bytes, or NotPrivate.
    """
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | FLAGS, dir_fd=folder)
    try:
        state = os.fstat(file)
        _check(state, stat.S_ISREG, name)
        if state.st_size > most:
            raise NotPrivate(f"{name} has {state.st_size} bytes, more than {most}")
        with open(file, "rb", closefd=False) as stream:
            content = stream.read(most)
        if using:
            with suppress(OSError):  # on a read-only disk
                os.utime(file)
    finally:
        os.close(file)
    return content


def write(folder: int, name: str, temporary: str, content: bytes) -> None:
    """Write a file under another name first, so that readers see all of it or the one before."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS
    file = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with open(file, "wb") as stream:
            stream.write(content)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, temporary)
        raise


def remove(folder: int, name: str) -> bool:
    """Whether the file was there, and is gone."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def files(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Name and state of all plain files."""
    with os.scandir(folder) as found:
        for each in found:
            with suppress(OSError):  # gone meanwhile
                state = each.stat(follow_symlinks=False)
                if stat.S_ISREG(state.st_mode):
                    yield each.name, state


def _check(state: os.stat_result, kind: Callable[[int], bool], name: str) -> None:
    if not kind(state.st_mode):
        raise NotPrivate(f"{name} is not the kind of file it should be")
    if state.st_uid != os.geteuid():
        raise NotPrivate(f"{name} belongs to user {state.st_uid}, not to {os.geteuid()}")
    if state.st_mode & OTHERS:
        raise NotPrivate(f"{name} can be written by others (mode {state.st_mode & 0o777:o})")
