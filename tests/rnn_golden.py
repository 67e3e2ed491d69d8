r"""The golden data of the RMD1 and RNN\0 family, as tables for tests.

``RMD1`` and ``RNN0`` are the sample files with what the Rust crate makes of them, ``MATH`` its
approximate functions bit by bit, ``OPS`` its formulas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent / "golden" / "rnn"


@dataclass(frozen=True)
class Sample:
    """One file. ``raw`` is its entry in index.json: every name that is no attribute is there."""

    name: str
    raw: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return self.name

    @cached_property
    def content(self) -> bytes:
        return (ROOT / self.raw["file"]).read_bytes()

    @property
    def loads(self) -> bool:
        return bool(self.raw["result"] == "ok")

    @property
    def error(self) -> str | None:
        """Kind of the error of an RMD1 file, the first of those it may have; None: it loads."""
        kind: str | None = self.raw.get("error")
        return kind

    @property
    def dtype(self) -> str:
        return {"f32": "float32", "f64": "float64"}[self.raw["dtype"]]

    @property
    def canonical(self) -> bool:
        """Whether a writer gives these very bytes."""
        return bool(self.raw.get("canonical_encoding"))

    @cached_property
    def inputs(self) -> np.ndarray:
        return np.array(self.raw["inputs"], self.dtype)

    @cached_property
    def outputs(self) -> np.ndarray:
        """In float64 over the numbers of the file."""
        return np.array(self.raw["outputs_f64"], np.float64)

    @cached_property
    def crate_outputs(self) -> np.ndarray:
        """With the crate's approximate functions, float32."""
        return np.array(self.raw["outputs_crate_math_f32"], np.float32)

    @property
    def tolerance(self) -> dict[str, float]:
        return {"rtol": self.raw["rtol"], "atol": self.raw["atol"]}


@dataclass(frozen=True)
class MathRow:
    """What one function of the crate gives for one number."""

    function: str
    x: np.float32
    bits: int
    exact: float

    @property
    def id(self) -> str:
        return f"{self.function}({self.x})"


def samples(kind: str) -> tuple[Sample, ...]:
    """Every sample of a format, ``RMD1`` or ``RNN0``."""
    entries = json.loads((ROOT / "index.json").read_text())["samples"]
    return tuple(Sample(name, raw) for name, raw in entries.items() if raw["format"] == kind)


def math_rows() -> tuple[MathRow, ...]:
    """Every number of the table, function by function."""
    found = []
    for row in json.loads((ROOT / "math_table.json").read_text())["rows"]:
        x = np.array(int(row["x_bits"], 16), np.uint32).view(np.float32)[()]
        for name, cell in row.items():
            if isinstance(cell, dict):
                found.append(MathRow(name, x, int(cell["bits"], 16), cell["exact"]))
    return tuple(found)


def cases(op: str) -> list[dict[str, Any]]:
    """The formula cases of that name."""
    return [case for case in OPS if case["op"] == op]


def sample(name: str) -> Sample:
    """The sample of that name."""
    return next(each for each in (*RMD1, *RNN0) if each.name == name)


RMD1 = samples("RMD1")
RNN0 = samples("RNN0")
MATH = math_rows()
OPS: list[dict[str, Any]] = json.loads((ROOT / "ops.json").read_text())["cases"]
