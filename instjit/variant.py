"""One way of calling a kernel: program, source, constants, and functions once they are needed.

Machine code is looked for, or compiled, on first use: a source can be had without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from instjit.cost import Cost
from instjit.counted import shown
from instjit.errors import InputError, Problem
from instjit.kernels import build, emit, layout, packing, pairing, population, target
from instjit.kernels.by_rows import quicker_by_rows
from instjit.kernels.layout import Layout
from instjit.kernels.multiplier import Multiplier
from instjit.kernels.objects import Code
from instjit.kernels.packing import Floats, Integers
from instjit.kernels.source import Source
from instjit.kernels.target import Level
from instjit.lower import Variant, lower
from instjit.model import Model
from instjit.passes import Pass, apply
from instjit.population import Population
from instjit.program import Program
from instjit.unlocked import cached_property

if TYPE_CHECKING:
    from instjit.kernels.direct import Direct, Reach

SECONDS_PER_FLOP = 1.5e-11
SECONDS_PER_SLOT = 1.0e-10
SECONDS_PER_CONSTANT = 4.5e-11
"""Rough rates of one core: 65 GFLOP/s of float32, a slot moved in, out or within, and a constant
read for one row (89 GB/s)."""

FORMS = ("row", "slots", "buffer")
"""What is compiled on first use unless it is warmed."""


def forms_of(warm: Any) -> tuple[str, ...]:
    """One form or several, by name; InputError (UnknownForm) for anything else."""
    several = (warm,) if isinstance(warm, str) else warm
    forms = tuple(several) if isinstance(several, Iterable) else (several,)
    wrong = [form for form in forms if form not in FORMS]
    if wrong:
        known = '"row", "slots" or "buffer", or several of them'
        sentence = f"warm takes {known}, not {shown(wrong[0])}"
        raise InputError(Problem("UnknownForm", sentence, fields={"form": wrong[0]}))
    return forms


class Compiled:
    """A variant of a kernel.

    Attributes
    ----------
    program, source
        What the model became.
    level
        The blocking, with the tile height that fits the cache.
    places
        Where constants lie.
    k, n
        The packed constants; the functions take their addresses.
    lanes, scratch
        Rows of a tile, and floats of its scratch.
    row_seconds, tile_seconds, single_seconds
        Rough times on one core of one row of a batch, of a tile, and of a row alone.
    """

    def __init__(
        self,
        model: Model,
        cost: Cost,
        level: Level,
        variant: Variant,
        passes: tuple[Pass, ...],
        multiplier: Multiplier | None = None,
    ) -> None:
        self.program: Program = apply(lower(model, variant), passes)
        plan = pairing.plan(self.program, multiplier) if multiplier else None
        slots = self.program.slots + (plan.slots if plan else 0)
        share = 2 * cost.multiply_adds / max(1, cost.flops + cost.moved)
        rows = quicker_by_rows(self.program, level.width)
        self.level = target.fitted(level, slots, share, tiles=plan is not None, rows=rows)
        size = multiplier.block_floats if multiplier else packing.block_floats
        self.places: Layout = layout.layout(self.program, model, size)
        kinds = [instruction.kind for instruction in model.instructions]
        self.source: Source = emit.emit(self.program, self.places, self.level, variant, kinds, plan)
        self.k: Floats
        self.n: Integers
        self.k, self.n = layout.bind(self.program, model, self.places, self.level.panel, multiplier)
        self.k_address = int(self.k.ctypes.data)
        self.n_address = int(self.n.ctypes.data)
        self.lanes = self.level.lanes
        self.scratch = slots * self.lanes
        columns = self.program.width_in + self.program.width_out
        self.row_seconds = (
            max(1, cost.flops) * SECONDS_PER_FLOP + (cost.moved + columns) * SECONDS_PER_SLOT
        )
        self.tile_seconds = self.lanes * self.row_seconds
        self.single_seconds = max(self.row_seconds, self.k.size * SECONDS_PER_CONSTANT)

    @cached_property
    def tiles(self) -> Code:
        """Machine code of ``tiles``."""
        return build.tiles(self.source)

    @cached_property
    def row(self) -> Code:
        """Machine code of ``row``."""
        return build.row(self.source)

    @cached_property
    def wide_row(self) -> Code:
        """Machine code of ``wide_row``."""
        return build.wide_row(self.source)

    @cached_property
    def phases(self) -> Code:
        """Machine code of ``phases``."""
        return build.phases(self.source)

    @property
    def together(self) -> int:
        """Tiles that several threads may take through ``phases`` together; 0 for none.

        Where a core's cache does not hold the weights. The scratch is no larger than they, and
        takes a quarter of the third-level cache at most.
        """
        if not self.source.phases or self.k.nbytes <= target.cache_bytes():
            return 0
        most = min(self.k.nbytes, target.cache_bytes(3) // 4)
        return int(max(1, most // (4 * self.scratch)))

    @property
    def heavy(self) -> bool:
        """Whether weights come out of memory at times: more than a third of the shared cache."""
        return self.k.nbytes > target.cache_bytes(3) // 3

    @property
    def tiles_address(self) -> int:
        """Where ``tiles`` begins; only as long as this variant lives."""
        return self.tiles.addresses["tiles"]

    def direct(self, reach: Reach | None) -> Direct:
        """Calls from Python that convert nothing; of single rows alone for None.

        With another precision than float32 there is none for a single row.
        """
        from instjit.kernels.direct import Direct, Reach, Shape

        shape = Shape(self.program.width_in, self.program.width_out, self.lanes, self.scratch)
        code = [self.tiles] if reach else []
        if self.source.wide:
            code.append(self.wide_row)
        elif self.source.precision == "float32":
            code.append(self.row)
        return Direct(code, self.k, self.n, shape, reach or Reach())

    @cached_property
    def inline(self) -> Any:
        """A Numba function f(x_row, out_row) with the constants frozen in."""
        return build.inline_function(self.source, self.k, self.n)

    @cached_property
    def inline_of_constants(self) -> Any:
        """A Numba function f(x_row, out_row, k, n)."""
        return build.inline_function_of_constants(self.source, self.k.size, self.n.size)

    def constants_of(self, models: Population) -> Floats:
        """The arrays ``k`` of models of this structure and with these maps, (models, floats)."""
        return population.bind_all(models, self.places, self.level.panel, self.k)

    def warm(self) -> None:
        """Compile what a batch needs, and what runs it if no kernel has yet."""
        from instjit.kernels import driver

        driver.prepare()
        _ = self.tiles_address
        if self.together:
            _ = self.phases, build.phased()
