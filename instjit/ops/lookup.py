"""Table look-up by integer id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instjit.cost import Cost
from instjit.ops.instruction import Instruction
from instjit.ops.wire import Wire, wire

if TYPE_CHECKING:
    from instjit.gpu.packing import Words
    from instjit.lower import Lowering
    from instjit.model import LookupTable, Model
    from instjit.ops.checks import Checks
    from instjit.ops.state import State


@dataclass(frozen=True, slots=True)
class MapTransform(Instruction):
    """``output[internal_output_index + k] = maps[map][id][k]`` for k < size.

    The id is ``input[internal_input_index]`` rounded half away from zero, saturated to int32, NaN
    counting as 0. An id that is not in the map takes the default.
    """

    kind = "MAP_TRANSFORM"
    partial = True

    input: int = wire(Wire.INDEX, "buffers")
    output: int = wire(Wire.INDEX, "buffers")
    internal_input_index: int = wire(Wire.INDEX)
    internal_output_index: int = wire(Wire.INDEX)
    map: int = wire(Wire.INDEX, "maps")
    size: int = wire(Wire.INDEX)
    default: tuple[float, ...] = wire(Wire.NUMBERS)

    def check_operands(self, checks: Checks) -> None:
        self._check_table(checks)
        self._check_slots(checks)

    def reference(self, state: State) -> None:
        ids = state.rounded_ids(self.input, self.internal_input_index)
        values = _rows(state.model.maps[self.map], ids, self.default)
        state.write(self.output, values, self.internal_output_index)

    def lower(self, low: Lowering) -> None:
        if self.size == 0:
            return
        source = low.view(self.input, self.internal_input_index, 1)
        if self.size == low.size(self.output):
            target = low.target(self.output)
        else:
            target = low.view(self.output, self.internal_output_index, self.size)
        low.lookup(self.map, self.default, source, target)

    def pack(self, words: Words) -> None:
        source = self.input, self.internal_input_index
        words.lookup(self.map, self.default, source, (self.output, self.internal_output_index))

    def cost(self, model: Model) -> Cost:
        return Cost(moved=self.size, constants=self.size)

    def _check_table(self, checks: Checks) -> None:
        maps = checks.model.maps
        if not 0 <= self.map < len(maps):
            message = f"there is no map {self.map}, the model has {len(maps)}"
            checks.report("MapIndexOutOfBounds", message, index=self.map)
        else:
            widths = checks.widths(maps[self.map].values)
            wrong = next((width for width in widths if width != self.size), None)
            if wrong is not None:
                message = f"an entry of map {self.map} holds {wrong} values, size is {self.size}"
                fields = {"map_value_size": wrong, "data_size": self.size}
                checks.report("MapValuesSizeMismatch", message, **fields)
        if len(self.default) != self.size:
            message = f"the default holds {len(self.default)} values, size is {self.size}"
            fields = {"default_size": len(self.default), "data_size": self.size}
            checks.report("DefaultValuesSizeMismatch", message, **fields)

    def _check_slots(self, checks: Checks) -> None:
        count, size = checks.size(self.input), checks.size(self.output)
        if count is not None and not 0 <= self.internal_input_index < count:
            checks.report(
                "InternalInputIndexOutOfBounds",
                f"slot {self.internal_input_index} is not in buffer {self.input}, "
                f"which holds {count}",
                index=self.internal_input_index,
            )
        end = self.internal_output_index + self.size
        if size is not None and (min(self.internal_output_index, self.size) < 0 or end > size):
            checks.report(
                "InternalOutputIndexOutOfBounds",
                f"{self.size} slots from slot {self.internal_output_index} do not fit buffer "
                f"{self.output}, which holds {size}",
                internal_output_index=self.internal_output_index,
                data_size=self.size,
                output_size=size,
            )


def _rows(
    table: LookupTable, ids: np.ndarray, default: tuple[float, ...]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.tile(np.array(default, np.float32), (len(ids), 1))
    keys = table.keys_array
    if len(keys):
        places = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        found = keys[places] == ids
        rows[found] = table.values_array[places[found]]
    return rows
