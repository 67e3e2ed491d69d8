"""What models and kernels are to other processes: pickled as what they hold, a kernel one in each.

A pickle is a call of ``instjit.unpickled``: the structure and the options, the block of numbers,
and the options that are no plain values, as passes are.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from operator import itemgetter
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

import instjit
from instjit.envelope import damaged, opened, sealed
from instjit.errors import InstjitError
from instjit.model import Model
from instjit.packed_model import packed, unpacked
from instjit.plain_bytes import Plain
from instjit.validate import check

MODEL = None
KERNELS = {"": ("kernel", "Kernel"), "cuda": ("gpu.kernel", "CudaKernel")}
"""What a pickle may hold: no kernel, or one of a class that is loaded then."""

Options = tuple[tuple[str, Any], ...]
"""Arguments by name."""

K = TypeVar("K", bound="Portable")

_here: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
"""Kernels of this process that were pickled or unpickled, by all that their pickles hold."""


class Portable(ABC):
    """A kernel: frozen, equal to those of the same model and options, and its own copy.

    A pickle holds the model and the options as they were asked for, nothing that was compiled and
    nothing of the machine. It is opened without Numba; the first call compiles.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """Its class's name in ``KERNELS``."""
    model: Model

    @property
    @abstractmethod
    def _asked(self) -> Options:
        """Arguments of the class behind the model that are not the usual ones: ``unusual``."""

    def __reduce__(self) -> tuple[Any, ...]:
        structure, numbers = packed(self.model)
        _here.setdefault(_key(self.kind, structure, numbers, self._asked), self)
        plain = tuple(pair for pair in self._asked if isinstance(pair[1], str | int))
        others = tuple(pair for pair in self._asked if pair not in plain)
        content = sealed((self.kind, plain, *structure), numbers)
        return instjit.unpickled, (*content, others) if others else content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Portable):
            return NotImplemented
        same = type(self) is type(other) and self._asked == other._asked
        return same and self.model == other.model

    def __hash__(self) -> int:
        return hash((type(self), self.model, self._asked))

    def __copy__(self: K) -> K:
        return self

    def __deepcopy__(self: K, _: Any) -> K:
        return self


def reduced(model: Model) -> tuple[Any, ...]:
    """What ``Model.__reduce__`` gives.

    Raises TypeError or OverflowError for a model that holds what no instruction of this package is,
    or sizes of other types.
    """
    structure, numbers = packed(model)
    return instjit.unpickled, sealed((MODEL, *structure), numbers)


def restored(content: Any, numbers: bytes = b"", others: Options = (), *_: Any) -> Any:
    """The model of a pickle, or its kernel: the one there is where this process has it already.

    Parameters
    ----------
    content, numbers
        What was sealed; another version may have put in more.
    others
        Options of a kernel that are no plain values.

    Raises
    ------
    FormatError
        BadVersion, DamagedPickle.
    ModelError
        The model of a kernel has problems.
    """
    try:
        (kind, *rest), block = opened(content, numbers)
        if kind == MODEL:
            return unpacked(tuple(rest), block)
        plain, *structure = rest
        return _kernel(
            kind, tuple(structure), block, tuple(sorted(plain + others, key=itemgetter(0)))
        )
    except InstjitError:
        raise
    except Exception as error:  # what a damaged structure says may go wrong anywhere
        raise damaged(repr(error)) from error


def _kernel(kind: str, structure: Plain, numbers: bytes, asked: Options) -> Any:
    key = _key(kind, structure, numbers, asked)
    known = _here.get(key)
    if known is None:
        model = unpacked(structure, numbers)
        check(model)
        module, name = KERNELS[kind]
        made = getattr(import_module(f"instjit.{module}"), name)(model, **dict(asked))
        known = _here.setdefault(key, made)
    return known


def _key(kind: str, structure: Plain, numbers: bytes, asked: Options) -> tuple[Any, ...]:
    return kind, structure, hashlib.sha256(numbers).digest(), asked


def unusual(given: Mapping[str, Any], usual: Mapping[str, Any]) -> Options:
    """Those arguments that are not the usual ones, in the order of their names."""
    return tuple((name, given[name]) for name in sorted(given) if given[name] != usual[name])
