"""The golden data of the instruction-model family, as tables for tests.

``EXPORTED`` are models written by the PyPI exporter; ``CASES`` small models with what the Rust
crate or the PyPI inference made of them. ``DECIDED`` holds what instjit does where it differs from
either on purpose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent / "golden" / "instmodel"


@dataclass(frozen=True)
class Exported:
    """One exported model with rows and the exporter's own outputs."""

    name: str
    model: dict[str, Any]
    inputs: np.ndarray
    outputs: np.ndarray
    atol: float
    rtol: float
    covers: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One case of a group file; ``error`` is the kind that loading ends in, None when it loads."""

    group: str
    name: str
    source: Any
    error: str | None
    fields: dict[str, Any]
    inputs: np.ndarray | None
    outputs: np.ndarray | None
    atol: float
    rtol: float
    raw: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.group}-{self.name}"

    @cached_property
    def text(self) -> bytes:
        """The model as a file."""
        return self.source if isinstance(self.source, bytes) else json.dumps(self.source).encode()


@dataclass(frozen=True)
class Refused:
    """instjit refuses the model."""

    kind: str


@dataclass(frozen=True)
class Loads:
    """instjit loads the model; its outputs, where they are not those of the file."""

    outputs: Any = None
    inputs: Any = None


DECIDED: dict[str, Refused | Loads] = {
    "bad_models-activation_softplus_unknown_to_rust": Loads(),
    "bad_models-activation_sign_unknown_to_rust": Loads(),
    "features-empty_list": Loads(),
    "forward_basic-zero_size_first_buffer_no_features": Refused("InvalidFeatureSize"),
    "gpu_pack-no_validation_params_index": Refused("ParametersIndexOutOfBounds"),
    "map_transform-unparsable_keys_are_dropped": Refused("InvalidMapKey"),
    "map_transform-long_value_is_cut_to_size": Refused("MapValuesSizeMismatch"),
    "parallel-panic_becomes_error": Loads(inputs=[[1, 2]], outputs=[[2, 3]]),
    "unchecked_by_rust-copy_spills_into_next_buffer": Refused("InternalIndexOutOfBounds"),
    "unchecked_by_rust-mask_reads_next_buffer": Refused("InternalIndexOutOfInputBounds"),
    "unchecked_by_rust-map_reads_next_buffer": Refused("InternalInputIndexOutOfBounds"),
    "unchecked_by_rust-buffers_add_size_mismatch": Refused("InputBufferSizeMismatch"),
    "unchecked_by_rust-heads_output_is_heads": Loads(
        inputs=[[1, 2, 3, 4, 5, 6, 7, 8]], outputs=[[5, 12, 21, 32]]
    ),
    "unchecked_by_rust-mask_onto_itself": Loads(inputs=[[1, 2]], outputs=[[2, 1]]),
    "unchecked_by_rust-attention_output_is_query": Loads(
        inputs=[[1, 2, 0.5, -0.5]], outputs=[[0.7310586, 0.5378828]]
    ),
    "unchecked_by_rust-buffers_one_input": Loads(inputs=[[3, 4]], outputs=[[3, 4]]),
    "unchecked_by_rust-parameters_index": Refused("ParametersIndexOutOfBounds"),
    "unchecked_by_rust-map_index": Refused("MapIndexOutOfBounds"),
    "unchecked_by_rust-mask_index_past_everything": Refused("InternalIndexOutOfInputBounds"),
    "pypi_numpy_semantics-unknown_type_without_input": Refused("ParseError"),
    "pypi_numpy_semantics-unknown_activation": Refused("ParseError"),
    "pypi_numpy_semantics-activation_absent_is_identity": Refused("ParseError"),
    "pypi_numpy_semantics-params_wrong_length": Refused("ParametersSizeMismatch"),
    "pypi_numpy_semantics-unwritten_last_buffer": Loads(outputs=[[0, 0, 0]]),
    "pypi_numpy_semantics-no_instructions": Refused("NoInstructionsProvided"),
    "pypi_numpy_semantics-copy_without_internal_index": Refused("ParseError"),
    "pypi_numpy_semantics-map_no_rounding": Loads(
        inputs=[[1, 0], [1.4, 0], [1.5, 0], [2, 0], [-2, 0], [-0.4, 0], [-1.5, 0]],
        outputs=[[5, 6], [5, 6], [7, 8], [7, 8], [1, 1], [-1, -2], [1, 1]],
    ),
    "pypi_numpy_semantics-map_key_above_i32": Refused("InvalidMapKey"),
    "pypi_numpy_semantics-map_key_not_integer": Refused("InvalidMapKey"),
    "pypi_numpy_semantics-heads_not_divisible": Refused("InvalidBufferHeadsSize"),
    "pypi_numpy_semantics-dot_in_place_is_allowed": Refused("SameInputOutputIndexes"),
    "pypi_numpy_semantics-inputs_as_list_wrong_width": Refused("InputBufferSizeMismatch"),
    "pypi_numpy_semantics-missing_weights": Refused("ParseError"),
    "pypi_numpy_semantics-missing_parameters": Loads(outputs=[[1, 2]]),
    "pypi_numpy_semantics-missing_buffer_sizes": Refused("ParseError"),
    "pypi_numpy_semantics-missing_maps_with_map_transform": Refused("MapIndexOutOfBounds"),
    "pypi_numpy_semantics-validate_off": Refused("ValidationMismatch"),
}


def numbers(rows: Any) -> np.ndarray:
    """Rows of the golden files, with their "NaN", "inf" and "-inf", as float32."""
    return np.array([[float(value) for value in row] for row in rows], np.float32)


def exported_models() -> tuple[Exported, ...]:
    """Every model that the PyPI exporter wrote."""
    found = []
    for path in sorted(ROOT.glob("pypi_*.json")):
        raw = json.loads(path.read_text())
        if "cases" not in raw:
            found.append(
                Exported(
                    raw["name"],
                    raw["model"],
                    numbers(raw["inputs"]),
                    numbers(raw["outputs"]),
                    covers=tuple(raw["covers"]),
                    **raw["tolerance"],
                )
            )
    return tuple(found)


def group_cases() -> tuple[Case, ...]:
    """Every case of the group files, with what is decided for instjit."""
    found = []
    for path in [*sorted(ROOT.glob("rust_*.json")), ROOT / "pypi_numpy_semantics.json"]:
        raw = json.loads(path.read_text())
        if raw["group"] != "logistic_regression":
            found += [_case(raw, case) for case in raw["cases"]]
    return tuple(found)


def group(name: str) -> list[dict[str, Any]]:
    """The raw cases of one group."""
    cases: list[dict[str, Any]] = json.loads((ROOT / f"rust_{name}.json").read_text())["cases"]
    return cases


def _case(document: dict[str, Any], raw: dict[str, Any]) -> Case:
    group, name = document["group"], raw["name"]
    source = raw["model_text"].encode() if "model_text" in raw else raw["model"]
    error = raw.get("error", {})
    kind = error.get("error_kind") or raw.get("cpu_error_kind") or raw.get("exception")
    inputs, outputs = raw.get("inputs"), raw.get("outputs")
    if outputs is not None and any(isinstance(row, dict) for row in outputs):
        outputs = None  # the Rust crate ends in an error there
    decided = DECIDED.get(f"{group}-{name}")
    if isinstance(decided, Refused):
        kind = decided.kind
    elif isinstance(decided, Loads):
        kind = None
        inputs = inputs if decided.inputs is None else decided.inputs
        outputs = outputs if decided.outputs is None else decided.outputs
    tolerance = raw.get("tolerance", document["default_tolerance"])
    return Case(
        group,
        name,
        source,
        kind,
        {} if isinstance(decided, Refused) else error.get("fields", {}),
        None if inputs is None else numbers(inputs),
        None if outputs is None else numbers(outputs),
        tolerance["atol"],
        tolerance["rtol"],
        raw,
    )


EXPORTED = exported_models()
CASES = group_cases()
"""All cases; ``RUNNABLE`` load and state outputs."""
RUNNABLE = tuple(
    case
    for case in CASES
    if case.error is None and case.inputs is not None and case.outputs is not None
)
