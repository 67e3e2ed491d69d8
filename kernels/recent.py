"""Values made once: shared while anyone has them, and the last few kept for who asks again."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps the last ``most`` values alive, and knows all that live; any thread may ask."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._alive: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        self._unlocked()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlocked)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; one thread at a time makes a new one."""
        with self._lock:
            value: T | None = self._alive.get(key)
            if value is None:
                value = make()
                self._alive[key] = value
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return value

    def _unlocked(self) -> None:
        """The thread that has the lock may not exist in a forked child."""
        self._lock = threading.RLock()
