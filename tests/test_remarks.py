"""What is remarkable about a model: bounded, and found without lowering where nothing can be."""

from __future__ import annotations

import pytest
from random_models import random_model

import instjit
from instjit import remarks as module
from instjit.collecting import MOST_PROBLEMS
from instjit.lower import unwritten_reads
from instjit.remarks import remarks

COPY, PART = instjit.Copy, instjit.CopyMasked


def test_no_more_are_kept_than_anyone_reads():
    count = 3000
    model = instjit.Model([1, 1], [COPY(0, 1)], [[[float("nan")]]] * count, features=["a"])
    found = remarks(model)
    assert len(found) == MOST_PROBLEMS + 1
    assert {each.kind for each in found[:-1]} == {"NonFiniteNumber"}
    assert found[-1].kind == "TooManyProblems"
    assert found[-1].message == f"there are {count - MOST_PROBLEMS} more remarks"


CASES = {
    "a chain": ([1, 1, 1], [COPY(0, 1), COPY(1, 2)], False),
    "a part of the input": ([2, 1], [PART(0, 1, [0])], False),
    "a part that is read": ([1, 2, 2], [PART(0, 1, [0]), COPY(1, 2)], True),
    "two halves": ([2, 2, 2], [PART(0, 1, [0, 1]), COPY(1, 2)], False),
    "read before it is written": ([1, 1, 1], [COPY(1, 2), COPY(0, 1)], True),
    "an output of parts": ([1, 2], [PART(0, 1, [0])], True),
    "an output that nothing writes": ([1, 1, 1], [COPY(0, 1)], True),
}


@pytest.mark.parametrize(("buffers", "steps", "holes"), CASES.values(), ids=CASES)
def test_slots_are_found_as_lowering_finds_them(buffers, steps, holes):
    model = instjit.Model(buffers, steps, feature_size=buffers[0])
    assert instjit.validate(model) == ()
    places = [tuple(r.fields.values()) for r in remarks(model) if r.kind == "UnwrittenRead"]
    assert places == list(unwritten_reads(model))
    assert bool(places) == holes


def test_random_models_have_those_that_lowering_finds():
    expected = []
    for seed in range(150):
        model, _ = random_model(seed)
        places = [tuple(r.fields.values()) for r in remarks(model) if r.kind == "UnwrittenRead"]
        expected.append(unwritten_reads(model))
        assert places == list(expected[-1]), seed
    assert 0 < sum(map(bool, expected)) < 150


def test_a_chain_is_not_lowered_for_them(monkeypatch):
    def refuse(_: object) -> None:
        raise AssertionError("lowered")

    monkeypatch.setattr(module, "unwritten_reads", refuse)
    steps = [instjit.Dot(0, 1, 0), instjit.Dot(1, 2, 0)]
    assert remarks(instjit.Model([1, 1, 1], steps, [[[1.0]]], features=["a"])) == ()
