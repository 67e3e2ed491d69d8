"""Which instruction waits for which, judged by buffers alone (not by ranges of slots).

Information for people and tools; also where ``validate`` sees computations that nothing reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from instjit.errors import ModelError, Problem
from instjit.model import Model

MOST_EDGES = 2**23
"""Edges of a graph that is built: writers of parts times their readers, 8 bytes each and more."""


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction.

    ``parents`` wrote what it reads, ``children`` read what it wrote, both by instruction number.
    """

    parents: tuple[int, ...]
    children: tuple[int, ...]

    @property
    def dependency_count(self) -> int:
        """Number of parents; 1 for a root, which waits for the input."""
        return max(1, len(self.parents))


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A result that nothing reads before another instruction replaces it."""

    instruction: int
    buffer: int
    by: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The dependencies of a model.

    ``last_writers`` holds, for each buffer, the instructions whose writes make up its final value.
    """

    nodes: tuple[Node, ...]
    last_writers: tuple[tuple[int, ...], ...]
    unread: tuple[Overwrite, ...]

    @property
    def roots(self) -> tuple[int, ...]:
        """Instructions that wait for the input only."""
        return tuple(number for number, node in enumerate(self.nodes) if not node.parents)

    @property
    def is_parallelizable(self) -> bool:
        """Whether two instructions could run at once."""
        return len(self.roots) > 1 or any(len(node.children) > 1 for node in self.nodes)


def graph(model: Model) -> Graph:
    """Dependencies of a model.

    An instruction that writes a part of its output joins the writers of that buffer, any other
    replaces them.

    Raises
    ------
    ModelError
        ``BufferIndexOutOfBounds`` for an instruction that names no buffer of the model;
        ``LimitExceeded`` for more than ``MOST_EDGES`` pairs of a writer and a reader.
    """
    writers: list[list[int]] = [[] for _ in model.buffers]
    lost = tuple(unread(model))
    up = tuple(_parents(model, writers))
    down: list[list[int]] = [[] for _ in up]
    for number, several in enumerate(up):
        for parent in several:
            down[parent].append(number)
    nodes = (Node(each, tuple(below)) for each, below in zip(up, down, strict=True))
    return Graph(tuple(nodes), tuple(map(tuple, writers)), lost)


def parents(model: Model) -> Iterator[tuple[int, ...]]:
    """The parents of each instruction in turn, for a model without problems.

    They are those of ``graph``, which takes much more memory.

    Raises
    ------
    ModelError
        As ``graph``, for the limit.
    """
    return _parents(model, [[] for _ in model.buffers])


def is_parallelizable(model: Model) -> bool:
    """The same of ``graph``, from ``parents``."""
    roots, read = 0, bytearray(len(model.instructions))
    parallel = False
    for above in parents(model):
        roots += not above
        for parent in above:
            parallel |= bool(read[parent])
            read[parent] = 1
    return parallel or roots > 1


def _parents(model: Model, writers: list[list[int]]) -> Iterator[tuple[int, ...]]:
    """``writers`` of each buffer are kept up to date."""
    edges = 0
    for number, instruction in enumerate(model.instructions):
        read = {buffer: writers[buffer] for buffer in instruction.reads()}
        edges += sum(map(len, read.values()))
        if edges > MOST_EDGES:
            raise _too_large(number)
        yield tuple(sorted({writer for several in read.values() for writer in several}))
        if not instruction.partial:
            writers[instruction.output] = []
        writers[instruction.output].append(number)


def unread(model: Model) -> Iterator[Overwrite]:
    """Results that nothing reads before they are overwritten, in time linear in the operands.

    Raises
    ------
    ModelError
        As ``graph``, but for the limit.
    """
    count = len(model.buffers)
    waiting: dict[int, list[int]] = {}
    """By buffer, the writers of its value that nothing has read so far."""
    for number, instruction in enumerate(model.instructions):
        output, reads = instruction.output, instruction.reads()
        for buffer in (*reads, output):
            if not 0 <= buffer < count:
                raise _no_buffer(number, buffer, count)
        for buffer in reads:
            waiting.pop(buffer, None)
        if not instruction.partial:
            for writer in waiting.pop(output, ()):
                yield Overwrite(writer, output, number)
        waiting.setdefault(output, []).append(number)


def _no_buffer(number: int, buffer: int, count: int) -> ModelError:
    message = f"instruction {number}: {buffer} is not a buffer, the model has {count}"
    return ModelError(Problem("BufferIndexOutOfBounds", message, number, {"index": buffer}))


def _too_large(number: int) -> ModelError:
    message = (
        f"instruction {number}: the graph has more than {MOST_EDGES} edges up to here, "
        "which is the limit"
    )
    return ModelError(
        Problem("LimitExceeded", message, number, {"name": "edges", "max": MOST_EDGES})
    )
