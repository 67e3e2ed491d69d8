"""How much a model file may ask for; every number can be raised by the caller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    r"""Bounds that are compared before anything of that size is allocated.

    Attributes
    ----------
    file_bytes
        Of any file.
    json_bytes
        Of a JSON text.
    json_lists, json_values
        Lists and objects in a JSON text; all its values, those included.
    json_growth
        Memory that a parsed JSON text may take, as a multiple of its bytes, besides 32 MiB.
    instructions, buffers, arrays, maps
        How many a model may have; ``arrays`` of weights, of biases and of parameters each. Layers
        of a dense network are instructions.
    name_bytes
        Of one name, in UTF-8.
    map_entries
        Keys of one map.
    slots
        Of all buffers together, and so of any one, and names of features and numbers of one
        operand, which are for a slot each; as in the instruction models' Rust crate.
    payload_growth
        Bytes of all blobs of an RNN\0 container together, as a multiple of the file's: more than 1
        only where blobs overlap.
    unequal_rows
        Rows of all matrices whose rows are not of one length: these are reported one by one.
    weights
        Numbers in all weights and biases; as in that crate.
    validation_operations
        Work of the validation rows, in multiply-adds of the reference
        (``instjit.reference.work``), which does 25 to 100 million in a second.
    source_lines
        Of the text that a model is compiled from: one to eleven for an instruction. A thousand take
        about a second to compile, and 20 MB; six where no two layers have the same shape.
    """

    file_bytes: int = 2**30
    json_bytes: int = 2**28
    json_lists: int = 2**22
    json_values: int = 2**25
    json_growth: int = 24
    instructions: int = 2**16
    buffers: int = 2**16
    arrays: int = 2**16
    maps: int = 2**16
    name_bytes: int = 256
    map_entries: int = 2**22
    slots: int = 1_000_000
    payload_growth: int = 2
    unequal_rows: int = 2**16
    weights: int = 10_000_000
    validation_operations: int = 2**27
    source_lines: int = 20_000


DEFAULT = Limits()
