"""What the words of a packed model mean.

Words are float32 slots; those that hold integers hold the raw bits of an int32. A model's words are
a header, its instructions, weights, parameters and lists, one section after the other:

====  =================================================================
word  header
====  =================================================================
0, 1  magic 0x494D5047, version 1
2, 3  feature size, output size
4     slots of the compute buffer: all buffers, then scratch
5, 6  count of instructions, word of the first (13)
7, 8  word of the first weight, count of weights and biases
9 10  word of the first parameter, count of parameters; the lists follow
11    slot of the first output
12    words of the model: the step to the next one
====  =================================================================

Weights hold, for each matrix, its rows and then its bias; parameters every vector in order. An
instruction has eight words: opcode, input slot, output slot, size, a, b, c, scratch slot. Slots
count from the start of the compute buffer, offsets from the start of their section.

Models of one structure and with the same maps differ in the words of their weights and parameters
alone, so who writes there puts another model in the place of one.

==  ============  ============  ======================================================
op  is            size          a, b, c, scratch
==  ============  ============  ======================================================
1   product       outputs       weights offset, inputs, activation code
2   activation    slots         0, 0, activation code
3   add           slots         parameters offset, 1 if one number goes for every slot
4   multiply      slots         as add
5   copy          slots
6   clip          slots         offsets of the lower and the upper bounds, flags
7   gather        slots         lists offset of the slots, from the input on; scratch
8   lookup        slots         lists offset of the table, entries, offset of the default
9   add buffers   slots         lists offset of the input slots, count of inputs
10  multiply b.   slots         as add buffers
11  multiply h.   slots         slot of the first head, slots of each head
12  add heads     slots         as multiply heads
13  sum           input slots
14  gate          outputs       weights offset, keys, slot of the query; scratch
==  ============  ============  ======================================================

Flags of a clip: 1 there is a lower bound, 2 an upper one, 4 and 8 it is one number for every slot.
A table is its keys, ascending, then a row of values for each. ``scratch`` is where a gather or a
gate's scores wait until all inputs are read: the output itself, or slots behind the buffers where
the output is an input too. The input of a gate is the key.

Activation codes: 0 none, 1 relu, 2 sigmoid, 3 softmax, 4 tanh, 5 sqrt, 6 log, 7 log10, 8 inverse,
9 gelu, 10 softplus, 11 exp_activation, 12 sign. Opcodes 1 to 5 and codes 0 to 9 are those of the
family's Rust crate, word for word; the others are instjit's own.
"""

from __future__ import annotations

MAGIC, VERSION = 0x494D5047, 1

HEADER = 13
"""Words of the header; the numbers of some of them:"""
FEATURE_SIZE, OUTPUT_SIZE, COMPUTE_SIZE, COUNT = 2, 3, 4, 5
WEIGHTS_AT, PARAMETERS_AT, PARAMETERS_COUNT, OUTPUT_START, MODEL_SIZE = 7, 9, 10, 11, 12

INSTRUCTION = 8
"""Words of an instruction."""

PRODUCT, ACTIVATION, ADD, MULTIPLY, COPY, CLIP, GATHER, LOOKUP = range(1, 9)
ADD_BUFFERS, MULTIPLY_BUFFERS, MULTIPLY_HEADS, ADD_HEADS, SUM, GATE = range(9, 15)

LOWER, UPPER, LOWER_FIXED, UPPER_FIXED = 1, 2, 4, 8

SOFTMAX = 3
CODES = {
    "": 0,
    "relu": 1,
    "sigmoid": 2,
    "softmax": SOFTMAX,
    "tanh": 4,
    "sqrt": 5,
    "log": 6,
    "log10": 7,
    "inverse": 8,
    "gelu": 9,
    "softplus": 10,
    "exp_activation": 11,
    "sign": 12,
}
"""Activation codes by the names of ``instjit.functions``."""
