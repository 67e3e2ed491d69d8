"""How much a model file may ask for; every number can be raised by the caller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are compared before anything of that size is allocated.

    ``slots`` and ``weights`` are the instruction-model family's own (the same figures as its Rust
    crate); ``json_lists`` and ``json_values`` bound what the JSON decoder builds: a list takes 56
    bytes or more, a number 32. ``validation_operations`` bounds the time of the validation rows, in
    multiply-adds of the reference (``instjit.reference.work``), which does 25 to 100 million in a
    second.
    """

    file_bytes: int = 2**30
    json_bytes: int = 2**28
    json_lists: int = 2**22
    json_values: int = 2**25
    instructions: int = 2**16
    buffers: int = 2**16
    arrays: int = 2**16
    name_bytes: int = 256
    map_entries: int = 2**22
    slots: int = 1_000_000
    weights: int = 10_000_000
    validation_operations: int = 2**27


DEFAULT = Limits()
