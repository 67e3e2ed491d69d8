"""Every golden case: what loads, what is refused and how, and the reference's outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_cases import CASES, DECIDED, EXPORTED, ROOT, RUNNABLE, Case, Exported, group, numbers

import instjit
from instjit import reference
from instjit.lower import lower
from instjit.ops import OPS, Activation

REFUSED = [case for case in CASES if case.error is not None]
LOADED = [case for case in CASES if case.error is None]
# 1e38 * 100 is infinite in float32 only
FINITE = [case for case in RUNNABLE if not case.name.startswith(("infinities_", "nan_"))]


@pytest.mark.parametrize("exported", EXPORTED, ids=lambda e: e.name)
def test_reference_gives_the_exporters_outputs(exported: Exported) -> None:
    model = instjit.load(json.dumps(exported.model).encode())
    outputs = reference.run(model, exported.inputs)
    np.testing.assert_allclose(outputs, exported.outputs, exported.rtol, exported.atol)


@pytest.mark.parametrize("exported", EXPORTED, ids=lambda e: e.name)
def test_an_exported_dict_is_the_same_model_as_its_json(exported: Exported) -> None:
    assert instjit.load(exported.model) == instjit.load(json.dumps(exported.model).encode())


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda c: c.id)
def test_reference_gives_the_outputs_of_the_case(case: Case) -> None:
    outputs = reference.run(instjit.load(case.text), case.inputs)
    np.testing.assert_allclose(outputs, case.outputs, case.rtol, case.atol)


@pytest.mark.parametrize("case", FINITE, ids=lambda c: c.id)
def test_float64_formulas_give_the_outputs_of_the_case(case: Case) -> None:
    outputs = reference.run64(instjit.load(case.text), case.inputs)
    np.testing.assert_allclose(outputs, case.outputs, case.rtol, case.atol)


@pytest.mark.parametrize(
    "case", [c for c in RUNNABLE if "quoted_by_upstream_tests" in c.raw], ids=lambda c: c.id
)
def test_reference_gives_the_figures_upstream_states(case: Case) -> None:
    quoted = case.raw["quoted_by_upstream_tests"]
    wanted = numbers(quoted["outputs"])
    outputs = reference.run(instjit.load(case.text), case.inputs)
    np.testing.assert_allclose(outputs[: len(wanted)], wanted, 0, quoted["atol"])


@pytest.mark.parametrize(
    "case", [c for c in RUNNABLE if "whole_buffer_after" in c.raw], ids=lambda c: c.id
)
def test_reference_leaves_every_buffer_as_the_case_says(case: Case) -> None:
    buffers = reference.run_buffers(instjit.load(case.text), case.inputs)
    wanted = numbers(case.raw["whole_buffer_after"])
    np.testing.assert_allclose(buffers[: len(wanted)], wanted, case.rtol, case.atol)


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.id)
def test_a_bad_model_is_refused_by_kind_and_fields(case: Case) -> None:
    expected = instjit.FormatError if case.error == "ParseError" else instjit.ModelError
    with pytest.raises(expected) as caught:
        instjit.load(case.text)
    assert caught.value.kind == case.error
    fields = dict(caught.value.fields)
    for name, value in case.fields.items():
        wanted = value if isinstance(value, str) else pytest.approx(value, rel=1e-6)
        assert fields[name] == wanted, name


@pytest.mark.parametrize("case", LOADED, ids=lambda c: c.id)
def test_a_good_model_has_the_figures_of_the_case(case: Case) -> None:
    model = instjit.load(case.text)
    info = case.raw.get("info")
    if info is not None:
        assert {
            "feature_size": model.input_size,
            "output_size": model.output_size,
            "required_memory": model.required_memory,
            "output_index_start": model.output_start,
            "buffer_indexes": list(model.buffer_starts),
            "parallelizable": instjit.graph(model).is_parallelizable,
        } == info
    assert lower(model).width_out == model.output_size


@pytest.mark.parametrize("case", LOADED, ids=lambda c: c.id)
def test_a_good_model_survives_saving(case: Case, tmp_path) -> None:
    model = instjit.load(case.text)
    instjit.save(model, tmp_path / "model.json")
    assert instjit.load(tmp_path / "model.json") == model


@pytest.mark.parametrize("raw", group("dependency_graph"), ids=lambda c: c["name"])
def test_graph_is_the_one_of_the_case(raw) -> None:
    graph = instjit.graph(instjit.load(raw["model"]))
    assert {
        "roots": list(graph.roots),
        "nodes": [{"children": list(n.children), "dep": n.dependency_count} for n in graph.nodes],
        "buffer_last_nodes": [list(writers) for writers in graph.last_writers],
    } == raw["graph"]


@pytest.mark.parametrize("raw", group("logistic_regression"), ids=lambda c: c["name"])
def test_logistic_regression_is_the_model_of_the_case(raw) -> None:
    arguments = raw["decision_function"], raw["feature_order"]
    error = raw.get("error") or raw.get("load_error")
    if raw["name"] == "only_constant":  # the Rust crate builds it and panics when it runs
        error = {"error_kind": "InvalidFeatureSize"}
    if error is not None:
        with pytest.raises(instjit.ModelError) as caught:
            instjit.Model.from_logistic_regression(*arguments)
        assert caught.value.kind == error["error_kind"]
        return
    model = instjit.Model.from_logistic_regression(*arguments)
    assert model == instjit.load(raw["model"])
    outputs = reference.run(model, numbers(raw["inputs"]))
    np.testing.assert_allclose(outputs, numbers(raw["outputs"]), 2e-6, 2e-6)


def test_inputs_may_come_one_array_for_each_buffer() -> None:
    case = next(c for c in CASES if c.name == "inputs_as_list_of_buffers")
    arrays = [np.array(a, np.float32) for a in case.raw["inputs_per_buffer"]]
    assert reference.run(instjit.load(case.text), arrays).tolist() == case.raw["outputs"]


def test_the_benchmark_formula_gives_the_stated_outputs() -> None:
    golden = json.loads((ROOT / "bench_parallel_formula.json").read_text())
    f32 = np.float32

    def wave(function, scale, rows, columns, amplitude):
        index = np.arange(rows * columns, dtype=f32).reshape(rows, columns)
        return f32(amplitude) * function(f32(scale) * index)

    model = instjit.Model(
        [250, 300, 200],
        [
            instjit.Dot(0, 1, weights=0, activation="RELU"),
            instjit.Dot(1, 2, weights=1, activation="SIGMOID"),
        ],
        weights=[wave(np.sin, 0.001, 300, 250, 0.1), wave(np.cos, 0.002, 200, 300, 0.1)],
        bias=[wave(np.sin, 0.01, 1, 300, 0.01)[0], wave(np.cos, 0.01, 1, 200, 0.01)[0]],
        feature_size=250,
    )
    samples = golden["cases"]
    index = np.array([[s["sample"] * 250 + j for j in range(250)] for s in samples]).astype(f32)
    inputs = np.sin(f32(0.001) * index)
    outputs = reference.run(model, inputs)
    for row, sample in zip(outputs, samples, strict=True):
        wanted = [*sample["outputs_0_to_9"], *sample["outputs_190_to_199"]]
        got = [*row[:10], *row[190:]]
        np.testing.assert_allclose(
            got, wanted, golden["tolerance"]["rtol"], golden["tolerance"]["atol"]
        )
        assert row.sum(dtype=np.float64) == pytest.approx(sample["sum_of_outputs"], abs=2e-4)


def test_every_decision_names_a_case() -> None:
    assert set(DECIDED) <= {case.id for case in CASES}


def test_the_corpus_holds_every_instruction_and_activation() -> None:
    covered = {name for exported in EXPORTED for name in exported.covers}
    for case in RUNNABLE:
        for instruction in case.source["instructions"]:
            covered |= {instruction["type"], instruction.get("activation")}
    assert covered >= {*OPS, *Activation.__members__}
