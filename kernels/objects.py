"""Object code: what it defines and needs, and machine code in memory made of it.

Only llvmlite is needed here: a process that finds its kernels in the store never loads Numba.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instjit.kernels import pyobjects

PREFIX = "instjit_at_"
"""Of symbols that stand for an address of ``pyobjects.address``."""


@dataclass(frozen=True, slots=True)
class ObjectCode:
    """A relocatable object file.

    Attributes
    ----------
    functions
        Symbol of each function by the name it is asked for.
    needs
        Symbols that it leaves to the process; None where nobody knows.
    content
        The file.
    """

    functions: Mapping[str, str]
    needs: tuple[str, ...] | None
    content: bytes


class Code:
    """Machine code, which lives as long as this object.

    Attributes
    ----------
    addresses
        Where each function begins.
    """

    __slots__ = ("__weakref__", "_engine", "addresses")

    def __init__(self, engine: Any, addresses: dict[str, int]) -> None:
        self._engine = engine
        self.addresses = addresses


class Unresolved(Exception):
    """A symbol that the process lacks; LLVM would end it."""


def loaded(code: ObjectCode) -> Code:
    """Put object code into memory.

    Raises
    ------
    Unresolved
        It needs what this process does not have.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for symbol in code.needs or ():
        if symbol.startswith(PREFIX):
            llvm.add_symbol(symbol, pyobjects.address(symbol.removeprefix(PREFIX)))
        elif llvm.address_of_symbol(symbol) is None:
            raise Unresolved(symbol)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    addresses = {
        name: int(engine.get_function_address(symbol)) for name, symbol in code.functions.items()
    }
    if not all(addresses.values()):
        raise Unresolved(", ".join(name for name, place in addresses.items() if not place))
    return Code(engine, addresses)


def lasting(code: ObjectCode) -> bool:
    """Whether another process can use it: what it needs is ours or of the C library.

    What only LLVM's table knows has been put there by Numba.
    """
    if code.needs is None:
        return False
    library = ctypes.CDLL(None)
    return all(symbol.startswith(PREFIX) or hasattr(library, symbol) for symbol in code.needs)
