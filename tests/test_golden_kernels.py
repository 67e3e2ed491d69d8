"""The golden models through the generated text and through compiled kernels.

The text runs as plain Python for every model. Kernels compile the exported models, and cases that
together hold every instruction and activation; the sweep compiles all of them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from golden_cases import CASES, EXPORTED, RUNNABLE, Case, Exported, group
from plain_run import form_of, run_row, run_tiles, same_bits

import instjit
from instjit import reference
from instjit.passes import PASSES

LEVELS = ["avx512", "avx2", "neon", "generic"]


def names_in(source: Any) -> set[str]:
    """Instructions and activations of a model's JSON."""
    instructions = source["instructions"]
    found = {step["type"] for step in instructions}
    return found | {step["activation"] for step in instructions if step.get("activation")}


def covering(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Cases that together hold every instruction and activation, the fullest first."""
    wanted = set().union(*(names_in(case.source) for case in cases))
    chosen: list[Case] = []
    while wanted:
        best = max(cases, key=lambda case: len(names_in(case.source) & wanted))
        chosen.append(best)
        wanted -= names_in(best.source)
    return tuple(chosen)


COVERING = covering(RUNNABLE)
REST = tuple(case for case in RUNNABLE if case not in COVERING)


def model_of(case: Case | Exported) -> instjit.Model:
    source = case.text if isinstance(case, Case) else json.dumps(case.model).encode()
    return instjit.load(source)


def check_plain(case: Case | Exported, level: str) -> None:
    model = model_of(case)
    wanted = reference.run(model, case.inputs)
    form = form_of(model, level, "output", PASSES)
    outputs = run_tiles(form, case.inputs)
    np.testing.assert_allclose(outputs, case.outputs, case.rtol, case.atol)
    assert same_bits(outputs, wanted)
    assert same_bits(run_row(form, case.inputs[0]), wanted[0])


def check_kernel(case: Case | Exported) -> None:
    model = model_of(case)
    kernel = instjit.compile(model)
    outputs = kernel.predict(case.inputs)
    np.testing.assert_allclose(outputs, case.outputs, case.rtol, case.atol)
    rows = np.array([kernel.row(row) for row in case.inputs])
    assert same_bits(rows, outputs)
    assert same_bits(outputs, reference.run(model, case.inputs))
    if "predict_single" in getattr(case, "raw", {}):
        singles = [kernel.single(row) for row in case.inputs]
        np.testing.assert_allclose(singles, case.raw["predict_single"], case.rtol, case.atol)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("exported", EXPORTED, ids=lambda e: e.name)
def test_the_text_gives_the_exporters_outputs(exported: Exported, level: str) -> None:
    check_plain(exported, level)


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda c: c.id)
def test_the_text_gives_the_outputs_of_the_case(case: Case) -> None:
    check_plain(case, "avx512")


@pytest.mark.parametrize("exported", EXPORTED, ids=lambda e: e.name)
def test_a_kernel_gives_the_exporters_outputs_in_batches_and_rows(exported: Exported) -> None:
    check_kernel(exported)


@pytest.mark.parametrize("case", COVERING, ids=lambda c: c.id)
def test_a_kernel_gives_the_outputs_of_a_case_of_every_kind(case: Case) -> None:
    check_kernel(case)


@pytest.mark.sweep
@pytest.mark.parametrize("case", REST, ids=lambda c: c.id)
def test_a_kernel_gives_the_outputs_of_every_other_case(case: Case) -> None:
    check_kernel(case)


def test_the_cases_compiled_by_default_cover_every_kind() -> None:
    covered = set().union(*(names_in(case.source) for case in COVERING))
    assert covered >= {*instjit.ops.OPS} - {"CLIP_ELEMENTWISE"}
    assert any("CLIP_ELEMENTWISE" in names_in(exported.model) for exported in EXPORTED)
    exported_names = set().union(*(names_in(exported.model) for exported in EXPORTED))
    assert covered | exported_names >= set(instjit.Activation.__members__)


WHOLE = [case for case in CASES if "whole_buffer_after" in case.raw and case.error is None]


@pytest.mark.parametrize("case", WHOLE, ids=lambda c: c.id)
def test_run_buffer_leaves_every_buffer_as_the_case_says(case: Case) -> None:
    model = model_of(case)
    wanted = [[float(value) for value in row] for row in case.raw["whole_buffer_after"]]
    flat = np.zeros((len(wanted), model.required_memory), np.float32)
    flat[:, : model.input_size] = case.inputs[: len(wanted)]
    instjit.compile(model).run_buffer(flat)
    np.testing.assert_allclose(flat, wanted, case.rtol, case.atol)


REQUESTS = [
    raw
    for raw in group("parallel")
    if raw["name"]
    not in (
        "stale_scratch_between_samples",  # evidence of another scratch rule
        "panic_becomes_error",  # length-1 parameters broadcast here
        "no_samples_hides_bad_config",  # bad threads and slots are always reported here
        "ragged_1_of_3",  # a flat list of samples is not an input here
        "ragged_before_threads",
    )
]


@pytest.mark.parametrize("raw", REQUESTS, ids=lambda raw: raw["name"])
def test_threads_and_slots_do_what_the_parallel_call_did(raw: dict[str, Any]) -> None:
    kernel = instjit.compile(instjit.load(raw["model"]))
    request, result = raw["parallel_request"], raw["parallel_result"]
    slots = tuple(request["slice"]) if "slice" in request else None
    rows = np.array(raw["inputs"], np.float32)
    if "error_kind" in result:
        with pytest.raises(instjit.InputError) as caught:
            kernel.predict(rows, threads=request.get("threads"), slots=slots)
        assert caught.value.kind == result["error_kind"]
        assert dict(caught.value.fields) == result["fields"]
        return
    outputs = kernel.predict(rows, threads=request.get("threads"), slots=slots)
    assert outputs.shape == (result["num_samples"], result["slice_size"])
    np.testing.assert_allclose(outputs.ravel(), result["data"], 2e-6, 2e-6)
