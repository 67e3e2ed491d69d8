"""Which instruction waits for which, judged by buffers alone (not by ranges of slots).

Information for people and tools; also where ``validate`` sees computations that nothing reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from instjit.model import Model


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
    """Dependencies of a model whose buffer numbers are all in range.

    An instruction that writes a part of its output joins the writers of that buffer, any other
    replaces them.
    """
    parents: list[tuple[int, ...]] = []
    children: list[list[int]] = [[] for _ in model.instructions]
    writers: list[list[int]] = [[] for _ in model.buffers]
    unread: list[Overwrite] = []
    for number, instruction in enumerate(model.instructions):
        read = (writer for buffer in instruction.reads() for writer in writers[buffer])
        parents.append(tuple(sorted(set(read))))
        for parent in parents[-1]:
            children[parent].append(number)
        output = instruction.output
        if not instruction.partial:
            idle = (writer for writer in writers[output] if not children[writer])
            unread += [Overwrite(writer, output, number) for writer in idle]
            writers[output] = []
        writers[output].append(number)
    nodes = (Node(up, tuple(down)) for up, down in zip(parents, children, strict=True))
    return Graph(tuple(nodes), tuple(map(tuple, writers)), tuple(unread))
