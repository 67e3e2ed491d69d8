"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
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
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        sentence = f"{path}: not a regular file, so it cannot be replaced"
        raise InputError(Problem("NotAFile", sentence, fields={"path": str(path)}))
    if target.exists() and not force:
        sentence = f"{path}: exists already; --force replaces it"
        raise InputError(Problem("OutputExists", sentence, fields={"path": str(path)}))
    target.parent.stat()
    return target


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
