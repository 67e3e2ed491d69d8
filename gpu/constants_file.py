"""What a host program needs besides the PTX: how to launch it, and the packed constants.

Little-endian, without padding:

======  ===========================================================================
bytes   content
======  ===========================================================================
8       ``IJCUDA1`` and a zero
10 x 8  int64: see ``Header``
4 each  ``k``, float32
4 each  ``n``, int32
======  ===========================================================================
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from instjit.gpu.device import THREADS
from instjit.gpu.emit import GpuSource
from instjit.kernels.packing import Floats, Integers

MAGIC = b"IJCUDA1\0"


@dataclass(frozen=True, slots=True)
class Header:
    """The integers of the file, in this order.

    Attributes
    ----------
    input_size, output_size
        Columns of a row of input and of output.
    rows
        Rows that a block works on at a time. A grid of fewer blocks than that takes for all rows
        is right too: each block goes on to further rows.
    threads_x, threads_y
        Threads of a block; the code relies on these numbers.
    shared_bytes
        Dynamic shared memory of a block, which a launch must ask for.
    scratch_floats
        Floats of global memory for each block of the grid, the entry's last argument.
    takes_scratch
        1 where the entry has that argument, though it may be null; 0 where it has five.
    floats, integers
        Elements of ``k`` and of ``n``.
    """

    input_size: int
    output_size: int
    rows: int
    threads_x: int
    threads_y: int
    shared_bytes: int
    scratch_floats: int
    takes_scratch: int
    floats: int
    integers: int


def header(source: GpuSource, widths: tuple[int, int], k: Floats, n: Integers) -> Header:
    """How to launch the kernel of a text."""
    tile = source.tile
    block = (tile.rows, tile.lanes, tile.groups) if tile else (THREADS, THREADS, 1)
    memory = (source.shared_bytes, source.scratch_floats, int(tile is not None))
    return Header(*widths, *block, *memory, len(k), len(n))


def constants_file(source: GpuSource, widths: tuple[int, int], k: Floats, n: Integers) -> bytes:
    """The content of the file.

    Parameters
    ----------
    source
        The kernel's text.
    widths
        Columns of input and of output.
    k, n
        The packed constants.
    """
    numbers = np.array(astuple(header(source, widths, k, n)), "<i8")
    return b"".join(
        (MAGIC, numbers.tobytes(), k.astype("<f4").tobytes(), n.astype("<i4").tobytes())
    )
