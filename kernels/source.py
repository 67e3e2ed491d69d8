"""The generated text as a value."""

from __future__ import annotations

from dataclasses import dataclass

from instjit.kernels.target import Level
from instjit.lower import Variant


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a kernel.

    Attributes
    ----------
    text
        Python source, the same bytes for models of the same structure.
    digest
        SHA-256 of the text and the index lists, 64 hex digits: what the machine code depends on.
    target, level
        "cpu", and the blocking that the text is for.
    variant
        What the columns hold (``instjit.lower.Variant``).
    precision
        "float32", or what wide products are worked out in.
    wide
        Whether the text has a ``wide_row``.
    phases
        Spans of each phase of ``phases``, 0 where its units are tiles; empty without one.
    """

    text: str
    digest: str
    target: str
    level: Level
    variant: Variant
    precision: str = "float32"
    wide: bool = False
    phases: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.text
