"""What a fork holds, and properties that two objects work out at once."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

import instjit as ij
from instjit import unlocked
from instjit.kernels import forking

NUMBA, LLVM = "numba.core.compiler_lock", "llvmlite.binding.ffi"


@pytest.fixture
def locks(monkeypatch) -> tuple[Any, ...]:
    """Ours, Numba's and llvmlite's, none of which anyone else has."""
    ours, numbas, llvms = (threading.RLock() for _ in range(3))
    monkeypatch.setattr(forking, "COMPILING", ours)
    monkeypatch.setitem(sys.modules, NUMBA, SimpleNamespace(global_compiler_lock=numbas))
    monkeypatch.setitem(sys.modules, LLVM, SimpleNamespace(lib=SimpleNamespace(_lock=llvms)))
    return ours, numbas, llvms


def taken(lock: Any) -> bool:
    """Another thread cannot have it."""

    def attempt() -> bool:
        if lock.acquire(blocking=False):
            lock.release()
            return False
        return True

    with ThreadPoolExecutor(1) as other:
        return other.submit(attempt).result()


def test_a_fork_holds_the_locks_of_a_compilation_and_no_longer(locks) -> None:
    for _ in range(2):
        forking._take()
        assert all(map(taken, locks))
        forking._give_back()
        assert not any(map(taken, locks))


def test_a_fork_that_begins_while_another_ends_keeps_its_locks(locks, monkeypatch) -> None:
    """A lock whose release lets another thread's fork begin at once."""
    begun = []

    class Passing:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            if not begun:
                begun.append(True)
                forking._take()

    monkeypatch.setattr(forking, "COMPILING", Passing())
    forking._take()
    forking._give_back()
    assert begun
    assert all(map(taken, locks[1:]))
    forking._give_back()
    assert not any(map(taken, locks[1:]))


@pytest.mark.parametrize(
    ("module", "value"),
    [
        (NUMBA, None),
        (NUMBA, SimpleNamespace()),
        (LLVM, None),
        (LLVM, SimpleNamespace()),
        (LLVM, SimpleNamespace(lib=SimpleNamespace())),
    ],
)
def test_a_lock_that_is_not_there_is_not_held(module, value, locks, monkeypatch) -> None:
    if value is None:
        monkeypatch.delitem(sys.modules, module)
    else:
        monkeypatch.setitem(sys.modules, module, value)
    forking._take()
    assert [taken(lock) for lock in locks] == [True, module != NUMBA, module != LLVM]
    forking._give_back()
    assert not any(map(taken, locks))


def test_the_locks_of_this_numba_and_llvmlite_are_found(monkeypatch) -> None:
    ij.compile(ij.Model([1], [ij.Activate(0, "RELU")], feature_size=1)).warm()
    held: list[Any] = []
    monkeypatch.setattr(forking, "_held", SimpleNamespace(enter_context=held.append))
    forking._take()
    assert len(held) == 3


class Slow:
    """An object with a property that takes until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.values = iter(range(10))

    @unlocked.cached_property
    def value(self) -> int:
        """A number."""
        found = next(self.values)
        self.begun.set()
        self.let_go.wait(20)
        return found


def test_objects_do_not_wait_for_each_other() -> None:
    first, second = Slow(), Slow()
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(lambda: first.value)
        assert first.begun.wait(20)
        second.let_go.set()
        assert second.value == 0
        first.let_go.set()
        assert waiting.result() == 0


def test_the_first_value_to_be_ready_is_kept() -> None:
    slow = Slow()
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(lambda: slow.value)
        assert slow.begun.wait(20)
        slow.__dict__["value"] = 7
        slow.let_go.set()
        assert waiting.result() == 7
    assert slow.value == 7


def test_the_property_of_the_class_is_described() -> None:
    assert isinstance(Slow.value, unlocked.cached_property)
    assert Slow.value.__doc__ == "A number."
