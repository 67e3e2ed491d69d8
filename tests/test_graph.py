"""Dependencies between instructions."""

from __future__ import annotations

import pytest
from random_models import random_model

import instjit as ij
from instjit.graph import is_parallelizable, parents


def graph(buffers, *instructions) -> ij.Graph:
    return ij.graph(ij.Model(buffers, instructions, feature_size=buffers[0]))


def test_a_chain_is_not_parallel() -> None:
    chain = graph([2, 2, 2], ij.Copy(0, 1), ij.Copy(1, 2))
    assert [(n.parents, n.children) for n in chain.nodes] == [((), (1,)), ((0,), ())]
    assert (chain.roots, chain.is_parallelizable) == ((0,), False)


def test_two_roots_and_two_children_are_parallel() -> None:
    assert graph([2, 2, 2], ij.Copy(0, 1), ij.Copy(0, 2)).is_parallelizable
    fan = graph([2, 2, 2], ij.Activate(0, "RELU"), ij.Copy(0, 1), ij.Copy(0, 2))
    assert (fan.nodes[0].children, fan.roots, fan.is_parallelizable) == ((1, 2), (0,), True)


def test_partial_writes_join_and_full_writes_replace() -> None:
    parts = graph([2, 4, 1], ij.Copy(0, 1), ij.Copy(0, 1, 2), ij.ReduceSum(1, 2))
    assert parts.last_writers == ((), (0, 1), (2,))
    assert parts.nodes[2].parents == (0, 1)
    in_place = graph([2, 2], ij.Copy(0, 1), ij.Activate(1, "RELU"))
    assert in_place.last_writers == ((), (1,))


def test_a_root_counts_one_dependency() -> None:
    nodes = graph([2, 2, 2], ij.Copy(0, 1), ij.AddElementwiseBuffers((1, 1, 0), 2)).nodes
    assert [node.dependency_count for node in nodes] == [1, 1]


@pytest.mark.parametrize(
    ("instructions", "lost"),
    [
        ([ij.Copy(0, 1), ij.AddElementwiseBuffers((0, 0), 1)], [(0, 1, 1)]),
        ([ij.Copy(0, 1), ij.Copy(0, 1), ij.ReduceSum(0, 1)], [(0, 1, 2), (1, 1, 2)]),
        ([ij.Copy(0, 1), ij.AddElementwiseBuffers((1, 0), 1)], []),
        ([ij.AddElementwiseBuffers((0, 0), 1), ij.Copy(0, 1)], []),
        ([ij.Activate(0, "RELU"), ij.Activate(0, "RELU")], []),
    ],
)
def test_a_result_that_nothing_reads_before_its_end_is_seen(instructions, lost) -> None:
    unread = graph([2, 2], *instructions).unread
    assert [(u.instruction, u.buffer, u.by) for u in unread] == lost


def test_parents_alone_are_those_of_the_graph() -> None:
    parallel = set()
    for seed in range(100):
        model, _ = random_model(seed)
        whole = ij.graph(model)
        assert list(parents(model)) == [node.parents for node in whole.nodes], seed
        assert is_parallelizable(model) == whole.is_parallelizable, seed
        parallel.add(whole.is_parallelizable)
    assert parallel == {False, True}
