"""Machine code by what it is made of: shared in this process, kept in the store for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instjit import store
from instjit.kernels import identity, objects
from instjit.kernels.objects import Code, ObjectCode, Unresolved
from instjit.kernels.recent import Recent

MOST = 64
"""Functions that stay in memory when no kernel has them: 80 kB each."""

_codes: Recent[Code] = Recent(MOST)


def code(structure: str, form: str, make: Callable[[], ObjectCode]) -> Code:
    """The code of a structure's function.

    Parameters
    ----------
    structure
        Digest of what it is made of besides ``identity``.
    form
        Which of its functions.
    make
        Compiles it.
    """
    return _codes.get((structure, form), lambda: _found(structure, form, make))


def _found(structure: str, form: str, make: Callable[[], ObjectCode]) -> Code:
    place = store.current()
    key = _key(structure, form) if place else ""
    if not place or not key:
        return objects.loaded(make())
    stored = _stored(place, key)
    if stored is not None:
        return stored
    made = make()
    if objects.lasting(made) and identity.unchanged():
        about = {"form": form, "structure": structure[:16]}
        symbols = {"functions": dict(made.functions), "needs": list(made.needs or ())}
        place.save(key, store.Entry({**about, **symbols}, made.content))
    return objects.loaded(made)


def _key(structure: str, form: str) -> str:
    """Nothing where the modules cannot be read, as in an archive."""
    try:
        return identity.key(structure, form)
    except OSError as error:
        store.logger().info("instjit store: not used, %s", error)
        return ""


def _stored(place: store.Store, key: str) -> Code | None:
    entry = place.load(key)
    if entry is None:
        return None
    try:
        return objects.loaded(_object_of(entry))
    except (Unresolved, TypeError, KeyError, AttributeError) as error:
        store.logger().warning(
            "instjit store: entry %s does not fit this process: %r", key[:16], error
        )
        return None


def _object_of(entry: store.Entry) -> ObjectCode:
    functions: Any = entry.about["functions"]
    return ObjectCode(dict(functions), tuple(entry.about["needs"]), entry.content)
