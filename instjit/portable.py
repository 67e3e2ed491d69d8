"""What kernels are to other processes: equal by what they hold, pickled as that, one in each."""

from __future__ import annotations

import hashlib
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from instjit.errors import FormatError, InstjitError, Problem
from instjit.model import Model
from instjit.packed_model import Plain, damaged, deflated, inflated, packed, unpacked
from instjit.validate import check

VERSION = 1
"""Of what a pickle holds. A reader of another version refuses it: kernels are pickled anew."""

PROTOCOL = 4
"""Of the structure, where that is deflated: with many small layers it is most of a pickle."""

K = TypeVar("K", bound="Portable")

_here: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
"""Kernels of this process that were pickled or unpickled, by all that their pickles hold."""


class Portable(ABC):
    """A kernel: frozen, equal to those of the same model and options, and its own copy.

    A pickle holds the model and the options as they were asked for, nothing that was compiled and
    nothing of the machine. It is opened without Numba; the first call compiles.
    """

    __slots__ = ()

    model: Model

    @property
    @abstractmethod
    def _asked(self) -> tuple[Any, ...]:
        """Arguments of the class behind the model, hashable; () where all are the usual ones."""

    @abstractmethod
    def __reduce__(self) -> tuple[Any, ...]:
        """A module's function that is ``restored`` for the class, and ``self._content()``."""

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

    def _content(self) -> tuple[Any, ...]:
        """Version, structure and numbers of the model, options; these where they are not usual."""
        structure, numbers = packed(self.model)
        _here.setdefault(_key(type(self), structure, numbers, self._asked), self)
        short = deflated(pickle.dumps(structure, PROTOCOL)) or structure
        smaller = deflated(numbers)
        if smaller is None and not self._asked:
            return VERSION, short, numbers
        return VERSION, short, smaller or numbers, smaller is not None, self._asked


def restored(
    kind: Callable[..., K],
    version: int,
    structure: Plain | bytes = (),
    numbers: bytes = b"",
    is_deflated: bool = False,
    asked: tuple[Any, ...] = (),
    *_: Any,
) -> K:
    """The kernel of a pickle; the one there is where this process has it already.

    Parameters
    ----------
    kind
        Its class.
    version, structure, numbers, is_deflated, asked
        What ``Portable._content`` gave; another version may have given more.

    Raises
    ------
    FormatError
        BadVersion, DamagedPickle.
    ModelError
        The model has problems.
    """
    if version != VERSION:
        sentence = (
            f"this kernel was pickled by another release of instjit, in version {version!r} of "
            f"its pickles; this one reads version {VERSION}: pickle the kernel anew"
        )
        raise FormatError(Problem("BadVersion", sentence, fields={"version": version}))
    try:
        return _opened(kind, structure, inflated(numbers) if is_deflated else numbers, asked)
    except InstjitError:
        raise
    except Exception as error:  # what a damaged structure says may go wrong anywhere
        raise damaged(repr(error)) from error


def _opened(kind: Callable[..., K], structure: Plain | bytes, numbers: bytes, asked: Any) -> K:
    plain: Plain = structure if isinstance(structure, tuple) else pickle.loads(inflated(structure))
    key = _key(kind, plain, numbers, asked)
    known: K | None = _here.get(key)
    if known is None:
        model = unpacked(plain, numbers)
        check(model)
        known = _here.setdefault(key, kind(model, *asked))
    return known


def _key(kind: Any, structure: Plain, numbers: bytes, asked: tuple[Any, ...]) -> tuple[Any, ...]:
    return kind, structure, hashlib.sha256(numbers).digest(), asked
