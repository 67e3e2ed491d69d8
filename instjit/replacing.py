"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from instjit.errors import InputError, Problem


def check_target(path: str | os.PathLike[str], force: bool) -> Path:
    """Where to write, links followed.

    Raises
    ------
    InputError
        OutputExists when there is a file and ``force`` is not given; NotAFile for anything else.
    OSError
        The folder does not exist.
    """
    try:
        target = Path(os.path.realpath(os.fsdecode(path)))
    except ValueError as error:  # a null byte
        sentence = f"{path!r}: no file can have this name"
        raise InputError(Problem("NotAFile", sentence, fields={"path": str(path)})) from error
    if target.exists() and not target.is_file():
        sentence = f"{path}: not a regular file, so it cannot be replaced"
        raise InputError(Problem("NotAFile", sentence, fields={"path": str(path)}))
    if target.exists() and not force:
        sentence = f"{path}: exists already; --force replaces it"
        raise InputError(Problem("OutputExists", sentence, fields={"path": str(path)}))
    target.parent.stat()
    return target


def check_apart(path: str, sources: Mapping[str, str | int | None]) -> None:
    """Refuse to replace a file that is read.

    Parameters
    ----------
    path
        The output.
    sources
        Paths or descriptors of what is read, "-" for standard input, None for nothing, by what
        their option is.

    Raises
    ------
    InputError
        OutputIsInput when one of them is the same file, whatever its name.
    """
    output = _identity(path)
    for option, source in sources.items():
        if output is not None and source is not None and _identity(source) == output:
            name = "standard input" if source == "-" else source
            name = path if isinstance(name, int) else name
            sentence = f"{path}: the output is the same file as {option}, {name}"
            raise InputError(Problem("OutputIsInput", sentence, fields={"path": path}))


def _identity(path: str | int) -> tuple[int, int] | None:
    """Device and inode of a path, links followed, or of a descriptor; None where there is none."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


@contextmanager
def replacing(path: str | os.PathLike[str], force: bool = False) -> Iterator[IO[bytes]]:
    """A new file beside ``path``, which takes its name at the end or goes when that fails.

    Raises
    ------
    InputError, OSError
        As ``check_target``, which is asked before and after.
    """
    target = check_target(path, force)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb+") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        check_target(path, force)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
