"""Model -> Program.

Every full overwrite of a buffer gets a region of its own, so a step never destroys what it reads
and aliasing means "as if inputs were read first" by construction. Partial writes change the region
in place. Slots that are read before anything wrote them are filled with 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Literal as OneOf

from instjit.program import (
    EACH,
    Accumulator,
    Column,
    Expression,
    Gemm,
    Index,
    Literal,
    Lookup,
    Map,
    Program,
    Read,
    Reduce,
    Step,
    View,
    reads,
    step_reads,
)
from instjit.slot_set import SlotSet

if TYPE_CHECKING:
    from instjit.model import Model

Variant = OneOf["output", "slots", "buffer"]
"""output: the last buffer.  slots: every buffer's final value.  buffer: every buffer in and out."""


def lower(model: Model, variant: Variant = "output") -> Program:
    """Lower a validated model.

    Parameters
    ----------
    model
        A model without problems (``instjit.validate``).
    variant
        Which columns of the caller's arrays hold what: ``output`` takes the input slots and gives
        the last buffer; ``slots`` gives all ``required_memory`` slots; ``buffer`` also takes all of
        them.
    """
    return _lowered(model, variant).finish()


def unwritten_reads(model: Model) -> tuple[tuple[int, int, int], ...]:
    """Slots that are read, or given as output, before anything wrote them, and so are 0.

    Returns
    -------
    (buffer, start, stop) for each run of such slots.
    """
    return tuple(_lowered(model, "output").unwritten())


def _lowered(model: Model, variant: Variant) -> Lowering:
    starts = model.buffer_starts
    leading = model.required_memory if variant == "buffer" else model.input_size
    width_out = model.output_size if variant == "output" else model.required_memory
    lowering = Lowering(model, leading, width_out)
    for buffer, start in enumerate(starts):
        if start < leading and model.buffers[buffer].size:
            lowering.load(buffer, start)
    for number, instruction in enumerate(model.instructions):
        lowering.origin = (number,)
        instruction.lower(lowering)
    lowering.origin = ()
    if variant == "output":
        lowering.store(len(starts) - 1, 0)
    else:
        for buffer, start in enumerate(starts):
            lowering.store(buffer, start)
    return lowering


