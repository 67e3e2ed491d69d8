"""What ``instjit store`` says."""

from __future__ import annotations

import errno
import json
import time
from typing import Any

from instjit.commands.text import printable
from instjit.errors import InputError, Problem
from instjit.private_folder import is_suspect
from instjit.store import Listed, Store, current

OFF = "off"


def told(*, as_json: bool) -> str:
    """Where the store is."""
    place = current()
    return json.dumps(_place(place)) if as_json else printable(place.path if place else OFF)


def listed(*, as_json: bool) -> str:
    """The entries, last used first."""
    place = current()
    entries = _entries(place) if place else []
    size = sum(each.size for each in entries)
    if as_json:
        shown = [_facts(each) for each in entries]
        return json.dumps({**_place(place), "bytes": size, "entries": shown}, indent=2)
    lines = [_line(each) for each in entries]
    limit = f" of {place.size:,}" if place else ""
    where = printable(place.path) if place else OFF
    lines.append(f"{where}: {_counted(len(entries))}, {size:,}{limit} bytes")
    return "\n".join(lines)


def cleared(*, as_json: bool) -> str:
    """Remove everything."""
    place = current()
    removed, size = _cleared(place) if place else (0, 0)
    if as_json:
        path = place.path if place else None
        return json.dumps({"path": path, "entries": removed, "bytes": size})
    where = printable(place.path) if place else OFF
    return f"{where}: {_counted(removed)} removed, {size:,} bytes"


def _entries(place: Store) -> list[Listed]:
    try:
        return place.entries()
    except OSError as error:
        _check(error)
        return []


def _cleared(place: Store) -> tuple[int, int]:
    try:
        return place.clear()
    except OSError as error:
        _check(error)
        return 0, 0


def _check(error: OSError) -> None:
    """No folder means no entries; one that may not be used is the user's business."""
    if is_suspect(error):
        raise InputError(Problem("Usage", f"the store cannot be used: {error}")) from error
    if error.errno != errno.ENOENT:
        raise error


def _place(place: Store | None) -> dict[str, Any]:
    return {"path": place.path if place else None, "size": place.size if place else 0}


def _facts(entry: Listed) -> dict[str, Any]:
    known = {name: entry.about.get(name) for name in ("form", "structure")}
    return {"key": entry.key, **known, "bytes": entry.size, "used": entry.used}


def _line(entry: Listed) -> str:
    form = str(entry.about.get("form", "damaged"))
    structure = str(entry.about.get("structure", ""))
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return printable(f"{entry.key[:16]}  {form:8}  {structure:16}  {entry.size:9,}  {used}")


def _counted(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries:,} entries"
