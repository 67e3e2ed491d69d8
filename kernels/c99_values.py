"""Located values as C99 expressions, and the two forms of a row's scratch ``s``.

In a tile slot i of all rows is one run of ``lanes`` floats, which loops over ``lane`` work on and
compilers make vectors of; a row alone has its slots one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from instjit.kernels.c99_functions import called, number
from instjit.kernels.located import Located, Node, Number, Place, Total

Lines = Iterator[str]

OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
INDENT = "    "
VECTOR = "IJ_VECTOR"

VECTOR_TEXT = f"""\
#if defined __GNUC__ && __GNUC__ >= 8 && !defined __clang__
#define {VECTOR} _Pragma("GCC unroll 1")
#else
#define {VECTOR}
#endif
"""


@dataclass(frozen=True, slots=True)
class Form:
    """How many rows lie side by side: those of a tile, or 1."""

    lanes: int

    @property
    def name(self) -> str:
        """Prefix of the form's functions."""
        return "row" if self.lanes == 1 else "tile"

    def place(self, at: int, i: str = "") -> str:
        """The index in ``s`` of slot ``at + i`` of the row at hand."""
        return plus(at, i) if self.lanes == 1 else plus(0, times(plus(at, i), self.lanes), "lane")

    def start(self, at: int, i: str = "") -> str:
        """The pointer to slot ``at + i`` of the first row."""
        return moved("s", times(plus(at, i), self.lanes))

    def each_row(self, lines: Iterable[str]) -> Lines:
        """The statements for every row."""
        return iter(lines) if self.lanes == 1 else vector_loop("lane", self.lanes, lines)


def plus(at: int, *terms: str) -> str:
    """The sum as text, without what is zero or missing."""
    held = [term for term in terms if term not in ("", "0")]
    return " + ".join([str(at), *held] if at or not held else held)


def moved(pointer: str, *terms: str | int) -> str:
    """The pointer, some floats further."""
    return " + ".join([pointer, *(str(term) for term in terms if term not in ("0", 0))])


def times(term: str, factor: int) -> str:
    """The product of a number, a name or a sum with a number, as text."""
    if term.isdigit():
        return str(int(term) * factor)
    if factor == 1:
        return term
    return f"({term}) * {factor}" if " " in term else f"{term} * {factor}"


def loop(
    name: str,
    count: int | str,
    lines: Iterable[str],
    start: str = "0",
    by: int = 1,
    kind: str = "ptrdiff_t",
) -> Lines:
    """``for`` name from start below count."""
    step = f"{name}++" if by == 1 else f"{name} += {by}"
    yield f"for ({kind} {name} = {start}; {name} < {count}; {step}) {{"
    yield from indented(lines)
    yield "}"


def vector_loop(name: str, count: int, lines: Iterable[str]) -> Lines:
    """A loop that is to become vectors: GCC unrolls up to 16 rounds before it looks for any.

    Told not to, it makes a batch of 250-300-200 four times as fast in tiles of 8 rows.
    """
    first, *rest = loop(name, count, lines)
    yield f"{VECTOR} {first}"
    yield from rest


def indented(lines: Iterable[str]) -> Lines:
    """The lines, further in."""
    return (INDENT + line for line in lines)


def assigned(form: Form, value: Located, i: str, target: str, total: str = "") -> list[str]:
    """Statements that give element ``i`` of a value to ``target``.

    Parameters
    ----------
    form
        How the row's slots lie.
    value
        What is assigned; a part of it that occurs several times is worked out once.
    i
        A name, or a sum.
    total
        What the accumulator is called.
    """
    counts = Counter(_nodes(value))
    held: dict[Located, str] = {}
    lines: list[str] = []

    def text(node: Located) -> str:
        if node in held:
            return held[node]
        if not isinstance(node, Node):
            return _leaf(form, node, i, total)
        written = _applied(node.function, [text(argument) for argument in node.arguments])
        if counts[node] == 1 and node.function not in OPERATORS:
            return written
        held[node] = f"v{len(lines)}"
        lines.append(f"const float {held[node]} = {written};")
        return held[node]

    result = text(value)
    return [*lines, f"{target} = {result};"]


def functions_of(value: Located) -> list[str]:
    """Names of the functions that the text of a value calls."""
    names = dict.fromkeys(node.function for node in _nodes(value))
    return [name for name in names if name not in OPERATORS]


def _applied(function: str, operands: list[str]) -> str:
    if function in OPERATORS:
        return f" {OPERATORS[function]} ".join(operands)
    return f"{called(function)}({', '.join(operands)})"


def _leaf(form: Form, leaf: Located, i: str, total: str) -> str:
    if isinstance(leaf, Total):
        return total
    if isinstance(leaf, Number):
        return number(leaf.value)
    if isinstance(leaf, Node):  # for the type checker: a node is no leaf
        return ""
    return f"k[{_entry(leaf, i)}]" if leaf.area == "k" else f"s[{_slot(form, leaf, i)}]"


def _slot(form: Form, leaf: Place, i: str) -> str:
    return form.place(0, _entry(leaf, i))


def _entry(leaf: Place, i: str) -> str:
    """The number of the slot or constant that element ``i`` reads."""
    if leaf.index == "fixed":
        return str(leaf.at)
    if leaf.index == "each":
        return plus(leaf.at, i)
    if leaf.index == "repeat":
        inner = f"({i})" if " " in i else i
        return plus(leaf.at, f"{inner} / {leaf.every}")
    return plus(leaf.at, f"n[{plus(leaf.listed, i)}]")


def _nodes(value: Located) -> list[Node]:
    """Every node of the tree, repeats included."""
    if not isinstance(value, Node):
        return []
    return [value, *(node for argument in value.arguments for node in _nodes(argument))]
