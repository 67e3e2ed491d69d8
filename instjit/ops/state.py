"""The buffers of the reference while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instjit.model import Model


@dataclass(frozen=True, slots=True)
class State:
    """Every buffer's value for a block of rows: ``buffers[b]`` is (rows, size), float32 or float64.

    Arrays are replaced, never changed, so a value taken before a write stays what it was.
    """

    model: Model
    buffers: list[npt.NDArray[Any]]

    def write(self, buffer: int, values: npt.NDArray[Any], start: int = 0) -> None:
        """Overwrite slots of a buffer from ``start``; the others keep their values."""
        old = self.buffers[buffer]
        if values.shape == old.shape:
            self.buffers[buffer] = values.astype(old.dtype, copy=False)
            return
        new = old.copy()
        new[:, start : start + values.shape[1]] = values
        self.buffers[buffer] = new

    def rounded_ids(self, buffer: int, slot: int) -> npt.NDArray[np.int32]:
        """A slot as int32 ids: rounded half away from zero, saturated, NaN counting as 0.

        In float64, where adding a half to a float32 number below 2^52 is exact.
        """
        x = self.buffers[buffer][:, slot].astype(np.float64)
        away = np.copysign(np.floor(np.abs(x) + 0.5), x)
        bounds = np.iinfo(np.int32)
        saturated = np.clip(np.where(np.isnan(away), 0.0, away), bounds.min, bounds.max)
        ids: npt.NDArray[np.int32] = saturated.astype(np.int32)
        return ids