class Lowering:
    """What an instruction's ``lower`` writes to: each buffer's current region, the steps so far."""

    def __init__(self, model: Model, width_in: int, width_out: int) -> None:
        self.model = model
        self.origin: tuple[int, ...] = ()
        self._widths = width_in, width_out
        self._sizes: list[int] = []
        self._steps: list[Step] = []
        self._loads: list[Column] = []
        self._stores: list[Column] = []
        self._written: list[SlotSet] = []
        self._unwritten_reads: list[SlotSet] = []
        self._created_at: list[int] = []
        self._first_regions: dict[int, int] = {}
        self._current: list[int | None] = [None] * len(model.buffers)

    def size(self, buffer: int) -> int:
        """Slots of a buffer."""
        return self.model.buffers[buffer].size

    def read(self, buffer: int, index: Index = EACH, start: int = 0) -> Read:
        """The buffer's current value at slot ``start + index.at(i)``."""
        return Read(self._region_of(buffer), start, index)

    def view(self, buffer: int, start: int = 0, count: int | None = None) -> View:
        """Slots of the buffer's current value, the whole of it by default."""
        return View(self._region_of(buffer), start, self.size(buffer) if count is None else count)

    def temporary(self, count: int) -> View:
        """A region that belongs to no buffer; whoever asks writes all of it before reading."""
        return View(self._new_region(count), 0, count)

    def element(self, view: View, index: Index = EACH) -> Read:
        """A view as a leaf of an expression."""
        return Read(view.region, view.start, index)

    def target(self, buffer: int) -> View:
        """A new region that becomes the buffer's value: for a step that writes all of it.

        Take all reads of the old value first.
        """
        region = self._new_region(self.size(buffer))
        self._current[buffer] = region
        return View(region, 0, self.size(buffer))

    def gemm(self, weights: int, source: View, target: View) -> None:
        """Append ``target = bias + weights @ source``."""
        self._append(Gemm(weights, source, target, Accumulator(), self.origin))

    def map(self, target: View, value: Expression) -> None:
        """Append ``target[i] = value(i)``, through a temporary where the value reads its region."""
        if target.count == 0:
            return
        if any(read.region == target.region for read in reads(value)):
            apart = self.temporary(target.count)
            self._append(Map(apart, value, self.origin))
            value = self.element(apart)
        self._append(Map(target, value, self.origin))

    def write(
        self, buffer: int, value: Expression, start: int = 0, count: int | None = None
    ) -> None:
        """Write ``count`` slots from ``start``; a write of the whole buffer begins a new region."""
        whole = self.size(buffer)
        count = whole - start if count is None else count
        target = self.target(buffer) if count == whole else self.view(buffer, start, count)
        self.map(target, value)

    def reduce(
        self, kind: OneOf["sum", "maximum"], count: int, value: Expression, target: View
    ) -> None:
        """Append a Reduce of ``count`` elements into the one slot of ``target``."""
        if any(read.region == target.region for read in reads(value)):
            apart = self.temporary(1)
            self._append(Reduce(kind, count, value, apart, self.origin))
            self._append(Map(target, self.element(apart), self.origin))
        else:
            self._append(Reduce(kind, count, value, target, self.origin))

    def lookup(self, table: int, default: tuple[float, ...], source: View, target: View) -> None:
        """Append a Lookup; the key is read before the target is written."""
        self._append(Lookup(table, default, source, target, self.origin))

    def load(self, buffer: int, column: int) -> None:
        """Let the caller's columns from ``column`` be the buffer's first value."""
        view = self.target(buffer)
        self._written[view.region].add(view.start, view.stop)
        self._loads.append(Column(column, view))

    def store(self, buffer: int, column: int) -> None:
        """Give the buffer's final value as the caller's columns from ``column``."""
        if self.size(buffer) == 0:
            return
        view = self.view(buffer)
        self._note_read(view)
        self._stores.append(Column(column, view))

    def finish(self) -> Program:
        """The program, with zero fills in front of the steps that need them."""
        fills: dict[int, list[Step]] = {}
        for region, needed in enumerate(self._unwritten_reads):
            runs = needed.runs()
            zeros = [Map(View(region, start, stop - start), Literal(0.0)) for start, stop in runs]
            fills.setdefault(self._created_at[region], []).extend(zeros)
        steps: list[Step] = []
        for number, step in enumerate(self._steps):
            steps += fills.get(number, [])
            steps.append(step)
        steps += fills.get(len(self._steps), [])
        return Program(
            tuple(self._sizes),
            tuple(steps),
            tuple(self._loads),
            tuple(self._stores),
            *self._widths,
        )

    def unwritten(self) -> Iterator[tuple[int, int, int]]:
        """(buffer, start, stop) of the slots that ``finish`` fills."""
        for region, needed in enumerate(self._unwritten_reads):
            for start, stop in needed.runs():
                yield self._first_regions[region], start, stop

    def _append(self, step: Step) -> None:
        for view in step_reads(step):
            self._note_read(view)
        self._steps.append(step)
        target = step.target
        self._written[target.region].add(target.start, target.stop)

    def _note_read(self, view: View) -> None:
        for start, stop in self._written[view.region].missing(view.start, view.stop):
            self._unwritten_reads[view.region].add(start, stop)

    def _region_of(self, buffer: int) -> int:
        region = self._current[buffer]
        if region is None:
            region = self._new_region(self.size(buffer))
            self._first_regions[region] = buffer
            self._current[buffer] = region
        return region

    def _new_region(self, size: int) -> int:
        self._sizes.append(size)
        self._written.append(SlotSet(size))
        self._unwritten_reads.append(SlotSet(size))
        self._created_at.append(len(self._steps))
        return len(self._sizes) - 1
