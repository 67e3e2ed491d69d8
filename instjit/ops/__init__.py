"""The instructions: one record each, and the table of them by wire name."""

from __future__ import annotations

from types import MappingProxyType

from instjit.ops.activation import Activation
from instjit.ops.attention import Attention
from instjit.ops.copies import Copy, CopyMasked
from instjit.ops.dense import Dot
from instjit.ops.elementwise import Activate, AddElementwise, ClipElementwise, MulElementwise
from instjit.ops.heads import AddBufferHeads, MultiplyBufferHeads
from instjit.ops.instruction import Instruction
from instjit.ops.lookup import MapTransform
from instjit.ops.reduce import AddElementwiseBuffers, MultiplyElementwiseBuffers, ReduceSum

__all__ = [
    "OPS",
    "Activate",
    "Activation",
    "AddBufferHeads",
    "AddElementwise",
    "AddElementwiseBuffers",
    "Attention",
    "ClipElementwise",
    "Copy",
    "CopyMasked",
    "Dot",
    "Instruction",
    "MapTransform",
    "MulElementwise",
    "MultiplyBufferHeads",
    "MultiplyElementwiseBuffers",
    "ReduceSum",
]

_RECORDS: tuple[type[Instruction], ...] = (
    Dot,
    Copy,
    CopyMasked,
    Activate,
    AddElementwise,
    MulElementwise,
    ClipElementwise,
    MapTransform,
    AddElementwiseBuffers,
    MultiplyElementwiseBuffers,
    MultiplyBufferHeads,
    AddBufferHeads,
    ReduceSum,
    Attention,
)

OPS = MappingProxyType({record.kind: record for record in _RECORDS})
"""Instruction class by wire name."""
