"""The files of a library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from instjit.library import snippets
from instjit.replacing import check_target, replacing


def beside(output: Path, name: str, header: bytes) -> dict[Path, bytes]:
    """What stands beside a shared library."""
    folder = output.parent
    return {
        folder / f"{name}.h": header,
        folder / f"{name}-config.cmake": snippets.cmake(name, output.name).encode(),
        folder / f"{name}.pc": snippets.pkg_config(name, output.name).encode(),
    }


def written(files: Mapping[Path, bytes], force: bool) -> list[Path]:
    """Write files, none unless all may be.

    Raises
    ------
    InputError
        OutputExists without ``force``.
    """
    for path in files:
        check_target(path, force)
    for path, content in files.items():
        with replacing(path, force) as file:
            file.write(content)
    return list(files)
